"""What providers offer: model factories and aliases, by role and name."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from story.core.options import NO_OPTIONS, FrozenOptions


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


PRICED = (Role.STT, Role.LLM, Role.TTS, Role.REALTIME)
PRICE_UNITS = ("input_mtok", "output_mtok", "audio_minute", "kchars", "session_minute")
"""What a price may be for: a million tokens, a minute of a caller's sound or of a session, a thousand characters."""


@dataclass(frozen=True)
class ModelPrice:
    """What a provider takes for a model: `ModelPrice("acme", Role.TTS, "clear-1", {"kchars": 0.02}, source="...")`.

    model: "*" is any of the provider's for that role. units: dollars by the names of PRICE_UNITS. source, date: where
    it is published, and when somebody looked there; without both it is assumed, and gates nothing.
    """

    provider: str
    role: Role
    model: str
    units: Mapping[str, float]
    source: str = ""
    date: datetime.date | None = None


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
    to_fetch: how many bytes `prepare` would fetch now (0: all is here); must be quick, for doctor and the page.
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
    to_fetch: Callable[[ModelOptions], int] | None = None


@dataclass(frozen=True)
class Alias:
    """A short name for one model in one role: `Alias("gpt4o-mini", Role.LLM, "openai/gpt-4o-mini")`."""

    name: str
    role: Role
    ref: str


@dataclass(frozen=True)
class ModelSetting:
    """One model (or a chain of fallbacks, where it has no options) of a role of a named stack."""

    use: str
    options: FrozenOptions = NO_OPTIONS


@dataclass(frozen=True)
class NamedStack:
    """A stack with a name: either one `spec`, or its `roles` each with models to try in order.

    source: who gives it, "story.toml:12" or "plugin acme".
    """

    name: str
    source: str
    spec: str | None = None
    roles: Mapping[Role, tuple[ModelSetting, ...]] = field(default_factory=dict)


PIPELINE = (Role.STT, Role.LLM, Role.TTS)
"""The roles that a bare provider takes, in this order, and that a pipeline must fill."""

DEFAULT_CHAIN = "storyteller"
"""The chain of a call where the user names none."""

LAST_RESORT = "local"
"""The stack that needs no key: for where no other can run."""

BUILTIN_STACKS: Mapping[str, str] = {LAST_RESORT: "stt=local+llm=local+tts=local"}


@dataclass(frozen=True)
class Registry:
    """Everything that the loaded plugins offer, by role and name. Looking things up imports nothing.

    ready_made: the names of the stacks that come with plugins, in the order they were registered.
    """

    factories: Mapping[Role, Mapping[str, ModelFactory]] = field(default_factory=dict)
    aliases: Mapping[str, Alias] = field(default_factory=dict)
    stacks: Mapping[str, NamedStack] = field(default_factory=dict)
    personas: Mapping[str, Path | str] = field(default_factory=dict)
    prices: tuple[ModelPrice, ...] = ()
    ready_made: tuple[str, ...] = ()

    def factory(self, role: Role, provider: str) -> ModelFactory | None:
        """What `provider` offers for `role`."""
        return self.factories.get(role, {}).get(provider)

    def providers(self) -> tuple[str, ...]:
        """All providers, in the order they were registered."""
        return tuple(dict.fromkeys(name for offered in self.factories.values() for name in offered))

    def roles(self, provider: str) -> tuple[Role, ...]:
        """The roles that `provider` offers models for, in the order of `Role`."""
        return tuple(role for role in Role if self.factory(role, provider) is not None)

    def aliases_of(self, role: Role, provider: str) -> tuple[Alias, ...]:
        """The short names of a provider's models for a role."""
        return tuple(
            alias
            for alias in self.aliases.values()
            if alias.role is role and alias.ref.partition(":")[0].partition("/")[0] == provider
        )
