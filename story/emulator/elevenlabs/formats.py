"""The formats, voices and timings that ElevenLabs' endpoints share."""

from __future__ import annotations

from collections.abc import Mapping

from story.emulator.audio import Codec, Format
from story.emulator.synthesis import Speech
from story.emulator.vendor import VendorError

DEFAULT_FORMAT = "mp3_44100_128"
DEFAULT_MODEL = "eleven_multilingual_v2"
VOICE: Mapping[str, object] = {
    "voice_id": "hpp4J3VqNfWAUOO0d1Us",
    "name": "Bella",
    "category": "premade",
    "samples": None,
    "labels": {"language": "en"},
    "available_for_tiers": [],
    "high_quality_base_model_ids": [],
    "settings": None,
    "preview_url": None,
    "description": "The emulator's voice",
}
_CODECS: Mapping[str, Codec] = {
    "mp3": "mp3",
    "pcm": "pcm",
    "opus": "opus",
    "wav": "wav",
    "ulaw": "mulaw",
    "alaw": "alaw",
}
_RAW_RATES = (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_KILOBITS = (32, 64, 96, 128, 192)
FORMATS = (
    "mp3_22050_32",
    "mp3_24000_48",
    *(f"mp3_44100_{kilobits}" for kilobits in _KILOBITS),
    "mp3_44100",
    *(f"opus_48000_{kilobits}" for kilobits in _KILOBITS),
    *(f"{codec}_{rate}" for codec in ("pcm", "wav") for rate in _RAW_RATES),
    "ulaw_8000",
    "alaw_8000",
)
"""Those that the vendor's own client and livekit's plugin know."""


def output_format(name: str) -> Format:
    """`mp3_22050_32`, `pcm_24000`, ... Raises VendorError."""
    if name not in FORMATS:
        raise VendorError(422, f"Invalid output_format: {name[:40]}", "invalid_output_format")
    codec, rate, *kilobits = name.split("_")
    return Format(_CODECS[codec], int(rate), int(kilobits[0]) * 1000 if kilobits else 64_000)


def alignment_seconds(made: Speech) -> dict[str, list[object]]:
    """As the HTTP endpoints tell it."""
    times = made.character_times()
    return {
        "characters": [char for char, _, _ in times],
        "character_start_times_seconds": [round(start, 3) for _, start, _ in times],
        "character_end_times_seconds": [round(end, 3) for _, _, end in times],
    }


def alignment_ms(made: Speech, since: float, *, snake: bool = False) -> dict[str, list[object]]:
    """As the websockets tell it, in camel case or `snake`; `since`: seconds of sound before."""
    times = made.character_times()
    starts: list[object] = [round((since + start) * 1000) for _, start, _ in times]
    durations: list[object] = [round((end - start) * 1000) for _, start, end in times]
    names = ("char_start_times_ms", "char_durations_ms") if snake else ("charStartTimesMs", "charDurationsMs")
    return {"chars": [char for char, _, _ in times], names[0]: starts, names[1]: durations}
