"""Models that run on this machine, without keys and without servers. All in one child process: see `process`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from story import Alias, ModelFactory, ModelOptions, Role, StoryError, hookimpl
from story.core.construct import construct
from story.providers.local import problems
from story.providers.local.voices import HIBARI_VOICES, KOKORO_VOICES

if TYPE_CHECKING:
    import typer
    from livekit.agents import inference

    from story.core.registry import Progress
    from story.providers.local.llm import LocalLLM
    from story.providers.local.stt import LocalSTT
    from story.providers.local.tts import LocalTTS

PROVIDER = "local"
_CATALOGUE_NAMES = {"moonshine-tiny": "moonshine-tiny-en"}


def build_stt(options: ModelOptions) -> LocalSTT:
    from story.providers.local.stt import LocalSTT

    if problem := problems.language_problem(options):
        raise StoryError(problem)
    return construct(LocalSTT, options, "local stt", voice=None)


def build_llm(options: ModelOptions) -> LocalLLM:
    from story.providers.local.llm import LocalLLM

    return construct(LocalLLM, options, "local llm", voice=None, language=None)


def build_tts(options: ModelOptions) -> LocalTTS:
    from story.providers.local.tts import LocalTTS

    if problem := problems.voice_problem(options):
        raise StoryError(problem)
    return construct(LocalTTS, options, "local tts", language=None)


def build_vad(options: ModelOptions) -> inference.VAD:
    from story.providers.local.vad import build

    return build(options)


def build_turn_detector(options: ModelOptions) -> inference.TurnDetector:
    """livekit's small model of when a caller has finished, which listens to the sound; takes some 250 MB."""
    from livekit.agents import inference

    # The version is named, as livekit's default is a model in the cloud whenever its development mode is on.
    def local_detector(unlikely_threshold: float | None = None) -> inference.TurnDetector:
        if unlikely_threshold is None:
            return inference.TurnDetector(version="v1-mini")
        return inference.TurnDetector(version="v1-mini", unlikely_threshold=unlikely_threshold)

    return construct(local_detector, options, "local turn detector", model=None, voice=None, language=None)


def fetch_weights(options: ModelOptions, progress: Progress) -> None:
    """Have the weights of `options.model` on this machine. Raises WeightsError, MissingPackageError."""
    from story.providers.local import store

    store.ensure(_CATALOGUE_NAMES.get(options.model, options.model), progress)


def weights_to_fetch(options: ModelOptions) -> int:
    """Bytes of `options.model` that are not on this machine yet."""
    from story.providers.local import store

    return store.default_store().missing(_CATALOGUE_NAMES.get(options.model, options.model))


@hookimpl
def story_stt() -> ModelFactory:
    return ModelFactory(
        provider=PROVIDER,
        build=build_stt,
        models=("moonshine-tiny",),
        default_model="moonshine-tiny",
        requires="moonshine-voice",
        closed=True,
        prepare=fetch_weights,
        to_fetch=weights_to_fetch,
        problem=problems.stt_problem,
    )


@hookimpl
def story_llm() -> ModelFactory:
    return ModelFactory(
        provider=PROVIDER,
        build=build_llm,
        models=("qwen2.5-coder-1.5b",),
        default_model="qwen2.5-coder-1.5b",
        requires="xllamacpp",
        closed=True,
        prepare=fetch_weights,
        to_fetch=weights_to_fetch,
        problem=problems.llm_problem,
    )


@hookimpl
def story_tts() -> ModelFactory:
    # No default voice: the two models share none, and each knows its own.
    return ModelFactory(
        provider=PROVIDER,
        build=build_tts,
        models=("hibari", "kokoro"),
        default_model="hibari",
        voices=(*HIBARI_VOICES, *KOKORO_VOICES),
        requires="hibari-tts",
        closed=True,
        prepare=fetch_weights,
        to_fetch=weights_to_fetch,
        problem=problems.tts_problem,
    )


@hookimpl
def story_vad() -> ModelFactory:
    return ModelFactory(
        provider=PROVIDER, build=build_vad, models=("silero",), default_model="silero", requires="livekit-agents",
        closed=True,
    )  # fmt: skip


@hookimpl
def story_turn_detector() -> ModelFactory:
    return ModelFactory(
        provider=PROVIDER, build=build_turn_detector, models=("turn-mini",), default_model="turn-mini",
        requires="livekit-agents", closed=True,
    )  # fmt: skip


@hookimpl
def story_aliases() -> list[Alias]:
    return [
        Alias("moonshine", Role.STT, "local/moonshine-tiny"),
        Alias("qwen2.5-coder", Role.LLM, "local/qwen2.5-coder-1.5b"),
        Alias("hibari", Role.TTS, "local/hibari"),
        Alias("kokoro", Role.TTS, "local/kokoro"),
    ]


@hookimpl
def story_commands(app: typer.Typer) -> None:
    from story.providers.local.commands import add_commands

    add_commands(app)
