"""How much of a measured time is the plugin's: as read in the plugins, and as they were seen to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """Seconds. before, after: at most, before the vendor has what it answers, and after it has sent its first result.
    unseen: of those before, what no vendor can see, since even the quickest of the sound takes so long."""

    before: float
    after: float
    unseen: float = 0.0


_RESAMPLED = 0.035
"""livekit's resampler gives its sound in pieces, 5 to 38 ms late. Chunks that are sent at ticks of 20 ms are 10 to
20 ms late at the least, those of a realtime model's 5 ms."""
_SHARES: Mapping[tuple[str, str], Share] = {
    ("deepgram", "stt"): Share(0.05 + 0.015 + _RESAMPLED, 0.01, 0.015),  # chunks of 50 ms
    ("elevenlabs", "stt"): Share(0.05 + 0.015 + _RESAMPLED, 0.01, 0.015),
    ("cartesia", "stt"): Share(0.16 + 0.02 + _RESAMPLED, 0.01, 0.02),  # chunks of 160 ms
    # until the VAD on this machine has made out the silence that is there already, and the recording has come
    ("*", "recording"): Share(0.05, 0.01, 0.02),
    ("*", "stt"): Share(0.16 + 0.02 + _RESAMPLED, 0.01, 0.02),
    ("openai", "speech"): Share(0.1 + 0.005 + _RESAMPLED, 0.01, 0.005),  # chunks of 100 ms
    ("*", "llm"): Share(0.01, 0.01),
    ("*", "realtime"): Share(0.01, 0.01),
    ("*", "tts"): Share(0.01, 0.01),
    ("elevenlabs", "tts"): Share(0.01, 0.02),  # mp3
    ("openai", "tts"): Share(0.01, 0.02),  # mp3
    # to the ear: a tick of the line, and what of the sound is silence: 1105 samples of each mp3
    ("*", "ear"): Share(0.05, 0.04),
    ("elevenlabs", "ear"): Share(0.05, 0.09),
    ("openai", "ear"): Share(0.05, 0.09),
}


def share_of(vendor: str, role: str) -> Share:
    """The share of a vendor's plugin in a role; that of any vendor's where it has none of its own."""
    return _SHARES.get((vendor, role)) or _SHARES["*", role]
