"""OpenAI: speech recognition, language models, voices, and the realtime models that do all three at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from story import Alias, ModelFactory, ModelOptions, Role, hookimpl
from story.core.construct import construct
from story.providers import openai_models as names

if TYPE_CHECKING:
    from livekit.plugins import openai

PACKAGE = "livekit-plugins-openai"
KEY = "OPENAI_API_KEY"

# `openai/responses/gpt-5-mini` is gpt-5-mini through the Responses API, `openai/gpt-5-mini` through chat completions.
RESPONSES = "responses/"


def build_stt(options: ModelOptions) -> openai.STT:
    from livekit.plugins import openai

    return construct(openai.STT, _with_client(options), "openai stt", voice=None)


def build_llm(options: ModelOptions) -> openai.LLM | openai.responses.LLM:
    from livekit.plugins import openai

    from story.providers.openai_chat import with_plain_messages

    if options.model.startswith(RESPONSES):
        chosen = replace(options, model=options.model.removeprefix(RESPONSES), base_url=_responses_url(options))
        return construct(openai.responses.LLM, _with_client(chosen), "openai llm", voice=None, language=None)
    return with_plain_messages(construct(openai.LLM, _with_client(options), "openai llm", voice=None, language=None))


def build_tts(options: ModelOptions) -> openai.TTS:
    from livekit.plugins import openai

    return construct(openai.TTS, _with_client(options), "openai tts", language=None)


def build_realtime(options: ModelOptions) -> openai.realtime.RealtimeModel:
    from story.providers.openai_realtime import RealtimeModel

    return construct(RealtimeModel, options, "openai realtime", language=None)


def _responses_url(options: ModelOptions) -> str | None:
    """The plugin's websocket takes a whole address and, unlike the other OpenAI classes, ignores OPENAI_BASE_URL."""
    base_url = options.base_url or os.environ.get("OPENAI_BASE_URL")
    if not base_url or options.extra.get("use_websocket") is False:
        return base_url or None
    return f"{base_url.rstrip('/').removesuffix('/responses')}/responses"


def _with_client(options: ModelOptions) -> ModelOptions:
    """A `client` table makes an openai.AsyncClient, which needs the key and address that the plugin would give it."""
    client = options.extra.get("client")
    if not isinstance(client, Mapping):
        return options
    shared = {"api_key": options.api_key, "base_url": options.base_url}
    given = {name: value for name, value in shared.items() if value is not None}
    return replace(options, extra={**options.extra, "client": {**given, **client}})


@hookimpl
def story_stt() -> ModelFactory:
    return ModelFactory(
        provider="openai",
        build=build_stt,
        models=names.STT,
        default_model="gpt-4o-mini-transcribe",
        env=(KEY,),
        requires=PACKAGE,
    )


@hookimpl
def story_llm() -> ModelFactory:
    return ModelFactory(
        provider="openai",
        build=build_llm,
        models=(*names.CHAT, *(RESPONSES + name for name in names.RESPONSES)),
        default_model="gpt-4.1",
        env=(KEY,),
        requires=PACKAGE,
    )


@hookimpl
def story_tts() -> ModelFactory:
    return ModelFactory(
        provider="openai",
        build=build_tts,
        models=names.TTS,
        default_model="gpt-4o-mini-tts",
        voices=names.TTS_VOICES,
        default_voice="ash",
        env=(KEY,),
        requires=PACKAGE,
    )


@hookimpl
def story_realtime() -> ModelFactory:
    return ModelFactory(
        provider="openai",
        build=build_realtime,
        models=names.REALTIME,
        default_model="gpt-realtime",
        voices=names.REALTIME_VOICES,
        default_voice="marin",
        env=(KEY,),
        requires=PACKAGE,
    )


@hookimpl
def story_aliases() -> list[Alias]:
    said = {
        Role.LLM: names.SAID,
        Role.STT: ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe"),
        Role.TTS: ("gpt-4o-mini-tts", "tts-1", "tts-1-hd"),
        Role.REALTIME: names.REALTIME,
    }
    aliases = [
        Alias("openai-realtime", Role.REALTIME, "openai/gpt-realtime"),
        Alias("whisper", Role.STT, "openai/whisper-1"),
    ]
    for role, models in said.items():
        for model in models:
            # People write gpt-4o and gpt4o alike.
            spellings = {model, model.replace("gpt-", "gpt", 1)} if model[4:5].isdigit() else {model}
            aliases += [Alias(name, role, f"openai/{model}") for name in sorted(spellings)]
    return aliases


@hookimpl
def story_stacks() -> dict[str, str]:
    return {
        "openai": "stt=openai+llm=openai/gpt-4o-mini+tts=openai/gpt-4o-mini-tts:echo",
        "openai-realtime": "openai/gpt-realtime",
    }
