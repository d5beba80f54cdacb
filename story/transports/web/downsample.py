"""From the rate that Opus decodes to, to the rate that a call is heard at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from story.transports.sound import Samples

TAPS_PER_STEP = 16
"""Of the filter, for each sample that becomes one: -60 dB from a tenth above the new Nyquist frequency on."""
PASSED = 0.9
"""Of the new Nyquist frequency, what passes the filter."""


class Downsampler:
    """Makes every `factor` samples of a stream into one, in a few microseconds a packet.

    PyAV's resampler would do as well, but builds a graph of filters around each frame.
    """

    def __init__(self, factor: int) -> None:
        self._factor = factor
        self._taps = taps = factor * TAPS_PER_STEP
        at = np.arange(taps) - (taps - 1) / 2
        kernel = np.hamming(taps) * np.sinc(at * PASSED / factor)
        self._kernel: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
        self._sound = np.zeros(taps - 1, np.float32)  # what is still needed of the sound before, then the new
        self._windows = self._windows_of(self._sound)

    def __call__(self, samples: Samples) -> Samples:
        """The next stretch of the stream; its length is a multiple of the factor."""
        before = self._sound[len(self._sound) - self._taps + 1 :]
        if len(self._sound) != self._taps - 1 + len(samples):
            self._sound = np.concatenate([before, samples]).astype(np.float32)
            self._windows = self._windows_of(self._sound)
        else:
            self._sound[: self._taps - 1] = before.copy()
            self._sound[self._taps - 1 :] = samples
        made = np.dot(self._windows, self._kernel)
        clipped: Samples = np.clip(made, -32768, 32767, out=made).astype(np.int16)
        return clipped

    def _windows_of(self, sound: NDArray[np.float32]) -> NDArray[np.float32]:
        """A row for every sample that is made: a view, so that it need not be made anew for each packet."""
        if len(sound) < self._taps:
            return np.zeros((0, self._taps), np.float32)
        return np.lib.stride_tricks.sliding_window_view(sound, self._taps)[:: self._factor]
