"""What providers offer: model factories and aliases, by role and name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Role(StrEnum):
    """What a model does in a call."""

    STT = "stt"
    LLM = "llm"
    TTS = "tts"
    REALTIME = "realtime"
    VAD = "vad"
    TURN_DETECTOR = "turn_detector"
    NOISE_CANCELLATION = "noise_cancellation"


@dataclass(frozen=True)
class ModelOptions:
    """What a stack says about one model; a factory's `build` turns it into a livekit-agents object.

    `voice` (tts, realtime) and `language` (stt) hold the variant of the stack spec. `extra` has the further
    constructor options of story.toml, by the names that the livekit plugin gives them.
    """

    model: str
    voice: str | None = None
    language: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


class Progress(Protocol):
    """How a long preparation (a download) talks to whoever waits for it."""

    def confirm(self, question: str) -> bool:
        """Ask before something large; True to go on. Not a terminal: True."""

    def report(self, what: str, done: int, total: int) -> None:
        """`done` of `total` bytes of `what` are here."""


@dataclass(frozen=True)
class ModelFactory:
    """What a provider contributes for one role. The hook that returns it says which role that is.

    build: makes the livekit-agents object (stt.STT, llm.LLM, llm.RealtimeModel, tts.TTS, vad.VAD, ...); it alone
        may import livekit or the vendor's package, and is called on the main thread.
    env: the environment variables that must hold a value (keys); `requires`: the distribution that `build` needs.
    models, voices: known names, for listings and near-miss hints. Others are passed through with a warning,
        unless `closed`, which makes an unknown name an error (on-device models have no others).
    prepare: fetches what must be on this machine before `build` (weights); may take minutes, so runs in a thread.
        Raises StoryError.
    problem: why this model can't run on this machine now (None: it can); must be quick, for doctor and listings.
    """

    provider: str
    build: Callable[[ModelOptions], object]
    models: Sequence[str]
    default_model: str
    voices: Sequence[str] = ()
    default_voice: str | None = None
    env: Sequence[str] = ()
    requires: str | None = None
    closed: bool = False
    prepare: Callable[[ModelOptions, Progress], None] | None = None
    problem: Callable[[ModelOptions], str | None] | None = None


@dataclass(frozen=True)
class Alias:
    """A short name for one model in one role: `Alias("gpt4o-mini", Role.LLM, "openai/gpt-4o-mini")`."""

    name: str
    role: Role
    ref: str
