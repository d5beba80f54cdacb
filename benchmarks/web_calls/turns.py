"""How long a caller waits for an answer, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from benchmarks.web_calls.caller import Turn
from benchmarks.web_calls.figures import Found, known, milliseconds, percentile, rows, short, spread
from benchmarks.web_calls.journal import Mark, last
from benchmarks.web_calls.servers import Stand
from benchmarks.web_calls.sound import Clip

STT, LLM, TTS = 0.25, 0.35, 0.09
VENDORS = STT + LLM + TTS
"""What the emulator's profile `baseline` takes, seconds: words after the last sound, first token, first sound."""
SHORT = ("john/turn2.wav", "maria/turn2.wav", "john/turn3.wav", "barge/turn3.wav")
"""Whole sentences of three voices, answered in three words."""


@dataclass(frozen=True)
class Parts:
    """Seconds after the caller's last sound; None: it was not seen."""

    stt: float | None
    llm: float | None
    tts: float | None
    heard: float

    @property
    def floor(self) -> float | None:
        """The vendors' share, and what the sound takes there (and is heard to be over) and back."""
        if self.stt is None or self.tts is None:
            return None
        return VENDORS + (self.stt - STT) + (self.heard - self.tts)


def parts(turn: Turn, marks: Sequence[Mark]) -> Parts | None:
    """The parts of a turn: of what led to the sound that was heard, so each the last before the next."""
    if turn.answer is None:
        return None
    end, since = turn.said.end, turn.said.onset
    tts = last(marks, "tts", turn.answer, since)
    llm = last(marks, "llm", tts or turn.answer, since)
    stt = last(marks, "stt", turn.answer, since)
    after = (None if at is None else at - end for at in (stt, llm, tts))
    return Parts(*after, heard=turn.answer - end)


def tell_parts(found: Found, turns: Sequence[Turn], marks: Sequence[Mark]) -> None:
    """Where the time of these turns goes."""
    there = [told for told in (parts(turn, marks) for turn in turns) if told is not None]
    middle = {
        name: milliseconds(percentile(known([getattr(told, name) for told in there]), 50))
        for name in ("stt", "llm", "tts", "heard")
    }
    found.tell(
        "  after the last sound (p50)",
        f"words {middle['stt']}, LLM asked {middle['llm']}, voice's first sound {middle['tts']},"
        f" heard {middle['heard']} ms",
        summary=False,
    )
    floor = percentile(known([told.floor for told in there]), 50)
    found.tell("  floor: vendors and the way", f"{milliseconds(floor)} ms", summary=False)
    found.data["parts"] = [asdict(told) for told in there]
    found.data["floor"] = floor


async def latency(stand: Stand, clips: dict[str, Clip], count: int) -> Found:
    """Whole sentences, one after the other."""
    utterances = [clips[name].utterance for name in SHORT]
    async with stand.caller() as caller:
        await stand.journal.empty()
        await caller.turn(utterances[0])  # the first turn of a call pays for what is used for the first time
        turns = [await caller.turn(utterances[number % len(utterances)]) for number in range(count)]
        await caller.ear.quiet(0.7)
    marks = await stand.journal.marks()
    found = Found(data={"turns": rows(turns)})
    latencies = [turn.latency for turn in turns]
    found.tell("response latency", spread(latencies))
    found.tell("response latency - 690", short(latencies, VENDORS))
    early = [turn for turn in turns if turn.latency is not None and turn.latency < 0]
    if early:
        found.tell("  before the caller had ended", f"{len(early)} of {len(turns)}", summary=False)
    by_clip = {
        name: milliseconds(percentile(known([turn.latency for turn in turns if turn.utterance == name]), 50))
        for name in SHORT
    }
    found.tell("  by clip (p50)", ", ".join(f"{name} {told}" for name, told in by_clip.items()), summary=False)
    tell_parts(found, turns, marks)
    return found
