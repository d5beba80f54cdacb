"""Deepgram: speech recognition (Nova, and Flux, which also ends turns) and voices (Aura and Flux)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from story import Alias, ModelFactory, ModelOptions, Role, StoryError, hookimpl
from story.core.construct import construct
from story.providers import deepgram_models as names

if TYPE_CHECKING:
    from livekit.plugins import deepgram

PACKAGE = "livekit-plugins-deepgram"
KEY = "DEEPGRAM_API_KEY"

FLUX = "flux-"
DEFAULT_VOICE = "andromeda"


def build_stt(options: ModelOptions) -> deepgram.STT | deepgram.STTv2:
    from livekit.plugins import deepgram

    if not options.model.startswith(FLUX):
        return construct(deepgram.STT, _at(options, "/v1/listen"), "deepgram stt", voice=None)
    chosen = _at(options, "/v2/listen")
    if options.language is not None:
        # Flux has no language option: the model is the language, or takes hints.
        hints = {} if options.model.endswith(f"-{options.language}") else {"language_hint": [options.language]}
        chosen = replace(chosen, language=None, extra={**hints, **options.extra})
    return construct(deepgram.STTv2, chosen, "deepgram stt", voice=None, language=None)


def build_tts(options: ModelOptions) -> deepgram.TTS | deepgram.TTSv2:
    from livekit.plugins import deepgram

    if options.model.startswith(FLUX):
        return construct(deepgram.TTSv2, _at(options, "/v2/speak"), "deepgram tts", voice=None, language=None)
    chosen = _at(replace(options, model=_voice_model(options), voice=None), "/v1/speak")
    return construct(deepgram.TTS, chosen, "deepgram tts", voice=None, language=None)


def _voice_model(options: ModelOptions) -> str:
    """`aura-2` with the voice `thalia` is Deepgram's model `aura-2-thalia-en`; `celeste-es` brings its language."""
    if options.model not in ("aura-2", "aura"):
        if options.voice is None:
            return options.model
        raise StoryError(
            f"deepgram/{options.model} names its voice already: leave out ':{options.voice}',"
            f" or write deepgram/aura-2:{options.voice}"
        )
    voice = options.voice or (DEFAULT_VOICE if options.model == "aura-2" else names.AURA_VOICES[0])
    return f"{options.model}-{voice}" if "-" in voice else f"{options.model}-{voice}-en"


def _at(options: ModelOptions, path: str) -> ModelOptions:
    """The plugin takes the whole address of each endpoint; a `base_url` that is a server alone gets the path."""
    from urllib.parse import urlsplit

    if options.base_url is None or urlsplit(options.base_url).path.strip("/"):
        return options
    return replace(options, base_url=options.base_url.rstrip("/") + path)


@hookimpl
def story_stt() -> ModelFactory:
    return ModelFactory(
        provider="deepgram",
        build=build_stt,
        models=(*names.NOVA, *names.FLUX),
        default_model="nova-3",
        env=(KEY,),
        requires=PACKAGE,
    )


@hookimpl
def story_tts() -> ModelFactory:
    return ModelFactory(
        provider="deepgram",
        build=build_tts,
        models=(
            "aura-2",
            "aura",
            *names.FLUX_TTS,
            *(f"aura-2-{voice}-en" for voice in names.AURA_2_VOICES),
            *(f"aura-{voice}-en" for voice in names.AURA_VOICES),
        ),
        default_model="aura-2-andromeda-en",
        voices=tuple(dict.fromkeys((*names.AURA_2_VOICES, *names.AURA_VOICES))),
        env=(KEY,),
        requires=PACKAGE,
    )


@hookimpl
def story_aliases() -> list[Alias]:
    refs = {
        "nova": "nova-3",
        "nova-3": "nova-3",
        "nova3": "nova-3",
        "nova-3-medical": "nova-3-medical",
        "nova-2": "nova-2-general",
        "nova2": "nova-2-general",
        "flux": "flux-general-en",
        "flux-multi": "flux-general-multi",
    }
    aliases = [Alias(name, Role.STT, f"deepgram/{model}") for name, model in refs.items()]
    return [*aliases, *(Alias(name, Role.TTS, "deepgram/aura-2") for name in ("aura", "aura-2", "aura2"))]
