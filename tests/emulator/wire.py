"""Raw websockets, and what comes over them held against the vendors' own types."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

import aiohttp
import pydantic

Told = list[dict[str, object]]
Sent = bytes | str | Mapping[str, object]


async def converse(url: str, key: Mapping[str, str], sent: Sequence[Sent], until: str = "") -> tuple[Told, int | None]:
    """Send everything, then all JSON that comes until one of type `until` or the server's close; its close code."""
    told: Told = []
    async with asyncio.timeout(15), aiohttp.ClientSession(headers=key) as session, session.ws_connect(url) as ws:
        for message in sent:
            if isinstance(message, bytes):
                await ws.send_bytes(message)
            else:
                await ws.send_str(message if isinstance(message, str) else json.dumps(message))
        async for frame in ws:
            if frame.type is aiohttp.WSMsgType.TEXT:
                told.append(json.loads(frame.data))
                if until and told[-1]["type"] == until:
                    break
    return told, ws.close_code


def checked(kind: type[pydantic.BaseModel], told: Mapping[str, object], *, also: frozenset[str] = frozenset()) -> None:
    """`told` has every field that `kind` requires, each of its type, and none that it lacks but `also`."""
    unknown = sorted(_unknown(kind.model_validate(told)))
    assert set(unknown) <= also, f"{kind.__name__}: {unknown} of {told}"


def _unknown(made: object) -> set[str]:
    if isinstance(made, list):
        return {name for item in made for name in _unknown(item)}
    if not isinstance(made, pydantic.BaseModel):
        return set()
    named = (getattr(made, name) for name in type(made).model_fields)
    return set(made.model_extra or ()) | {name for value in named for name in _unknown(value)}
