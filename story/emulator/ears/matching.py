"""Which recorded clip is being heard, and where in it, by the shape of its loudness alone.

Levels, sample rates and codecs change the samples of a recording, but hardly how loud it is from one hundredth of a
second to the next, relative to itself. What was heard is slid along all clips to the place where the two go up and down
together best (normalised cross-correlation of loudness in decibels), and it is that clip if they differ by no more than
a few decibels there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from story.emulator.ears.clips import Loudness, Template
from story.emulator.hearing import FRAME_SECONDS

FLOOR_DB = 40.0
"""Under the loudest frame; what is softer is silence."""
SOUND_DB = 30.0
"""Frames that are softer than this on both sides are not compared: noise makes them what they are."""
EDGE_FRAMES = 30
"""Of silence before and after a clip."""
LEAST_FRAMES = 25
"""Shorter stretches say too little."""
LONG_FRAMES = 60
COMPARED_FRAMES = 300
"""Of a longer stretch the first 3 s tell it apart."""
SLACK_FRAMES = 6
"""By which a pause may have been stretched on the way."""
CLOSE_DB = 0.5
"""A place where a clip's sound begins that differs by no more saves the search everywhere else."""
BEGINNING_FRAMES = 3
"""By which the beginning of a sound may be heard earlier or later."""
_FLAT = 1.0
"""dB²: a stretch that varies by less has no shape."""
_SOFTEST = np.float32(1e-6)
_FLOOR = np.float32(10 ** (-FLOOR_DB / 20))

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Match:
    """A clip, the second of it at which the stretch began, and how far the two are apart: decibels, root mean square.

    Of recordings of callers, the same one was found within 0.2 dB after Opus, noise and changes of level, within 2 dB
    with its beginning cut off; others were 1.1 dB away for a third of a second and 3 dB for longer stretches.
    """

    clip: Template
    offset: float
    decibels: float


