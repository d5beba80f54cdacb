"""From the start of the process to its first answer, its first call and the first word in it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import aiohttp

from benchmarks.web_calls.caller import Caller
from benchmarks.web_calls.figures import Found
from benchmarks.web_calls.servers import POLL_SECONDS, START_SECONDS, Kind, Place, spawn, until_answers

YARDSTICK = "livekit"


@dataclass(frozen=True)
class Start:
    """Seconds since the process was started. page: 0 where the server has none. taken: the call is connected."""

    alive: float
    page: float
    taken: float
    greeted: float


async def start(kind: Kind, place: Place, emulator_url: str, times: int) -> Found:
    """Start it that often, each time with a caller who waits at the door; and once before, for files to be read."""
    anywhere = replace(place, server_core=None)
    starts = [await _start(kind, anywhere, emulator_url) for _ in range(times + 1)][1:]
    found = Found(data={"starts": [asdict(one) for one in starts]})
    names = {
        "alive": "start to /healthz",
        "page": "start to the page",
        "taken": "start to a call",
        "greeted": "start to its first word",
    }
    for field, name in names.items():
        values = [getattr(one, field) for one in starts]
        if any(values):
            middle = statistics.median(values)
            found.tell(name, f"{middle:.2f} s ({min(values):.2f} to {max(values):.2f})")
            found.data[field] = middle
    return found


def compare(found: Mapping[str, Found]) -> None:
    """Add to each server how its start compares with that of plain livekit-agents."""
    yardstick = found.get(YARDSTICK)
    if yardstick is None or "taken" not in yardstick.data:
        return
    for one in found.values():
        if "taken" in one.data:
            one.tell("start to a call, of livekit's", f"{one.data['taken'] / yardstick.data['taken']:.2f}")


async def _start(kind: Kind, place: Place, emulator_url: str) -> Start:
    async with aiohttp.ClientSession() as http:
        server, url = await spawn(kind, place, emulator_url)
        caller = Caller(url, http, page=kind.page)
        try:
            await caller.prepare()
            page = await until_answers(http, f"{url}/", server) if kind.page else 0.0
            alive = await until_answers(http, url + kind.alive, server)
            until = time.monotonic() + START_SECONDS
            while not await caller.ring():
                server.check()
                if time.monotonic() > until:
                    raise RuntimeError(f"it takes no call after {START_SECONDS:g} s")
                await asyncio.sleep(POLL_SECONDS)
            greeted = await caller.ear.onset(caller.connected - 0.5)
            if greeted is None:
                raise RuntimeError("nobody greets the caller")
            await caller.hang_up()
            began = server.began
            return Start(alive - began, page - began if page else 0.0, caller.connected - began, greeted - began)
        finally:
            await server.stop()
