"""A second pair of ears: what an independent recogniser hears in a recording, and how far that is from the words."""

from __future__ import annotations

import re
import wave
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from story.providers.local import store

CALLER, AGENT = 0, 1
WHISPER_RATE = 16000

NUMBER_WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
NUMBERS = {str(number): word for number, word in enumerate(NUMBER_WORDS)}


def words(text: str) -> list[str]:
    """The words of a text as they are spoken: no case, no punctuation, contractions written out alike."""
    text = text.lower().replace("’", "'").replace("-", " ")
    for short, long in (("i'm", "i am"), ("let's", "let us"), ("it's", "it is"), ("what's", "what is")):
        text = text.replace(short, long)
    return [NUMBERS.get(word, word) for word in re.findall(r"[a-z0-9']+", text)]


def word_errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """The fewest words to change, drop or add to make `heard` of `said`."""
    row = list(range(len(heard) + 1))
    for count, word in enumerate(said, start=1):
        previous, row[0] = row[0], count
        for index, other in enumerate(heard, start=1):
            previous, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, previous + (word != other))
    return row[-1]


def channel(path: Path, number: int) -> np.ndarray:
    """One channel of a 16-bit recording as float32 at 16 kHz."""
    with wave.open(str(path)) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        sound = sound.reshape(-1, file.getnchannels())[:, number].astype(np.float32) / 32768
        rate = file.getframerate()
    return resampled(sound, rate)


def resampled(sound: np.ndarray, rate: int) -> np.ndarray:
    """Sound of `rate` Hz as float32 at 16 kHz."""
    length = int(len(sound) * WHISPER_RATE / rate)
    return np.interp(np.arange(length) * rate / WHISPER_RATE, np.arange(len(sound)), sound).astype(np.float32)


def transcribe(sound: np.ndarray) -> str:
    """What whisper tiny.en hears in float32 mono sound at 16 kHz."""
    segments, _ = _whisper().transcribe(sound, language="en", beam_size=5, condition_on_previous_text=False)
    return " ".join(segment.text.strip() for segment in segments)


@cache
def _whisper():
    from faster_whisper import WhisperModel

    files = store.locate("whisper-tiny.en")
    assert files is not None, "run `story models pull whisper-tiny.en` first"
    folder = files["model.bin"].parent
    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True)
