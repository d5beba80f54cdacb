"""Recorded clips and the words in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from story.core.errors import ConfigError
from story.core.textfile import read_text
from story.emulator.audio import AudioError, decode, resample
from story.emulator.hearing import FRAME_SECONDS, Frames, Word

LOWER_RATES = (8_000, 16_000)
"""Hz, of telephones and of recognisers. What they lose, hissing sounds above all, changes how loud a word is."""
HIGHEST_RATE = 192_000


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording. words: with their times in it, seconds.

    loudness: the root mean square of its 10 ms frames at a sample rate of `rate` (Hz).
    """

    name: str
    words: tuple[Word, ...]
    loudness: Frames
    rate: int


def load_clips(path: Path) -> tuple[Clip, ...]:
    """The clips that a JSON file names, each as it is and at the sample rates that recognisers and telephones have.

    It is an object, of which every list `turns` anywhere in it holds clips: `file` (relative to the JSON), and `words`,
    each `[word, start, end]` in seconds. `scripts/word-times` adds `words` to entries that have a `text` alone.

    Raises:
        ConfigError: the file or one of its clips can't be used.
    """
    try:
        data = json.loads(read_text(path))
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON: {error}") from None
    clips = tuple(clip for entry in _entries(data) for clip in _clips(path, entry))
    if not clips:
        raise ConfigError(f"{path} names no clips: it needs lists `turns` of objects with `file` and `words`")
    return clips


def loudness_of(pcm: bytes, rate: int) -> Frames:
    """The root mean square (1: full scale) of each 10 ms of s16le mono."""
    size = round(rate * FRAME_SECONDS)
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    loudness: Frames = (np.sqrt((frames**2).mean(axis=1)) / 32768).astype(np.float32)
    return loudness


def _entries(data: object) -> Iterator[object]:
    if isinstance(data, dict):
        for name, value in data.items():
            if name == "turns" and isinstance(value, list):
                yield from value
            else:
                yield from _entries(value)


def _clips(path: Path, entry: object) -> Iterator[Clip]:
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise ConfigError(f"{path}: an entry of `turns` has no `file`")
    name = entry["file"]
    if not isinstance(entry.get("words"), list):
        raise ConfigError(f"{path}: {name} has no `words`: add them with scripts/word-times {path}")
    words = tuple(_word(path, name, word) for word in entry["words"])
    if any(later.start < word.start for word, later in pairwise(words)):
        raise ConfigError(f"{path}: the words of {name} are not in the order of their times")
    file = path.parent / name
    try:
        pcm, rate = decode(file.read_bytes())
    except (OSError, AudioError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{path}: {name} can't be read: {reason}") from None
    for lower in (*(lower for lower in LOWER_RATES if lower < rate), rate):
        kept = HIGHEST_RATE if lower == rate else lower
        yield Clip(name, words, loudness_of(resample(pcm, rate, lower), lower), kept)


def _word(path: Path, name: str, entry: object) -> Word:
    if isinstance(entry, list) and len(entry) == 3:
        text, start, end = entry
        numbers = all(isinstance(time, int | float) and not isinstance(time, bool) for time in (start, end))
        if isinstance(text, str) and numbers and 0 <= start <= end:
            return Word(text, float(start), float(end))
    raise ConfigError(f"{path}: a word of {name} is not of the form [word, start, end] with seconds")
