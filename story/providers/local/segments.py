"""Where one utterance begins and ends in a stream of voice activity probabilities.

Moonshine transcribes whole stretches of sound, so somebody has to cut them. Its own detector averages over half a
second, which is the half second a caller waits; this one reacts to single windows of 32 ms.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
WINDOW = 512
"""Samples a probability stands for: what the Silero detector takes."""
WINDOW_SECONDS = WINDOW / SAMPLE_RATE

Samples = NDArray[np.int16]


@dataclass(frozen=True)
class Pauses:
    """All lengths in seconds.

    onset, release: the probability that starts speech, and the one under which it pauses (Silero's own pair).
    attack: speech that must be there to count as a beginning.
    lead: sound before the beginning that is kept; Silero misses up to 0.3 s of a soft vowel ("Oh, I ...").
    tail: silence kept at the end. Moonshine drops last words that end at the edge (measured: 0.1 s is enough).
    hint: a pause after which the end is likely enough to transcribe ahead of it.
    end: a pause that ends the utterance.
    long: from this length on, the first hint ends it: transcription time grows with length.
    longest: cut here whatever is being said; Moonshine was trained on at most 30 s and rambles well before.
    """

    onset: float = 0.5
    release: float = 0.35
    attack: float = 0.064
    lead: float = 0.48
    tail: float = 0.096
    hint: float = 0.096
    end: float = 0.256
    long: float = 10.0
    longest: float = 16.0


class Cue(Enum):
    """What a window changed."""

    STARTED = "started"
    PAUSED = "paused"
    RESUMED = "resumed"
    ENDED = "ended"


@dataclass(frozen=True)
class Utterance:
    """start, end: seconds since the stream began, of the first and the last voiced window. voiced: seconds."""

    samples: Samples
    start: float
    end: float
    voiced: float


def _windows(seconds: float) -> int:
    return max(1, round(seconds / WINDOW_SECONDS))


class Segmenter:
    """Takes windows in order; `utterance()` is what has been said since the last STARTED."""

    def __init__(self, pauses: Pauses | None = None) -> None:
        self._pauses = pauses or Pauses()
        self._before: deque[Samples] = deque(maxlen=_windows(self._pauses.lead))
        self._said: list[Samples] = []
        self._position = 0
        self._first = self._last = 0
        self._voiced = 0
        self._run = 0
        self._silent = 0
        self._speaking = False

    @property
    def speaking(self) -> bool:
        """Between STARTED and ENDED."""
        return self._speaking

    @property
    def voiced(self) -> bool:
        """The latest window was part of what is being said."""
        return self._speaking and self._silent == 0

    @property
    def paused(self) -> bool:
        """In a silence long enough to be a hint."""
        return self._speaking and self._silent >= _windows(self._pauses.hint)

    def push(self, window: Samples, probability: float) -> list[Cue]:
        """Add one window of `WINDOW` samples; what it changed, in order."""
        self._position += 1
        if not self._speaking:
            return self._wait(window, probability)
        self._said.append(window)
        if probability >= self._pauses.release:
            cues = [Cue.RESUMED] if self.paused else []
            self._silent = 0
            self._voiced += 1
            self._last = self._position
            return [*cues, *self._cut_if_longest()]
        was_paused = self.paused
        self._silent += 1
        hinted = [Cue.PAUSED] if self.paused and not was_paused else []
        too_long = len(self._said) >= _windows(self._pauses.long)
        if self._silent >= _windows(self._pauses.hint if too_long else self._pauses.end):
            return [*hinted, *self.finish()]
        return hinted

    def finish(self) -> list[Cue]:
        """End the utterance now: nothing more is coming, or somebody asked for what there is."""
        if not self._speaking:
            return []
        self._speaking = False
        self._before.extend(self._said[len(self._said) - self._surplus() :])
        return [Cue.ENDED]

    def utterance(self) -> Utterance:
        """The sound from `lead` before the first word to `tail` after the last."""
        kept = self._said[: len(self._said) - self._surplus()]
        samples = np.concatenate(kept) if kept else np.zeros(0, np.int16)
        return Utterance(
            samples,
            start=self._first * WINDOW_SECONDS,
            end=self._last * WINDOW_SECONDS,
            voiced=self._voiced * WINDOW_SECONDS,
        )

    def _surplus(self) -> int:
        return max(0, self._silent - _windows(self._pauses.tail))

    def _wait(self, window: Samples, probability: float) -> list[Cue]:
        self._before.append(window)
        self._run = self._run + 1 if probability >= self._pauses.onset else 0
        if self._run < _windows(self._pauses.attack):
            return []
        self._begin(list(self._before), self._run)
        self._before.clear()
        return [Cue.STARTED]

    def _begin(self, said: list[Samples], voiced: int) -> None:
        self._said = said
        self._first, self._last = self._position - voiced, self._position
        self._voiced = voiced
        self._run = self._silent = 0
        self._speaking = True

    def _cut_if_longest(self) -> list[Cue]:
        if len(self._said) < _windows(self._pauses.longest):
            return []
        # The words go on: the next utterance begins with the next window. The one that ends must stay readable
        # until then, so it is closed here and reopened by the onset rule, of which the next window is a part.
        self._speaking = False
        self._run = _windows(self._pauses.attack)
        return [Cue.ENDED]
