"""Cartesia: speech recognition (Ink) and voices (Sonic)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from story import Alias, ModelFactory, ModelOptions, Role, StoryError, hookimpl
from story.core.construct import construct

if TYPE_CHECKING:
    from livekit.plugins import cartesia

PACKAGE = "livekit-plugins-cartesia"
KEY = "CARTESIA_API_KEY"


def build_stt(options: ModelOptions) -> cartesia.STT:
    from livekit.plugins import cartesia

    language = (options.language or "en").lower()
    if options.model == "ink-2" and language.split("-")[0] not in ("en", "english"):
        raise StoryError(f"cartesia/ink-2 hears English only: for '{language}' write cartesia/ink-whisper:{language}")
    return construct(cartesia.STT, _over_http(options), "cartesia stt", voice=None)


def build_tts(options: ModelOptions) -> cartesia.TTS:
    from livekit.plugins import cartesia

    return construct(cartesia.TTS, _over_http(options), "cartesia tts", language=None)


def _over_http(options: ModelOptions) -> ModelOptions:
    """The plugin makes websocket addresses out of http ones, and nonsense out of websocket ones."""
    if options.base_url is None:
        return options
    address = options.base_url.rstrip("/")
    if address.startswith(("ws://", "wss://")):
        address = f"http{address[2:]}"
    return replace(options, base_url=address)


@hookimpl
def story_stt() -> ModelFactory:
    return ModelFactory(
        provider="cartesia",
        build=build_stt,
        models=("ink-2", "ink-whisper"),
        default_model="ink-2",
        env=(KEY,),
        requires=PACKAGE,
    )


@hookimpl
def story_tts() -> ModelFactory:
    return ModelFactory(
        provider="cartesia",
        build=build_tts,
        models=("sonic-3", "sonic-2", "sonic-turbo", "sonic-lite", "sonic-preview", "sonic"),
        default_model="sonic-3",
        # Katie. Cartesia names its voices by id, and its customers add their own: none are listed.
        default_voice="f786b574-daa5-4673-aa0c-cbe3e8534c02",
        env=(KEY,),
        requires=PACKAGE,
    )


@hookimpl
def story_aliases() -> list[Alias]:
    heard = {"ink": "ink-2", "ink-2": "ink-2", "ink-whisper": "ink-whisper"}
    said = {"sonic": "sonic-3", "sonic3": "sonic-3", **{name: name for name in ("sonic-3", "sonic-2", "sonic-turbo")}}
    return [
        *(Alias(name, Role.STT, f"cartesia/{model}") for name, model in heard.items()),
        *(Alias(name, Role.TTS, f"cartesia/{model}") for name, model in said.items()),
    ]
