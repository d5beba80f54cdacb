"""ElevenLabs: speech recognition (Scribe) and voices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from story import Alias, ModelFactory, ModelOptions, Role, hookimpl
from story.core.construct import construct

if TYPE_CHECKING:
    from livekit.plugins import elevenlabs

PACKAGE = "livekit-plugins-elevenlabs"
KEY = "ELEVEN_API_KEY"


def build_stt(options: ModelOptions) -> elevenlabs.STT:
    from livekit.plugins import elevenlabs

    return construct(elevenlabs.STT, _versioned(options), "elevenlabs stt", voice=None, language="language_code")


def build_tts(options: ModelOptions) -> elevenlabs.TTS:
    from livekit.plugins import elevenlabs

    return construct(elevenlabs.TTS, _versioned(options), "elevenlabs tts", voice="voice_id", language=None)


def _versioned(options: ModelOptions) -> ModelOptions:
    """The plugin's base address ends in /v1; a `base_url` that is a server alone gets it."""
    from urllib.parse import urlsplit

    if options.base_url is None or urlsplit(options.base_url).path.strip("/"):
        return options
    return replace(options, base_url=options.base_url.rstrip("/") + "/v1")


@hookimpl
def story_stt() -> ModelFactory:
    return ModelFactory(
        provider="elevenlabs",
        build=build_stt,
        models=("scribe_v2_realtime", "scribe_v2", "scribe_v1"),
        # The plugin's own default, scribe_v1, hears a turn only after it has ended.
        default_model="scribe_v2_realtime",
        env=(KEY,),
        requires=PACKAGE,
    )


@hookimpl
def story_tts() -> ModelFactory:
    return ModelFactory(
        provider="elevenlabs",
        build=build_tts,
        models=(
            "eleven_v4",
            "eleven_v4_turbo",
            "eleven_v3",
            "eleven_v3_conversational",
            "eleven_turbo_v2_5",
            "eleven_turbo_v2",
            "eleven_flash_v2_5",
            "eleven_flash_v2",
            "eleven_multilingual_v2",
            "eleven_multilingual_v1",
            "eleven_monolingual_v1",
        ),
        default_model="eleven_turbo_v2_5",
        # ElevenLabs names its voices by id, and its customers add their own: none are listed.
        default_voice="hpp4J3VqNfWAUOO0d1Us",
        env=(KEY,),
        requires=PACKAGE,
    )


@hookimpl
def story_aliases() -> list[Alias]:
    heard = {"scribe": "scribe_v2_realtime", "scribe-v2": "scribe_v2", "scribe-v1": "scribe_v1"}
    said = {
        "eleven-flash": "eleven_flash_v2_5",
        "eleven-turbo": "eleven_turbo_v2_5",
        "eleven-multilingual": "eleven_multilingual_v2",
        "eleven-v3": "eleven_v3",
        "eleven-v4": "eleven_v4",
        "eleven-v4-turbo": "eleven_v4_turbo",
    }
    return [
        *(Alias(name, Role.STT, f"elevenlabs/{model}") for name, model in heard.items()),
        *(Alias(name, Role.TTS, f"elevenlabs/{model}") for name, model in said.items()),
    ]
