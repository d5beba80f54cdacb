"""An emulator in this process, with a mind that a test gives it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import numpy as np
import pytest

from story.emulator.brain import BrainError, Prompt, ToolCall
from story.emulator.emulation import Emulation
from story.emulator.hearing import Transcript, Word
from story.emulator.latency import Latencies, Profile
from story.emulator.server import Emulator
from story.emulator.tones import Tones
from story.emulator.vendor import Vendor

Answer = Callable[[Prompt], Sequence[str | ToolCall]]


@dataclass
class ScriptedBrain:
    """Answers with what `script` returns, a text word by word; remembers the prompts. A BrainError is raised."""

    script: Answer = lambda prompt: [f"You said: {prompt.caller[-1]}" if prompt.caller else "Hello there, caller."]
    prompts: list[Prompt] = field(default_factory=list)

    async def answer(self, prompt: Prompt) -> AsyncIterator[str | ToolCall]:
        self.prompts.append(prompt)
        for part in self.script(prompt):
            if isinstance(part, BrainError):
                raise part
            if isinstance(part, ToolCall):
                yield part
                continue
            first, *rest = part.split(" ")
            yield first
            for word in rest:
                yield f" {word}"

    async def aclose(self) -> None:
        pass


class SaidEars:
    """Hears the given lines, one an utterance, in order and over again; each word takes 300 ms."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines or ("What is the weather in Paris?",)
        self.utterances = 0
        self.abandoned = 0

    def listen(self, rate: int, start: float, previous: object = None) -> SaidUtterance:
        self.utterances += 1
        return SaidUtterance(self, self.lines[(self.utterances - 1) % len(self.lines)], start)

    async def aclose(self) -> None:
        pass


class SaidUtterance:
    def __init__(self, ears: SaidEars, line: str, start: float) -> None:
        self._ears = ears
        words = line.split()
        self.words = tuple(Word(word, start + 0.3 * i, start + 0.3 * (i + 1)) for i, word in enumerate(words))

    def feed(self, pcm: bytes, loudness: object) -> None:
        pass

    async def so_far(self, at: float) -> Transcript:
        return Transcript(tuple(word for word in self.words if word.end <= at - 0.15))

    async def if_ended(self, end: float) -> Transcript:
        return Transcript(self.words)

    async def final(self, end: float) -> Transcript:
        return Transcript(self.words)

    def abandon(self) -> None:
        self._ears.abandoned += 1


@pytest.fixture
async def emulator() -> AsyncIterator[Callable[..., object]]:
    """`await emulator(VENDOR, ..., brain=, voice=, ears=, profile=, keys=)`: a server that listens."""
    async with AsyncExitStack() as servers:

        async def start(
            *vendors: Vendor,
            brain: object = None,
            voice: object = None,
            ears: object = None,
            profile: Profile | None = None,
            keys: Sequence[str] = (),
        ) -> Emulator:
            emulation = Emulation(brain or ScriptedBrain(), voice or Tones(), ears or SaidEars())
            emulation.latencies = Latencies(profile) if profile else Latencies()
            emulation.keys = frozenset(keys)
            return await servers.enter_async_context(Emulator(emulation, vendors))

        yield start


def speech(seconds: float, rate: int = 16_000) -> bytes:
    """Sound that an energy detector takes for one utterance: s16le mono, a tone that swells and fades."""
    times = np.arange(int(seconds * rate)) / rate
    swell = 0.6 + 0.4 * np.sin(2 * math.pi * 3 * times)
    return (np.sin(2 * math.pi * 180 * times) * swell * 0.3 * 32767).astype("<i2").tobytes()


def silence(seconds: float, rate: int = 16_000) -> bytes:
    """Digital silence: s16le mono."""
    return bytes(2 * int(seconds * rate))
