"""A sound file for the microphone that Chromium makes up: clips with silence between them."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from story.transports.sound import SAMPLE_RATE, read_wav
from tests.transports.web.browser.running import CALLERS


def write_timeline(path: Path, *parts: float | str) -> str:
    """Write seconds of silence and names of clips of tests/callers; returns Chromium's option for that microphone."""
    sound = [
        np.zeros(int(part * SAMPLE_RATE), np.int16) if isinstance(part, float) else read_wav(CALLERS / f"{part}.wav")
        for part in parts
    ]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(2 * SAMPLE_RATE)  # Chromium's own
        file.writeframes(np.repeat(np.concatenate(sound), 2).astype("<i2").tobytes())
    return f"--use-file-for-fake-audio-capture={path}%noloop"
