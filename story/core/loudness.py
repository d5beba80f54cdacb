"""How loud the caller is, and since when they are not."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from livekit import rtc
    from livekit.agents.voice.agent_activity import AgentActivity

QUIET_SHARE = 0.1
"""Of the loudest sound of a voice; less is quiet, some 80 ms before a detector of voice says so."""
REMEMBERED_SECONDS = 30.0
"""Of the caller's sound. Realtime models wait for up to eight before they take a turn to be over."""


def loudness(samples: np.typing.NDArray[np.int16]) -> float:
    """Root mean square of s16le mono."""
    return float(np.sqrt(np.mean(samples.astype(np.float32) ** 2))) if len(samples) else 0.0


class LastSound:
    """When the caller of a realtime model was last heard.

    Such a model tells that a turn is over once it has been silent for as long as the model sees fit, and not for how
    long that was.
    """

    def __init__(self) -> None:
        self._heard: deque[tuple[float, float]] = deque()

    @classmethod
    def of(cls, activity: AgentActivity | None) -> LastSound | None:
        """Put in place for an activity; None for one that hears ends of speech itself, or of which no model tells."""
        if activity is None or activity.realtime_llm_session is None or activity.vad is not None:
            return None
        last, push_audio = cls(), activity.push_audio

        def push(frame: rtc.AudioFrame) -> None:
            last.hear(np.frombuffer(frame.data, np.int16), time.time())
            push_audio(frame)

        activity.push_audio = push  # type: ignore[method-assign]
        return last

    def hear(self, samples: np.typing.NDArray[np.int16], at: float) -> None:
        """More of the caller's sound, s16le mono, which ends at `at` (seconds, as `time.time` counts them)."""
        self._heard.append((at, loudness(samples)))
        while self._heard[0][0] < at - REMEMBERED_SECONDS:
            self._heard.popleft()

    def ended(self, told: float) -> float:
        """When what the caller said was over, which the model has `told`. What was heard is then forgotten."""
        loudest = max((loud for _, loud in self._heard), default=0.0)
        ends = [at for at, loud in self._heard if loud > QUIET_SHARE * loudest]
        self._heard.clear()
        return min(told, ends[-1]) if ends else told
