"""From the start of a worker to its registration, from a caller's join to the greeting, what a call costs, and from the
end of the last call to the worker's."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from benchmarks.room_calls.caller import RoomCaller
from benchmarks.room_calls.servers import AGENT, pss, rooms, worker
from benchmarks.web_calls.crowds import Room
from benchmarks.web_calls.figures import Found, milliseconds, spread
from benchmarks.web_calls.servers import Kind, Place, Stand
from benchmarks.web_calls.sound import Clip
from benchmarks.web_calls.turns import LLM, SHORT, TTS

YARDSTICK = "livekit"
GREETING = LLM + TTS
"""The vendors' share of a greeting, seconds."""
DRAIN_SECONDS = 60.0
"""After which a worker that has been told to end, and holds no call any more, is killed."""
AT_REST_SECONDS = 3.0
"""Between one call and the next: an idle process or thread is there again by then."""


async def start(kind: Kind, place: Place, emulator_url: str, times: int) -> Found:
    """Start it that often, on the worker's core, and once before for files to be read."""
    taken = []
    async with rooms(place) as server:
        for _ in range(times + 1):
            process, _url = await worker(kind, place, emulator_url, server)
            taken.append(asyncio.get_running_loop().time() - process.began)
            await process.stop()
    del taken[0]
    middle = statistics.median(taken)
    found = Found(data={"registered": middle, "starts": taken})
    found.tell("start to registered", f"{middle:.2f} s ({min(taken):.2f} to {max(taken):.2f})")
    return found


def compare(found: Mapping[str, Found]) -> None:
    """Add to each worker how its start compares with that of plain livekit-agents."""
    yardstick = found.get(YARDSTICK)
    if yardstick is None or "registered" not in yardstick.data:
        return
    for one in found.values():
        if "registered" in one.data:
            one.tell(
                "start to registered, of livekit's", f"{one.data['registered'] / yardstick.data['registered']:.2f}"
            )


async def join(stand: Stand, count: int) -> Found:
    """From a caller's join to the greeting's first sound; the first call of a worker is told apart."""
    greeted: list[float | None] = []
    for _ in range(count + 1):
        async with stand.caller() as caller:
            greeted.append(caller.ear.onsets[0] - caller.rang)
        await asyncio.sleep(AT_REST_SECONDS)
    found = Found(data={"greeted": greeted})
    found.tell("join to the greeting, warm", spread(greeted[1:]))
    found.tell("  - 440", spread(greeted[1:], GREETING))
    found.tell("  the first", f"{milliseconds(greeted[0])} ms", summary=False)
    return found


async def cost(stand: Stand, clips: dict[str, Clip], steps: Sequence[int]) -> Found:
    """CPU, memory and latency with so many calls that talk all the time."""
    crowds, memory = [], []
    async with Room(stand, [clips[name].utterance for name in SHORT]) as room:
        for calls in steps:
            await room.grow(calls)
            crowds.append(await room.talk())
            memory.append(pss(stand.server))
    found = Found(data={"crowds": [asdict(one) for one in crowds], "pss": memory})
    for one, megabytes in zip(crowds, memory, strict=True):
        name = f"{one.calls} call{'s' if one.calls > 1 else ''}"
        found.tell(name, f"CPU {one.cpu:.0f} %, {megabytes:.0f} MB PSS, p95 {milliseconds(one.p95)} ms")
        found.tell("", str(one), summary=False)
    if len(steps) > 1:
        each = (memory[-1] - memory[0]) / (steps[-1] - steps[0])
        found.tell("memory of a further call, PSS", f"{each:.1f} MB")
    return found


async def end(kind: Kind, place: Place, emulator_url: str, times: int) -> Found:
    """SIGTERM in a call; some seconds later the caller hangs up, and the worker has nothing left to do."""
    taken = []
    now = asyncio.get_running_loop().time
    async with rooms(place) as server:
        for number in range(times):
            process, _url = await worker(kind, place, emulator_url, server)
            async with RoomCaller(server, f"end-{number}", AGENT):
                process.terminate()
                await asyncio.sleep(AT_REST_SECONDS)
                process.check()
                left = now()
            await process.ended(DRAIN_SECONDS)
            taken.append(now() - left)
    found = Found(data={"gone": taken})
    found.tell("gone after its last call", f"{statistics.median(taken):.2f} s ({min(taken):.2f} to {max(taken):.2f})")
    return found
