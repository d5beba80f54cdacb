"""A small world of providers for tests of stacks: plugin objects, and the registry they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from story import Alias, ModelFactory, Role, hookimpl
from story.core.plugins import Plugin, Plugins
from story.core.registry import Registry
from story.core.settings import Settings


def nothing(_: object) -> object:
    raise AssertionError("resolving builds nothing")


def factory(provider: str, *models: str, **more: Any) -> ModelFactory:
    more.setdefault("build", nothing)
    return ModelFactory(provider=provider, models=models, default_model=models[0], **more)


def plugin(hooks: Mapping[str, object]) -> object:
    """A plugin object whose hooks return (or, where they are functions, are) what is given."""
    made = type("plugin", (), {})()
    for name, result in hooks.items():
        hook = result if callable(result) and not isinstance(result, type) else _returning(result)
        setattr(made, name, hookimpl(hook))
    return made


def _returning(result: object) -> Callable[[], object]:
    return lambda: result


def loaded(*hooks: Mapping[str, object], settings: Settings | None = None, **named: Mapping[str, object]) -> Plugins:
    """Plugins from their hooks, loaded as installed ones are; those without a name are one, two, ..."""
    plugins = Plugins(settings or Settings())
    numbered = dict(zip(("one", "two", "three"), hooks, strict=False))
    for name, offered in {**numbered, **named}.items():
        plugins.register(Plugin(name), plugin(offered))
    return plugins


WORLD: dict[str, Mapping[str, object]] = {
    "deepgram": {
        "story_stt": factory("deepgram", "nova-3", "flux", env=("DEEPGRAM_API_KEY",)),
        "story_tts": factory("deepgram", "aura-2", env=("DEEPGRAM_API_KEY",)),
        "story_aliases": [Alias("nova-3", Role.STT, "deepgram/nova-3")],
    },
    "openai": {
        "story_stt": factory("openai", "gpt-4o-mini-transcribe", env=("OPENAI_API_KEY",)),
        "story_llm": factory("openai", "gpt-4o-mini", "gpt-4o", "gpt-4.1", env=("OPENAI_API_KEY",)),
        "story_tts": factory(
            "openai", "gpt-4o-mini-tts", "tts-1", voices=("ash", "echo"), default_voice="ash", env=("OPENAI_API_KEY",)
        ),
        "story_realtime": factory("openai", "gpt-realtime", voices=("marin", "cedar"), env=("OPENAI_API_KEY",)),
        "story_aliases": [
            Alias("gpt4o-mini", Role.LLM, "openai/gpt-4o-mini"),
            Alias("openai-realtime", Role.REALTIME, "openai/gpt-realtime"),
            Alias("echo-voice", Role.TTS, "openai/gpt-4o-mini-tts:echo"),
        ],
        "story_stacks": {
            "openai": "stt=openai+llm=openai/gpt-4o-mini+tts=openai/gpt-4o-mini-tts:echo",
            "openai-realtime": "openai/gpt-realtime",
        },
    },
    "cartesia": {
        "story_stt": factory("cartesia", "ink"),
        "story_tts": factory("cartesia", "sonic-3", env=("CARTESIA_API_KEY",)),
    },
    "silero": {"story_vad": factory("silero", "silero")},
    "local": {
        "story_stt": factory("local", "moonshine", closed=True),
        "story_llm": factory("local", "qwen", closed=True),
        "story_tts": factory("local", "hibari", "kokoro", voices=("hana", "am_echo"), closed=True),
        "story_vad": factory("local", "energy", closed=True),
    },
}


def world(settings: Settings | None = None, **more: Mapping[str, object]) -> Registry:
    """The registry of all these providers; `more` are plugins beside (or in place of) them."""
    return loaded(settings=settings, **{**WORLD, **more}).registry
