"""The plugin: what acme offers. It runs while the command line starts, so livekit stays out of it."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from story import Alias, ModelFactory, ModelOptions, ModelPrice, Role, StoryError, hookimpl

if TYPE_CHECKING:
    from story_acme.hum import TTS

VOICES = {"low": 220.0, "high": 440.0}
"""Voice to pitch, in Hz."""


def build_tts(options: ModelOptions) -> TTS:
    from story_acme.hum import TTS

    if unknown := set(options.extra) - {"tempo"}:
        raise StoryError(f"acme has no option {min(unknown)!r}; it has tempo (words a minute)")
    tempo = options.extra.get("tempo", 180)
    if isinstance(tempo, bool) or not isinstance(tempo, int | float) or tempo <= 0:
        raise StoryError("tempo is a number of words a minute greater than 0")
    return TTS(model=options.model, pitch=VOICES[options.voice or "low"], tempo=tempo)


@hookimpl
def story_tts() -> ModelFactory:
    return ModelFactory(
        provider="acme",
        build=build_tts,
        models=("hum-1",),
        default_model="hum-1",
        voices=tuple(VOICES),
        default_voice="low",
        closed=True,
    )


@hookimpl
def story_aliases() -> Alias:
    return Alias("hum", Role.TTS, "acme/hum-1")


@hookimpl
def story_prices() -> ModelPrice:
    free = {"kchars": 0.0}
    return ModelPrice("acme", Role.TTS, "hum-1", free, source="this package", date=datetime.date(2026, 11, 26))
