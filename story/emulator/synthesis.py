"""Text into sound in a vendor's format."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from story.emulator.audio import AudioError, Format, at_speed, encoded
from story.emulator.brain import SPEECH_RATE
from story.emulator.emulation import Emulation
from story.emulator.vendor import VendorError


@dataclass(frozen=True)
class Speech:
    """A text as sound. data: coded as asked. seconds: how long it takes to hear."""

    text: str
    data: bytes
    seconds: float

    def word_times(self) -> list[tuple[str, float, float]]:
        """Each word with its start and end (seconds), as long as its share of the letters."""
        words = self.text.split()
        letters = sum(len(word) + 1 for word in words)
        times: list[tuple[str, float, float]] = []
        passed = 0
        for word in words:
            start = self.seconds * passed / letters
            passed += len(word) + 1
            times.append((word, start, self.seconds * passed / letters))
        return times

    def character_times(self) -> list[tuple[str, float, float]]:
        """Each character, spaces too, with its start and end (seconds)."""
        step = self.seconds / max(1, len(self.text))
        return [(char, index * step, (index + 1) * step) for index, char in enumerate(self.text)]


async def synthesise(
    emulation: Emulation, text: str, to: Format, *, voice: str | None = None, speed: float = 1.0
) -> Speech:
    """`text` spoken by the emulation's voice, `speed` times as fast; no sound for a text of spaces.

    Raises BrainError, and VendorError (400) for a rate that the codec lacks.
    """
    if not text.strip():
        return Speech(text, b"", 0.0)
    pcm = b"".join([piece async for piece in emulation.voice.speak(text, voice=voice)])
    if speed != 1:
        pcm = await asyncio.to_thread(at_speed, pcm, SPEECH_RATE, speed)
    try:
        data = await encoded(pcm, SPEECH_RATE, to)
    except AudioError as error:
        raise VendorError(400, str(error), "invalid_sample_rate") from None
    return Speech(text, data, len(pcm) / 2 / SPEECH_RATE)
