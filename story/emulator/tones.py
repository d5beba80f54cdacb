"""A voice of tones: as long as speech would be, at no cost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from story.emulator.brain import SPEECH_RATE

WORDS_A_SECOND = 2.8
"""How fast the on-device voice speaks, in words; a call of tones lasts as long as a real one."""
SHORTEST = 0.3
_HERTZ = 220
_AMPLITUDE = 0.25


class Tones:
    """Says every text as one tone."""

    async def speak(self, text: str, *, voice: str | None = None) -> AsyncIterator[bytes]:
        """One stretch of sound, as long as the words take."""
        if text.strip():
            yield tone(seconds_of(text))

    async def aclose(self) -> None:
        pass


def seconds_of(text: str) -> float:
    """How long `text` takes to say."""
    return max(SHORTEST, len(text.split()) / WORDS_A_SECOND)


def tone(seconds: float, rate: int = SPEECH_RATE) -> bytes:
    """s16le mono that fades in and out over 10 ms."""
    samples = np.resize(_second(rate), int(seconds * rate))
    edge = min(rate // 100, len(samples) // 2)
    rising = np.arange(edge) / (rate / 100)
    for end in (samples[:edge], samples[::-1][:edge]):
        end[:] = end * rising
    return samples.tobytes()


@cache
def _second(rate: int) -> NDArray[np.int16]:
    """A second of the tone, which goes on from its end to its beginning: as many waves as hertz."""
    times = np.arange(rate, dtype=np.float64) / rate
    return (np.sin(2 * np.pi * _HERTZ * times) * _AMPLITUDE * 32767).astype("<i2")
