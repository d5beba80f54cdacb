"""Silero: voice activity detection on this machine; its weights come with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from story import ModelFactory, ModelOptions, hookimpl
from story.core.construct import construct

if TYPE_CHECKING:
    from livekit.agents import vad


def build_vad(options: ModelOptions) -> vad.VAD:
    from livekit.plugins import silero

    return construct(silero.VAD.load, options, "silero vad", model=None, voice=None, language=None)


@hookimpl
def story_vad() -> ModelFactory:
    return ModelFactory(
        provider="silero",
        build=build_vad,
        models=("silero",),
        default_model="silero",
        requires="livekit-plugins-silero",
        closed=True,
    )
