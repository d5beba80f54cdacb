"""The recorded callers as livekit frames, and how far what was heard is from what they say."""

from __future__ import annotations

import re
import wave
from pathlib import Path

import numpy as np
from livekit import rtc

CALLERS = Path(__file__).parents[2] / "callers"


def recording(name: str, *, silence: float = 1.0) -> list[rtc.AudioFrame]:
    """A recording and the silence that a caller leaves after it, in frames of 20 ms at the file's own rate."""
    with wave.open(str(CALLERS / name)) as file:
        rate = file.getframerate()
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    sound = np.concatenate([sound, np.zeros(int(silence * rate), np.int16)])
    size = rate // 50
    return [
        rtc.AudioFrame(sound[at : at + size].tobytes(), rate, 1, size) for at in range(0, len(sound) - size + 1, size)
    ]


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z' ]", "", text.lower().replace("-", "").replace("i am ", "i'm ")).split()


def misheard(expected: str, heard: str) -> int:
    """Word errors: insertions, deletions and substitutions."""
    reference, hypothesis = words(expected), words(heard)
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        before, row[0] = row[:], i
        for j, other in enumerate(hypothesis, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (word != other))
    return row[-1]
