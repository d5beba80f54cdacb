"""The words of the agent, told as they are heard."""

from __future__ import annotations

import numpy as np
from livekit.agents.voice.io import AudioOutput, TextOutput
from livekit.agents.voice.transcription import TranscriptSynchronizer
from livekit.agents.voice.transcription._speaking_rate import SpeakingRateDetector, SpeakingRateStream

STEP_SECONDS = 0.1
WINDOW_SECONDS = 0.2
"""That is judged at each step; has to be longer than it (livekit loops for ever otherwise)."""
QUIET = 0.005
"""Loudness (root mean square, 1 is full scale) below which nobody speaks; livekit's own threshold."""


class Synchronizer(TranscriptSynchronizer):
    """livekit's synchronizer, without its estimate of how fast is spoken.

    livekit (1.8.9) takes about eighty Fourier transforms for each tenth of a second, on the event loop: 30 to 45 ms a
    second of speech at 24 kHz. Where a vendor sends a whole answer at once, its first sound waits behind that. That
    words pass while there is sound, and none in a pause, is enough to tell which were heard, and takes 1 to 2 ms.
    """

    def __init__(self, *, next_in_chain_audio: AudioOutput, next_in_chain_text: TextOutput | None) -> None:
        super().__init__(next_in_chain_audio=next_in_chain_audio, next_in_chain_text=next_in_chain_text)
        self._opts.speaking_rate_detector = _VoicedTime(window_size=WINDOW_SECONDS, step_size=STEP_SECONDS)
        self.rotate_segment()  # the first one has a detector already


class _VoicedTime(SpeakingRateDetector):
    def stream(self) -> SpeakingRateStream:
        return _VoicedTimeStream(self, self._opts)


class _VoicedTimeStream(SpeakingRateStream):
    def _compute_speaking_rate(self, audio: np.ndarray[tuple[int], np.dtype[np.float32]], sample_rate: int) -> float:
        return float(np.sqrt(np.dot(audio, audio) / len(audio)) >= QUIET)
