"""What a caller hears over a connection, on the clock of what they say."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from story.bench.ear import AUDIBLE
from story.transports.sound import SAMPLE_RATE, Samples

PILE_SECONDS = 0.06
"""Of sound more than its delay, from which silence in it is left out."""


class Earpiece:
    """The caller's jitter buffer: sound that comes after none is held for `delay` seconds, then played without a break
    as long as there is more. Taken in steps of the caller's clock, it begins in them where it is due, to the sample.

    What has piled up (the event loop was busy) is made good in silences.
    """

    def __init__(self, delay: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._delay = delay
        self._clock = clock
        self._frames: deque[Samples] = deque()
        self._waiting = 0
        self._from = 0.0
        self._most = round((delay + PILE_SECONDS) * SAMPLE_RATE)

    def push(self, samples: Samples) -> None:
        """What came over the connection just now."""
        if not self._waiting:
            self._from = self._clock() + self._delay
        self._frames.append(samples)
        self._waiting += len(samples)
        while self._waiting > self._most and is_silent(self._frames[0]):
            self._waiting -= len(self._frames.popleft())

    def pull(self, count: int, at: float) -> Samples:
        """What is heard in the `count` samples from `at` on (the loop's clock, seconds)."""
        sound = np.zeros(count, np.int16)
        place = min(count, max(0, round((self._from - at) * SAMPLE_RATE)))
        while place < count and self._frames:
            head = self._frames.popleft()
            part = head[: count - place]
            if len(part) < len(head):
                self._frames.appendleft(head[len(part) :])
            sound[place : place + len(part)] = part
            place += len(part)
            self._waiting -= len(part)
        return sound


def is_silent(samples: Samples) -> bool:
    """Whether nobody can hear anything in it."""
    scaled = samples.astype(np.float32) / 32768
    return float(np.sqrt((scaled**2).mean())) <= AUDIBLE
