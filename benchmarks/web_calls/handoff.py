"""The handoff from a pipeline to a realtime model, where that model's connection takes its time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.web_calls.caller import Turn
from benchmarks.web_calls.figures import Found, known, milliseconds, percentile, rows, short, spread
from benchmarks.web_calls.journal import Mark, last
from benchmarks.web_calls.servers import Kind, Place, stand
from benchmarks.web_calls.sound import Clip
from benchmarks.web_calls.turns import LLM, STT

NAME = "emma/turn1.wav"
"""The clip that leads to the next persona."""
ANSWER = "barge/turn3.wav"
REALTIME = 0.3
HIDDEN = STT + LLM + REALTIME
"""The vendors' share, seconds, where the realtime model is connected before it is needed."""
BASELINE_CONNECT = 0.25


def profile(folder: Path, connect: float) -> Path:
    """The emulator's profile `baseline` with another time for a realtime model's connection, seconds."""
    path = folder / f"connect-{connect * 1000:.0f}.toml"
    first = {"stt": STT, "llm": LLM, "tts": 0.09}
    tables = [f'["*".{role}."*"]\nfirst = {seconds}\n' for role, seconds in first.items()]
    path.write_text(f'fixed = true\n\n{"".join(tables)}["*".realtime."*"]\nconnect = {connect}\nfirst = {REALTIME}\n')
    return path


async def handoff(
    kind: Kind, place: Place, known_clips: Path, clips: dict[str, Clip], counts: dict[float, int]
) -> Found:
    """Calls that hand over, so many with each time of connecting (seconds), and one more turn in each."""
    found, gaps = Found(), {}
    for connect, count in counts.items():
        turns: list[Turn] = []
        answers: list[Turn] = []
        marks: list[Mark] = []
        async with stand(kind, place, known_clips, profile=str(profile(place.folder, connect))) as there:
            for _ in range(count + 1):
                async with there.caller() as caller:
                    await there.journal.empty()
                    turns.append(await caller.turn(clips[NAME].utterance))
                    marks = await there.journal.marks()
                    tell = f"  connect {connect * 1000:.0f} ms"
                    answers.append(await caller.turn(clips[ANSWER].utterance))
        del turns[0], answers[0]  # the first call of a process pays for what is used for the first time
        latencies = [turn.latency for turn in turns]
        gaps[connect] = percentile(known(latencies), 50)
        name = f"handoff, connect {connect * 1000:.0f} ms"
        found.tell(f"{name}", spread(latencies), summary=connect == BASELINE_CONNECT)
        found.tell(f"{name}, - 900", short(latencies, HIDDEN))
        found.tell("  the last, after the last sound", _path(turns[-1], marks), summary=False)
        found.tell("  a turn after it", spread([turn.latency for turn in answers]), summary=False)
        found.data[tell.strip()] = {"turns": rows(turns), "answers": rows(answers)}
    slow, quick = max(counts), min(counts)
    if slow != quick and gaps[slow] is not None and gaps[quick] is not None:
        found.tell(f"handoff, {slow * 1000:.0f} ms of connecting cost", f"{milliseconds(gaps[slow] - gaps[quick])} ms")
    return found


def _path(turn: Turn, marks: Sequence[Mark]) -> str:
    """What led to the first sound of a turn, in ms after the caller's last."""
    if turn.answer is None:
        return "no answer"
    names = {
        "words": "stt",
        "LLM asked": "llm",
        "connecting": "connect",
        "told to speak": "respond",
        "sound": "realtime",
    }
    told = []
    for name, what in names.items():
        at = last(marks, what, turn.answer, 0.0)
        if what == "connect":
            told.append(
                name + (" before" if at is None or at < turn.said.end else f" {milliseconds(at - turn.said.end)}")
            )
        elif at is not None:
            told.append(f"{name} {milliseconds(at - turn.said.end)}")
    return ", ".join([*told, f"heard {milliseconds(turn.latency)} ms"])
