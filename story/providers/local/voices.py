"""The voices of the on-device models, by name; nothing here needs the models."""

from __future__ import annotations

HIBARI_VOICES = ("heart",)
"""What lies in the package; its others are fetched from a hub by hibari itself, past our catalogue."""

KOKORO_VOICES = (
    "af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river",
    "af_sarah", "af_sky", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_michael", "am_onyx", "am_puck",
    "am_santa", "bf_alice", "bf_emma", "bf_isabella", "bf_lily", "bm_daniel", "bm_fable", "bm_george", "bm_lewis",
)  # fmt: skip
"""Kokoro's English ones: a for American, b for British, f and m for female and male."""

KOKORO_DEFAULT = "af_heart"
"""The voice that hibari was taught by."""