class Matcher:
    """Finds stretches of sound in clips."""

    def __init__(self, clips: Sequence[Template]) -> None:
        self._clips = tuple(clips)
        tail = EDGE_FRAMES + COMPARED_FRAMES + SLACK_FRAMES
        self._padded = [np.pad(clip.loudness, (EDGE_FRAMES, tail)) for clip in self._clips]
        lengths = [EDGE_FRAMES + len(clip.loudness) + EDGE_FRAMES for clip in self._clips]
        gap = np.full(COMPARED_FRAMES, -FLOOR_DB, np.float32)
        self._starts = np.cumsum([0, *(length + COMPARED_FRAMES for length in lengths)])
        shapes = [shape(padded[:length]) for padded, length in zip(self._padded, lengths, strict=True)]
        self._line: Array = np.concatenate([piece for told in shapes for piece in (told, gap)] or [gap])
        self._size = _transformed(len(self._line))
        self._spectrum = np.fft.rfft(self._line, self._size)
        zero = np.zeros(1)
        self._sums = np.concatenate([zero, np.cumsum(self._line, dtype=np.float64)])
        self._squares = np.concatenate([zero, np.cumsum(self._line.astype(np.float64) ** 2)])
        around = np.arange(-BEGINNING_FRAMES, BEGINNING_FRAMES + 1)
        beginnings = [
            start + EDGE_FRAMES + begin
            for start, clip in zip(self._starts[:-1], self._clips, strict=True)
            for begin in clip.sounds
        ]
        self._beginnings = np.unique(np.add.outer(beginnings, around)) if beginnings else np.zeros(0, np.int64)

    def find(self, heard: Loudness) -> Match | None:
        """The place that a stretch is most like; None for one that is too short."""
        if len(heard) < LEAST_FRAMES or not self._clips:
            return None
        if len(self._beginnings):
            match = self._at(self._likeliest_beginning(heard[:LONG_FRAMES]), heard)
            if match is not None and match.decibels <= CLOSE_DB:
                return match
        return self._at(self._likeliest(heard[:COMPARED_FRAMES]), heard)

    def _at(self, place: int, heard: Loudness) -> Match | None:
        index = int(np.searchsorted(self._starts, place, side="right")) - 1
        return self._compared(heard, index, place - int(self._starts[index]), slack=2)

    def _likeliest_beginning(self, heard: Loudness) -> int:
        """Where on the line of all clips a stretch goes up and down as one that begins there after silence."""
        wanted = _level(heard)
        stretches = self._line[self._beginnings[:, np.newaxis] + np.arange(len(wanted))]
        likeness = stretches.dot(wanted) / np.sqrt(np.maximum(stretches.var(axis=1), _FLAT))
        return int(self._beginnings[np.argmax(likeness)])

    def _likeliest(self, heard: Loudness) -> int:
        """Where on the line of all clips a stretch goes up and down as the one there, wherever it begins."""
        count = len(heard)
        # The gaps keep the end of the line from being compared with its beginning.
        products = np.fft.irfft(self._spectrum * np.fft.rfft(_level(heard), self._size).conj(), self._size)
        sums = self._sums[count:] - self._sums[:-count]
        squares = self._squares[count:] - self._squares[:-count]
        spread = np.sqrt(np.maximum(squares - sums**2 / count, _FLAT * count))
        return int(np.argmax(products[: len(spread)] / spread))

    def near(self, heard: Loudness, clip: Template, offset: float) -> Match | None:
        """How far a stretch is from `clip` near `offset` seconds; None for one that is too short."""
        if len(heard) < LEAST_FRAMES or clip not in self._clips:
            return None
        place = round(offset / FRAME_SECONDS) + EDGE_FRAMES
        return self._compared(heard, self._clips.index(clip), place, slack=SLACK_FRAMES)

    def _compared(self, heard: Loudness, index: int, place: int, *, slack: int) -> Match | None:
        padded = self._padded[index]
        wanted = heard[:COMPARED_FRAMES]
        starts = np.arange(max(0, place - slack), min(place + slack + 1, len(padded) - COMPARED_FRAMES))
        stretches = padded[starts[:, np.newaxis] + np.arange(len(wanted))]
        sounding = stretches.any(axis=1)
        starts, stretches = starts[sounding], stretches[sounding]
        if not len(starts):
            return None
        decibels = _differences(shape(wanted), shape(stretches))
        best = int(np.argmin(decibels))
        offset = (int(starts[best]) - EDGE_FRAMES) * FRAME_SECONDS
        return Match(self._clips[index], offset, float(decibels[best]))


def shape(loudness: Loudness) -> Array:
    """Loudness in decibels below its peak, smoothed over three frames. Of several stretches (rows), each by itself."""
    smooth = loudness * np.float32(0.5)
    smooth[..., 1:] += loudness[..., :-1] * np.float32(0.25)
    smooth[..., :-1] += loudness[..., 1:] * np.float32(0.25)
    peak = np.maximum(smooth.max(axis=-1, keepdims=True, initial=0.0), _SOFTEST)
    decibels: Array = np.float32(20) * np.log10(np.maximum(smooth / peak, _FLOOR))
    return decibels


def _level(heard: Loudness) -> Array:
    """The shape of a stretch, around 0 dB."""
    told = shape(heard)
    level: Array = told - told.mean()
    return level


def _differences(one: Array, others: Array) -> Array:
    """How far each of `others` is from `one` where either sounds: decibels, root mean square."""
    differences = others - one
    differences -= differences.mean(axis=1, keepdims=True)
    sounding = (one > -SOUND_DB) | (others > -SOUND_DB)
    found: Array = np.sqrt((differences**2 * sounding).sum(axis=1) / sounding.sum(axis=1))
    return found


def _transformed(length: int) -> int:
    """The least length not under this one whose Fourier transform is quick."""
    power = 1 << (length - 1).bit_length()
    return next(size for size in (power * 5 // 8, power * 3 // 4, power) if size >= length)
