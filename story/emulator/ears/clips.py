"""Recorded clips and the words in them."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from story.core.errors import ConfigError
from story.core.textfile import read_text
from story.emulator.audio import AudioError, decode
from story.emulator.hearing import FRAME_SECONDS, LOUD, Word
from story.emulator.json_text import load_json

PAUSE_FRAMES = 8
"""Of silence; less is inside a word."""
LOWEST_RATE = 1000
"""Samples a second of a clip."""
SHORTEST_SECONDS = 0.25
"""Of a clip; what is shorter is like too much else."""
LONGEST_SECONDS = 86_400.0

Loudness = NDArray[np.float32]
"""The root mean square of each 10 ms frame."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording. words: with their times in it, seconds. pcm: s16le mono at `rate` Hz."""

    name: str
    words: tuple[Word, ...]
    pcm: bytes
    rate: int

    def at(self, rate: int) -> Template:
        """As it sounds at a sample rate of at most `rate` Hz: hissing sounds get lost on the way to a telephone."""
        samples = np.frombuffer(self.pcm, "<i2").astype(np.float32)
        if rate < self.rate:
            spectrum = np.fft.rfft(samples)
            spectrum[round(len(spectrum) * rate / self.rate) :] = 0
            samples = np.fft.irfft(spectrum, len(samples)).astype(np.float32)
        size = round(self.rate * FRAME_SECONDS)
        frames = samples[: len(samples) // size * size].reshape(-1, size)
        loudness: Loudness = (np.sqrt((frames**2).mean(axis=1)) / 32768).astype(np.float32)
        return Template(self.name, self.words, loudness)


@dataclass(frozen=True, eq=False)
class Template:
    """A clip as it is compared. loudness: the root mean square of its 10 ms frames (1: full scale)."""

    name: str
    words: tuple[Word, ...]
    loudness: Loudness

    @cached_property
    def sounds(self) -> tuple[int, ...]:
        """The frames at which sound begins after a pause, or after nothing."""
        loud = np.flatnonzero(self.loudness > LOUD)
        return tuple(loud[np.diff(loud, prepend=-PAUSE_FRAMES - 1) > PAUSE_FRAMES].tolist())


def load_clips(path: Path) -> tuple[Clip, ...]:
    """The clips that a JSON file names.

    It is an object, of which every list `turns` anywhere in it holds clips: `file` (relative to the JSON), and `words`,
    each `[word, start, end]` in seconds. `scripts/word-times` adds `words` to entries that have a `text` alone.

    Raises:
        ConfigError: the file or one of its clips can't be used.
    """
    try:
        data = load_json(read_text(path))
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON: {error}") from None
    clips = tuple(_clip(path, entry) for entry in _entries(data))
    if not clips:
        raise ConfigError(f"{path} names no clips: it needs lists `turns` of objects with `file` and `words`")
    return clips


def _entries(data: object) -> Iterator[object]:
    if isinstance(data, dict):
        for name, value in data.items():
            if name == "turns" and isinstance(value, list):
                yield from value
            else:
                yield from _entries(value)
    elif isinstance(data, list):
        for value in data:
            yield from _entries(value)


def _clip(path: Path, entry: object) -> Clip:
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise ConfigError(f"{path}: an entry of `turns` has no `file`")
    name = entry["file"]
    if not isinstance(entry.get("words"), list):
        raise ConfigError(f"{path}: {name} has no `words`: add them with scripts/word-times {path}")
    words = tuple(_word(path, name, word) for word in entry["words"])
    if any(later.start < word.start for word, later in pairwise(words)):
        raise ConfigError(f"{path}: the words of {name} are not in the order of their times")
    try:
        pcm, rate = _recording(path.parent / name)
    except (OSError, ValueError, AudioError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{path}: {name} can't be read: {reason}") from None
    if rate < LOWEST_RATE:
        raise ConfigError(f"{path}: {name} has {rate} samples a second, too few for speech")
    if len(pcm) / 2 / rate < SHORTEST_SECONDS:
        raise ConfigError(f"{path}: {name} is too short to be recognised: it needs {SHORTEST_SECONDS:g} s of sound")
    return Clip(name, words, pcm, rate)


def _recording(file: Path) -> tuple[bytes, int]:
    """A recording as s16le mono, and its rate. A plain WAV does without a decoder, which takes long to import."""
    data = file.read_bytes()
    try:
        with wave.open(io.BytesIO(data)) as sound:
            if (sound.getnchannels(), sound.getsampwidth()) == (1, 2):
                return sound.readframes(sound.getnframes()), sound.getframerate()
    except (wave.Error, EOFError):
        pass
    return decode(data)


def _word(path: Path, name: str, entry: object) -> Word:
    if isinstance(entry, list) and len(entry) == 3:
        text, start, end = entry
        numbers = all(isinstance(time, int | float) and not isinstance(time, bool) for time in (start, end))
        if isinstance(text, str) and numbers and 0 <= start <= end <= LONGEST_SECONDS:
            return Word(text, float(start), float(end))
    raise ConfigError(f"{path}: a word of {name} is not of the form [word, start, end] with seconds")
