"""What a stack means: every role with its models, and where each choice came from."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

from story.core.errors import StackError
from story.core.grammar import Ref
from story.core.options import NO_OPTIONS, OWN_FIELDS, FrozenOptions
from story.core.registry import ModelFactory, ModelOptions, Role
from story.core.settings import Settings


class Origin(StrEnum):
    """Where a stack's choice for a role came from."""

    SPEC = "spec"
    NAMED_STACK = "named stack"
    CHAIN_DEFAULT = "the chain's default stack"
    BUILT_IN = "built-in default"


@dataclass(frozen=True)
class ResolvedRef:
    """One model of one provider for one role, with everything that a stack says about it.

    model: as `ModelOptions.model`. variant: the voice (tts, realtime) or language (stt) that was chosen, None for the
    default one. alias: the short name that was written. warnings: what is odd about it, one line each.
    spec, start, end: where it is written. None of the last five counts when refs are compared.
    """

    role: Role
    provider: str
    model: str
    variant: str | None = None
    options: FrozenOptions = NO_OPTIONS
    alias: str | None = field(default=None, compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)
    spec: str = field(default="", compare=False)
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return str(Ref(self.provider, self.model, self.variant))

    @property
    def key_env(self) -> str | None:
        """The variable that story.toml names for this model's key, in place of the provider's own."""
        name = self.options.get("key_env")
        return name if isinstance(name, str) else None

    @property
    def written(self) -> str:
        """The model as the user wrote it; in full where nobody did."""
        return self.spec[self.start : self.end] or str(self)

    def voice(self, factory: ModelFactory, settings: Settings) -> str | None:
        """The voice that will speak, None where the vendor's own default does (or nothing speaks)."""
        if self.role not in (Role.TTS, Role.REALTIME):
            return None
        chosen = self.variant or settings.options(self.provider).get("voice")
        if isinstance(chosen, str):
            return chosen
        # A provider's default voice belongs to its default model; another model may not know it.
        return factory.default_voice if self.model == factory.default_model else None

    def model_options(self, factory: ModelFactory, settings: Settings) -> ModelOptions:
        """What the provider's `build` is given: the stack's options over those of `[providers.NAME]`."""
        options = settings.options(self.provider, self.options)
        base_url, language = options.get("base_url"), options.get("language")
        return ModelOptions(
            model=self.model,
            voice=self.voice(factory, settings),
            language=(self.variant if self.role is Role.STT else None) or (str(language) if language else None),
            base_url=str(base_url) if base_url else None,
            api_key=next((value for name in self.env(factory, settings) if (value := settings.key(name))), None),
            extra={name: value for name, value in options.items() if name not in OWN_FIELDS},
        )

    def env(self, factory: ModelFactory, settings: Settings) -> tuple[str, ...]:
        """The variables that must hold this model's keys: the provider's, unless story.toml names another."""
        named = settings.options(self.provider, self.options).get("key_env")
        return (named,) if isinstance(named, str) else tuple(factory.env)

    def error(self, message: str) -> StackError:
        """An error that points at where this model is written."""
        return StackError(message, spec=self.spec, start=self.start, end=self.end)


@dataclass(frozen=True)
class ResolvedChoice:
    """The models of one role, in the order they are tried. `source` says more about `origin` (a file, a name)."""

    role: Role
    refs: tuple[ResolvedRef, ...]
    origin: Origin = field(default=Origin.SPEC, compare=False)
    source: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.role}={','.join(str(ref) for ref in self.refs)}"


@dataclass(frozen=True)
class ResolvedStack:
    """A stack with every role settled. Two are equal if they mean the same models with the same options."""

    choices: tuple[ResolvedChoice, ...]
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        return "+".join(str(choice) for choice in self.choices)

    def choice(self, role: Role) -> ResolvedChoice | None:
        """The models for `role`, None where the stack has none."""
        return next((choice for choice in self.choices if choice.role is role), None)

    @property
    def realtime(self) -> bool:
        """Whether a realtime model hears and answers, in place of an stt and an llm."""
        return self.choice(Role.REALTIME) is not None

    @property
    def refs(self) -> tuple[ResolvedRef, ...]:
        """All models, fallbacks included."""
        return tuple(ref for choice in self.choices for ref in choice.refs)

    def refs_for(self, roles: Collection[Role] | None) -> tuple[ResolvedRef, ...]:
        """The models of these roles, fallbacks included; None: of all."""
        return tuple(ref for ref in self.refs if roles is None or ref.role in roles)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the models, one line each."""
        return tuple(warning for ref in self.refs for warning in ref.warnings)
