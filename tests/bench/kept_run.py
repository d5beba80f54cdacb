"""The results of a run that nobody held, as a page has to show them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from story.bench.outcome import FAILED, OK, UNBUILT, Outcome, TurnFigures
from story.bench.store import RECORDINGS, Result, Results
from story.transports.sound import SAMPLE_RATE, Recording

SLOW = {"deepgram": 0.25, "cartesia/ink-2": 0.31, "gpt4o-mini": 0.42, "openai/gpt-4.1": 0.6, "cartesia": 0.09}
DEAR = {"deepgram": 0.004, "cartesia/ink-2": 0.003, "gpt4o-mini": 0.001, "openai/gpt-4.1": 0.011, "cartesia": 0.02}
REALTIME, UNKNOWN = "realtime=openai-realtime", "nope+gpt4o-mini"
ASSUMED = "tts=elevenlabs"
SOURCE = "https://deepgram.example/pricing"
HARDER = "maria~loss=5%"
LINES = ("Hi, I'm Maria, from Lisbon & Porto.", "Wait, can there be a <bear> in it?", "That was lovely. Goodbye.")
LOST = 7.777
"""The latency of an answer in the call that failed."""


def kept_run(folder: Path, *, repetitions: int = 4) -> Path:
    """Make it in `folder`: 2 x 2 x 2 stacks, which are held under worse conditions, too, a realtime model and
    one that can't be built; one call failed, the prices of a voice are assumed, and the recordings are a second of
    silence."""
    about = {
        "request": {"transport": "process", "seed": 0, "scenarios": ["maria"], "emulate": {"profile": "typical"}},
        "machine": {"system": "Linux", "cores": 2, "packages": {"livekit-agents": "1.2"}},
        "prices": {
            "deepgram stt nova-3": {"units": {"audio_minute": 0.0043}, "source": SOURCE, "date": "2026-11-01"},
            "elevenlabs tts *": {"units": {"kchars": 0.1}, "source": "", "date": ""},
        },
    }
    (folder / RECORDINGS).mkdir(parents=True)
    silence = np.zeros(SAMPLE_RATE, np.int16)
    with Results.create(folder, about) as results:
        for result in _cells(repetitions):
            results.add(result)
            if result.outcome.recording:
                recording = Recording(folder / RECORDINGS / result.outcome.recording)
                recording.write(silence, silence)
                recording.commit()
    return folder


def _cells(repetitions: int) -> Iterator[Result]:
    chance = random.Random(1)
    products = itertools.product(
        ("deepgram", "cartesia/ink-2"), ("gpt4o-mini", "openai/gpt-4.1"), ("cartesia", "elevenlabs")
    )
    stacks = [f"stt={stt}+llm={llm}+tts={tts}" for stt, llm, tts in products]
    for repetition in range(1, repetitions + 1):
        for stack in [*stacks, REALTIME]:
            yield Result(stack, "maria", repetition, _call(stack, repetition, chance))
    for stack in stacks:
        yield Result(stack, HARDER, 1, _call(stack, repetitions + 1, chance))
    yield Result(stacks[0], "maria", repetitions + 1, _failed())
    yield Result(UNKNOWN, "maria", 1, Outcome(UNBUILT, "stack", "unknown model 'nope'"))


def _call(stack: str, repetition: int, chance: random.Random) -> Outcome:
    choices = [part.partition("=")[2] for part in stack.split("+")]
    slow = [SLOW.get(choice, 0.2) * chance.uniform(0.9, 1.4) for choice in choices]
    turns = tuple(_turn(n, stack, [s * chance.uniform(0.9, 1.3) for s in slow]) for n in (1, 2, 3))
    cost = sum(DEAR.get(choice, 0.03) for choice in choices)
    return Outcome(
        OK, ended="finished", duration=60.0, greeting=0.5, turns=turns, words=18, errors=int("cartesia/ink-2" in stack),
        handoff_gaps=(turns[0].latency or 0.0,), facts={"name": True}, handoffs_right=True, cost=cost,
        cost_by={"intro llm": cost / 3, "story tts": cost / 1.5}, assumed=ASSUMED in stack, opening="Hello! I'm Echo.",
        recording=f"{choices[0].replace('/', '-')} #{repetition}.wav", dead_air=2.1, talk_over=0.3,
        faults={"tts": 1}, retried={"tts": 1}, retries=1,
    )  # fmt: skip


def _turn(number: int, stack: str, slow: list[float]) -> TurnFigures:
    if stack == REALTIME:
        stages = {"turn": 0.2, "realtime": 0.5 * slow[0] / 0.2, "line": 0.03}
    else:
        stages = {"stt": slow[0], "turn": 0.05, "llm": slow[1], "tts": slow[2], "line": 0.03}
    broke_in = number == 2
    return TurnFigures(
        number, 0.0, 2.0, round(sum(stages.values()), 4), barged=broke_in, broke_in=broke_in,
        stopped=0.31 if broke_in else None, handoff=number == 1, final=stages.get("stt"), llm=stages.get("llm"),
        tts=stages.get("tts"), realtime=stages.get("realtime"), stages=stages, said=LINES[number - 1],
        heard=LINES[number - 1].replace("bear", "beer"), reply="Nice to meet you, Maria!",
    )  # fmt: skip


def _failed() -> Outcome:
    turn = TurnFigures(1, 0.0, 2.0, LOST, stages={"llm": LOST}, said=LINES[0], heard=LINES[0], reply="Well")
    return Outcome(FAILED, "tts", "status 500", ended="error", turns=(turn,))
