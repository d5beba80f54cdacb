"""Which transport the calls of a run are held over, and what that needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from story.core.errors import ConfigError
from story.core.nearest import did_you_mean

if TYPE_CHECKING:
    from story.bench.transports.connection import Connection
    from story.core.settings import Settings

PROCESS, WEB, LIVEKIT = TRANSPORTS = ("process", "web", "livekit")

Connect = Callable[[], "Connection"]
"""Makes the connection of one call; within an event loop."""


def known_transport(name: str) -> str:
    """`name`, if it is one. Raises ConfigError where it is none."""
    if name not in TRANSPORTS:
        hint = did_you_mean(name, TRANSPORTS, otherwise=f"; one of {', '.join(TRANSPORTS)}")
        raise ConfigError(f"unknown transport {name!r}{hint}")
    return name


def told(transport: str) -> str:
    """How calls over it were held, in words."""
    return "in process" if transport == PROCESS else f"over {transport}"


def how_held(about: Mapping[str, Any]) -> str:
    """How the calls of a run were held, in words; mostly empty where models were looked at alone.

    about: what the results keep of it.
    """
    request = about.get("request", {})
    how = "" if request.get("component") else told(request.get("transport", PROCESS))
    return f"{how}, not all on one machine with the same versions".lstrip(", ") if about.get("resumed") else how


def check_transport(transport: str, settings: Settings) -> None:
    """See whether calls can be held over it here.

    Raises:
        ConfigError: there is no LiveKit server. ServerError: it can't be reached, or refuses us.
    """
    if transport != LIVEKIT:
        return
    from story.transports.livekit.dev_server import find_server
    from story.transports.livekit.server_access import VARIABLES, check, server_of

    server = server_of(settings)
    if server is not None:
        asyncio.run(check(server))
    elif find_server() is None:
        raise ConfigError(
            f"--transport livekit needs a LiveKit server: set {', '.join(VARIABLES)}, or have livekit-server on this "
            "machine (`make livekit-server` builds it)"
        )


@asynccontextmanager
async def connections(transport: str, settings: Settings) -> AsyncIterator[Connect | None]:
    """Within the block calls can be held over it. None: no connection is needed.

    Raises:
        StoryError: the LiveKit server of this machine does not start.
    """
    if transport == PROCESS:
        yield None
    elif transport == WEB:
        from story.bench.transports.web import ON_LOOPBACK, WebConnection

        ON_LOOPBACK.restrict_addresses()
        yield WebConnection
    else:
        from story.bench.transports.rooms import RoomConnection
        from story.transports.livekit.dev_server import dev_server, free_ports
        from story.transports.livekit.server_access import server_of

        if (named := server_of(settings)) is not None:
            yield partial(RoomConnection, named)
            return
        async with dev_server(free_ports()) as own:
            yield partial(RoomConnection, own)
