"""Long calls and bad lines: whether the sound comes later and later, and what lost and late packets cost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from benchmarks.web_calls.caller import Turn
from benchmarks.web_calls.figures import Found, known, milliseconds, percentile, rows, short, spread
from benchmarks.web_calls.journal import Mark
from benchmarks.web_calls.line import Line
from benchmarks.web_calls.servers import Stand
from benchmarks.web_calls.sound import Clip
from benchmarks.web_calls.turns import STT, VENDORS, parts

UTTERANCE = "barge/turn3.wav"
EVERY_SECONDS = 15.0
SHARE = 0.1
"""Of the turns that are the beginning and the end of a hold."""
LINES = {
    "loss 0 %": Line(),
    "loss 1 %": Line(loss=0.01),
    "loss 3 %": Line(loss=0.03),
    "loss 5 %": Line(loss=0.05),
    "jitter 40 ms": Line(jitter=0.04),
    "jitter 40 ms, loss 1 %": Line(loss=0.01, jitter=0.04),
}


async def hold(stand: Stand, clips: dict[str, Clip], minutes: float) -> Found:
    """One call, with a turn now and then. The delays of its end are compared with those of its beginning."""
    utterance = clips[UTTERANCE].utterance
    turns: list[Turn] = []
    marks: list[Mark] = []
    lead: list[float] = []
    async with stand.caller() as caller:
        await caller.turn(utterance)
        began = time.monotonic()
        while time.monotonic() < began + minutes * 60:
            due = time.monotonic() + EVERY_SECONDS
            await stand.journal.set_clock()
            await stand.journal.empty()
            turns.append(await caller.turn(utterance))
            marks += await stand.journal.marks()
            lead.append(caller.ear.lead)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    told = [parts(turn, marks) for turn in turns]
    found = Found(data={"turns": rows(turns), "lead": lead})
    found.tell(f"held for {minutes:g} minutes, latency", spread([turn.latency for turn in turns]))
    delays = {
        "the caller's sound": [None if one is None or one.stt is None else one.stt - STT for one in told],
        "the agent's sound": [None if one is None or one.tts is None else one.heard - one.tts for one in told],
        "the agent's clock, ahead by": lead,
    }
    for name, values in delays.items():
        found.tell(f"  {name}", _change(values))
    return found


def _change(values: Sequence[float | None]) -> str:
    """The median of the beginning and of the end, ms."""
    count = max(1, round(len(values) * SHARE))
    before, after = (percentile(known(some), 50) for some in (values[:count], values[-count:]))
    return f"{milliseconds(before)} ms at first, {milliseconds(after)} at last"


async def bad_lines(stand: Stand, clips: dict[str, Clip], count: int) -> Found:
    """A call by each line. What gets lost is lost on the caller's way to the server."""
    utterance = clips[UTTERANCE].utterance
    found = Found()
    for name, line in LINES.items():
        async with stand.caller(line) as caller:
            await stand.journal.empty()
            await caller.turn(utterance)
            turns = [await caller.turn(utterance) for _ in range(count)]
            marks = await stand.journal.marks()
        told = [parts(turn, marks) for turn in turns]
        way = percentile([one.stt - STT for one in told if one is not None and one.stt is not None], 50)
        latencies = [turn.latency for turn in turns]
        found.tell(f"{name}: latency - 690", short(latencies, VENDORS))
        found.tell(
            f"  {line.dropped} of {line.sent} packets lost",
            f"{spread(latencies)}; the caller's sound takes {milliseconds(way)} ms",
            summary=False,
        )
        found.data[name] = rows(turns)
    return found
