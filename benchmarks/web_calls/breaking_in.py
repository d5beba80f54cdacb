"""Callers who break into what the agent says: how soon it is silent, and how soon it answers them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from benchmarks.web_calls.caller import STOPPED_SECONDS, Caller, Turn
from benchmarks.web_calls.figures import Found, rate, rows, short, spread
from benchmarks.web_calls.servers import Stand
from benchmarks.web_calls.sound import Clip, Utterance
from benchmarks.web_calls.turns import VENDORS, tell_parts

LONG = ("barge/turn2.wav", "emma/turn2.wav")
"""Answered with 12.5 s of speech."""
INTO_SECONDS = 1.2
"""Of the agent's speech before the caller breaks in."""
LATEST_SECONDS = 5.0
"""After which the agent has not been broken into."""


@dataclass(frozen=True)
class BreakIn:
    """One of them. silent: seconds from the caller's first sound to the agent's last; None: it went on, or was not
    speaking. kept_quiet: whether it was silent from then on until the caller's last sound. turn: with the first sound
    that began after that; None where the agent spoke on, or had begun to answer before.
    """

    silent: float | None
    kept_quiet: bool
    turn: Turn


async def break_in(caller: Caller, utterance: Utterance, since: float) -> BreakIn:
    """Break into the speech that began then."""
    await asyncio.sleep(max(0.0, since + INTO_SECONDS - time.monotonic()))
    saying = asyncio.create_task(caller.microphone.say(utterance))
    last = await caller.ear.quiet(STOPPED_SECONDS, within=LATEST_SECONDS)
    said = await saying
    turn = Turn(said, await caller.ear.onset(said.end), utterance.name)
    if last is None or last < said.onset:
        return BreakIn(None, False, turn)
    return BreakIn(last - said.onset, not caller.ear.between(last, said.end), turn)


async def barge(stand: Stand, clips: dict[str, Clip], count: int) -> Found:
    """Break into one answer after the other; the answer to that is what is broken into next."""
    utterances = [clips[name].utterance for name in LONG]
    async with stand.caller() as caller:
        await stand.journal.empty()
        since = (await caller.turn(utterances[0])).answer
        broken: list[BreakIn] = []
        for number in range(count + 1):
            if since is None:  # nothing to break into
                since = (await caller.turn(utterances[0])).answer or time.monotonic()
            one = await break_in(caller, utterances[number % len(utterances)], since)
            since = one.turn.answer
            broken.append(one)
    marks = await stand.journal.marks()
    del broken[0]
    silences = [one.silent for one in broken]
    turns = [one.turn for one in broken]
    latencies = [turn.latency for turn in turns]
    found = Found()
    found.data["turns"] = [
        {**row, "silent": one.silent, "kept_quiet": one.kept_quiet}
        for row, one in zip(rows(turns), broken, strict=True)
    ]
    found.tell("barge-in: onset to silent", spread(silences))
    found.tell("  silent while the caller speaks", rate(sum(one.kept_quiet for one in broken), len(broken)))
    found.tell("response latency after a barge-in", spread(latencies))
    found.tell("response after a barge-in - 690", short(latencies, VENDORS))
    tell_parts(found, turns, marks)
    return found
