"""Many callers at once: how many a core bears, and what each costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass

from benchmarks.web_calls.caller import ANSWER_SECONDS, Caller, Turn
from benchmarks.web_calls.figures import Found, milliseconds, percentile
from benchmarks.web_calls.servers import Stand
from benchmarks.web_calls.sound import Clip, Utterance
from benchmarks.web_calls.turns import SHORT

RISE = 1.2
WINDOW_SECONDS = 24.0
LEAST_TURNS = 16
TURN_SECONDS = 5.0
POLL_SECONDS = 0.1
FURTHER = 8
"""Calls besides the first whose memory is measured."""


@dataclass(frozen=True)
class Crowd:
    """So many calls for a while. latencies of their turns, seconds. cpu: share of a core; client: of the client's.

    alive: how long the server took to say that it is, every tenth of a second. gap: between packets, p99, seconds.
    late: the most by which a packet of a caller's was late.
    """

    calls: int
    turns: int
    missing: int
    p50: float
    p95: float
    cpu: float
    client: float
    memory: float
    alive_p50: float
    alive_p95: float
    gap_p99: float
    late: float

    def __str__(self) -> str:
        missing = f", {self.missing} missing" if self.missing else ""
        return (
            f"latency {milliseconds(self.p50)}/{milliseconds(self.p95)} ms (n {self.turns}{missing}),"
            f" CPU {self.cpu:.0f} %, {self.memory:.0f} MB, alive in {milliseconds(self.alive_p95)} ms,"
            f" gap p99 {milliseconds(self.gap_p99)} ms; client: CPU {self.client:.0f} %,"
            f" late by {milliseconds(self.late)} ms"
        )


class Room:
    """Callers of one server, all in calls."""

    def __init__(self, stand: Stand, utterances: Sequence[Utterance]) -> None:
        self.callers: list[Caller] = []
        self._stand = stand
        self._utterances = utterances
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Room:
        await self._stack.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(caller.hang_up() for caller in self.callers))

    async def grow(self, calls: int, turns: int = 1) -> None:
        """Until there are so many, each of which has had so many turns."""
        while len(self.callers) < calls:
            caller = self._stand.caller()
            await caller.call()
            self.callers.append(caller)
            for number in range(turns):
                await caller.turn(self._utterance(number))

    async def shrink(self) -> None:
        await self.callers.pop().hang_up()

    async def talk(self) -> Crowd:
        """Have all of them talk for a while."""
        calls = len(self.callers)
        seconds = max(WINDOW_SECONDS, LEAST_TURNS * TURN_SECONDS / calls)
        for caller in self.callers:
            caller.ear.gaps.clear()
            caller.microphone.latest = 0.0
        began, client = time.monotonic(), time.process_time()
        used, _ = self._stand.server.usage()
        polling = asyncio.create_task(self._poll())
        said = await asyncio.gather(
            *(self._one(caller, number, began + seconds) for number, caller in enumerate(self.callers))
        )
        polling.cancel()
        elapsed = time.monotonic() - began
        used_then, memory = self._stand.server.usage()
        alive = self._alive
        turns = [turn for one in said for turn in one]
        latencies = [ANSWER_SECONDS if turn.latency is None else turn.latency for turn in turns]
        gaps = [gap for caller in self.callers for gap in caller.ear.gaps]
        return Crowd(
            calls=calls,
            turns=len(turns),
            missing=sum(turn.latency is None for turn in turns),
            p50=percentile(latencies, 50) or 0.0,
            p95=percentile(latencies, 95) or 0.0,
            cpu=100 * (used_then - used) / elapsed,
            client=100 * (time.process_time() - client) / elapsed,
            memory=memory,
            alive_p50=percentile(alive, 50) or 0.0,
            alive_p95=percentile(alive, 95) or 0.0,
            gap_p99=percentile(gaps, 99) or 0.0,
            late=max(caller.microphone.latest for caller in self.callers),
        )

    async def _one(self, caller: Caller, number: int, until: float) -> list[Turn]:
        await asyncio.sleep(number * 0.31 % 2)  # not in step
        turns: list[Turn] = []
        while time.monotonic() < until:
            turns.append(await caller.turn(self._utterance(number + len(turns))))
        return turns

    async def _poll(self) -> None:
        self._alive: list[float] = []
        while True:
            self._alive.append(await self._stand.alive())
            await asyncio.sleep(POLL_SECONDS)

    def _utterance(self, number: int) -> Utterance:
        return self._utterances[number % len(self._utterances)]


async def load(stand: Stand, clips: dict[str, Clip], steps: Sequence[int]) -> Found:
    """More and more calls, until the 95th percentile of their latency has risen by a fifth."""
    crowds: list[Crowd] = []
    async with Room(stand, [clips[name].utterance for name in SHORT]) as room:
        for calls in steps:
            await room.grow(calls)
            crowds.append(await room.talk())
            if crowds[-1].p95 > RISE * crowds[0].p95:
                break
        while len(room.callers) - 1 > (max([one.calls for one in crowds if _bears(one, crowds[0])], default=1)):
            await room.shrink()
            crowds.append(await room.talk())
    best = max(one.calls for one in crowds if _bears(one, crowds[0]))
    more = "" if any(not _bears(one, crowds[0]) for one in crowds) else " or more"
    found = Found(data={"crowds": [asdict(one) for one in crowds]})
    found.tell("calls a core before p95 + 20 %", f"{best}{more}")
    for one in crowds:
        found.tell(f"  {one.calls} call{'s' if one.calls > 1 else ''}", str(one), summary=False)
    found.tell("  CPU of one call", f"{crowds[0].cpu:.0f} %")
    return found


def _bears(crowd: Crowd, alone: Crowd) -> bool:
    return crowd.p95 <= RISE * alone.p95


async def memory(stand: Stand, clips: dict[str, Clip]) -> Found:
    """What the first call takes, and every further one while the others last."""
    _, idle = stand.server.usage()
    taken = []
    async with Room(stand, [clips[name].utterance for name in SHORT]) as room:
        for calls in range(1, FURTHER + 2):
            await room.grow(calls, turns=2)
            taken.append(stand.server.usage()[1])
    found = Found(data={"idle": idle, "with": taken})
    found.tell("memory before the first call", f"{idle:.0f} MB")
    found.tell("memory of the first call", f"{taken[0] - idle:.1f} MB")
    found.tell("memory of a further call", f"{(taken[-1] - taken[0]) / FURTHER:.1f} MB")
    found.tell("  with 1, 2, 3... calls", " ".join(f"{megabytes:.0f}" for megabytes in taken) + " MB", summary=False)
    return found
