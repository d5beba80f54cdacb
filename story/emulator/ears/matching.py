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

from story.emulator.ears.clips import Template
from story.emulator.hearing import FRAME_SECONDS, Frames

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
_SMOOTH = np.array([0.25, 0.5, 0.25], np.float32)

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
        self._padded = [np.pad(clip.loudness, EDGE_FRAMES) for clip in self._clips]
        gap = np.full(COMPARED_FRAMES, -FLOOR_DB, np.float32)
        self._starts = np.cumsum([0, *(len(padded) + COMPARED_FRAMES for padded in self._padded)])
        pieces = [piece for padded in self._padded for piece in (shape(padded), gap)]
        self._line: Array = np.concatenate(pieces) if pieces else gap
        zero = np.zeros(1)
        self._sums = np.concatenate([zero, np.cumsum(self._line, dtype=np.float64)])
        self._squares = np.concatenate([zero, np.cumsum(self._line.astype(np.float64) ** 2)])

    def find(self, heard: Frames) -> Match | None:
        """The place that a stretch is most like; None for one that is too short or has no shape."""
        if len(heard) < LEAST_FRAMES or not self._clips:
            return None
        wanted = shape(heard[:COMPARED_FRAMES])
        count = len(wanted)
        wanted = wanted - wanted.mean()
        norm = float(np.sqrt((wanted**2).sum()))
        if norm == 0.0:
            return None
        size = 1 << (len(self._line) + count - 1).bit_length()
        products = np.fft.irfft(np.fft.rfft(self._line, size) * np.conj(np.fft.rfft(wanted, size)), size)
        sums = self._sums[count:] - self._sums[:-count]
        squares = self._squares[count:] - self._squares[:-count]
        spread = np.sqrt(np.maximum(squares - sums**2 / count, 1e-6))
        best = int(np.argmax(products[: len(spread)] / spread))
        index = int(np.searchsorted(self._starts, best, side="right")) - 1
        return self._compared(heard, index, best - int(self._starts[index]), slack=2)

    def near(self, heard: Frames, clip: Template, offset: float) -> Match | None:
        """How far a stretch is from `clip` near `offset` seconds; None for one that is too short."""
        if len(heard) < LEAST_FRAMES or clip not in self._clips:
            return None
        place = round(offset / FRAME_SECONDS) + EDGE_FRAMES
        return self._compared(heard, self._clips.index(clip), place, slack=SLACK_FRAMES)

    def _compared(self, heard: Frames, index: int, place: int, *, slack: int) -> Match | None:
        padded = self._padded[index]
        wanted = heard[:COMPARED_FRAMES]
        best: Match | None = None
        for start in range(max(0, place - slack), place + slack + 1):
            there = padded[start : start + len(wanted)]
            if not there.any():
                continue
            there = np.pad(there, (0, len(wanted) - len(there)))
            decibels = _difference(shape(wanted), shape(there))
            if best is None or decibels < best.decibels:
                best = Match(self._clips[index], (start - EDGE_FRAMES) * FRAME_SECONDS, decibels)
        return best


def shape(loudness: Frames) -> Array:
    """Loudness in decibels below its peak, smoothed over three frames."""
    smooth = np.convolve(loudness, _SMOOTH, mode="same")
    peak = max(float(smooth.max(initial=0.0)), 1e-6)
    decibels = 20 * np.log10(np.maximum(smooth / peak, 1e-6))
    floored: Array = np.maximum(decibels, -FLOOR_DB).astype(np.float32)
    return floored


def _difference(one: Array, other: Array) -> float:
    difference = one - other
    difference = difference - difference.mean()
    sounding = (one > -SOUND_DB) | (other > -SOUND_DB)
    return float(np.sqrt((difference[sounding] ** 2).mean()))
