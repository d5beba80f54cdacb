"""Callers who say "mm-hm", or cough, while the agent speaks: whether it goes on."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

from benchmarks.web_calls.caller import Caller
from benchmarks.web_calls.figures import Found, known, milliseconds, percentile, rate
from benchmarks.web_calls.servers import Stand
from benchmarks.web_calls.sound import Clip
from story.transports.web.opus import PACKET_SECONDS

PROMPT = "john/turn4.wav"
"""Answered with 6 s of speech."""
INTO_SECONDS = 1.5
LONGEST_GAP = 0.6
SLACK_SECONDS = 0.3
"""By which a speech that goes on from where it stopped may be longer or shorter than one that nobody disturbs."""
OVER_SECONDS = 3.0
"""Of silence after a speech: livekit takes up what it stopped for nothing after 2 s."""
UNDISTURBED = 3


@dataclass(frozen=True)
class Reaction:
    """What the agent did. gap: the longest silence in its speech, seconds. sounded: seconds of sound in all.

    asked: how often the language model was asked, and spoke: how often the voice spoke, after the caller made the
    sound. cut: whether the server says that the agent was interrupted; None: it tells nothing.
    """

    clip: str
    gap: float
    sounded: float
    asked: int
    spoke: int
    cut: bool | None

    def held(self, whole: float) -> bool:
        """Whether it went on soon, and from where it had stopped. whole: seconds of an undisturbed speech."""
        return self.gap <= LONGEST_GAP and abs(self.sounded - whole) <= SLACK_SECONDS


async def react(stand: Stand, caller: Caller, prompt: Clip, clip: Clip | None) -> Reaction | None:
    """Have the agent speak, and say that while it does; None where it does not speak."""
    since = (await caller.turn(prompt.utterance)).answer
    if since is None:
        return None
    began = time.monotonic()
    if clip is not None:
        await asyncio.sleep(max(0.0, since + INTO_SECONDS - time.monotonic()))
        said = await caller.microphone.say(clip.utterance)
        began = said.onset
    await caller.ear.quiet(OVER_SECONDS, since=since)
    loud = [since, *caller.ear.between(since, time.monotonic())]
    gap = max((later - one for one, later in pairwise(loud)), default=0.0) - PACKET_SECONDS
    marks = [mark.what for mark in await stand.journal.marks(began)]
    turns = [event for event in caller.events if event["type"] == "agent_turn" and float(str(event["at"])) > began]
    cut = any(bool(event["interrupted"]) for event in turns) if caller.events else None
    name = clip.name if clip is not None else ""
    return Reaction(name, gap, len(loud) * PACKET_SECONDS, marks.count("llm"), marks.count("tts"), cut)


async def acks(stand: Stand, prompt: Clip, said: Sequence[Clip]) -> Found:
    """Acknowledgements, and coughs (which have no words), each into a speech of its own."""
    found = Found()
    async with stand.caller() as caller:
        undisturbed = known([await react(stand, caller, prompt, None) for _ in range(UNDISTURBED)])
        whole = statistics.median(one.sounded for one in undisturbed)
        reactions = [(clip, await react(stand, caller, prompt, clip)) for clip in said]
    for name, coughs in (("acknowledgement", False), ("cough", True)):
        some = [one for clip, one in reactions if (not clip.words) is coughs]
        there = known(some)
        held = [one for one in there if one.held(whole)]
        gaps = [one.gap for one in there]
        found.tell(f"{name}: goes on within 0.6 s", rate(len(held), len(some)))
        found.tell(
            "  longest silence",
            f"p50 {milliseconds(percentile(gaps, 50))}, most {milliseconds(max(gaps, default=None))} ms;"
            f" asked the LLM {sum(one.asked > 0 for one in there)} times,"
            f" spoke anew {sum(one.spoke > 0 for one in there)} times",
            summary=False,
        )
        failed = [one.clip.removeprefix("ack/").removesuffix(".wav") for one in there if one not in held]
        if failed:
            found.tell("  not", ", ".join(failed), summary=False)
    found.data["whole"] = whole
    found.data["reactions"] = [asdict(one) | {"held": one.held(whole)} for _, one in reactions if one is not None]
    return found
