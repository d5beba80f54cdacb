"""From the text of a stack to the models it means."""

from __future__ import annotations

import re
from dataclasses import replace

from story.core.errors import StackError
from story.core.grammar import Part, Ref, parse
from story.core.inference import a, alias_of, likely_roles, possible_roles, target_of, unknown_name
from story.core.nearest import did_you_mean
from story.core.options import NO_OPTIONS, FrozenOptions
from story.core.registry import PIPELINE, ModelFactory, NamedStack, Registry, Role
from story.core.resolved import Origin, ResolvedChoice, ResolvedRef, ResolvedStack

Choices = dict[Role, ResolvedChoice]

BUILT_IN_DEFAULTS = {Role.STT: "local", Role.LLM: "local", Role.TTS: "local", Role.VAD: "local"}
"""The providers of the roles that neither a spec nor the chain's default stack fills: those that need no key."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*|multi|auto|detect")


def resolve(text: str, registry: Registry, *, default_stack: str | None = None) -> ResolvedStack:
    """Settle every role of a stack. Roles a pipeline leaves open come from `default_stack`, then the built-in default.

    Whether keys and packages are there is not asked: see `requirements.check`.

    Raises:
        StackError: with the place in `text` (or in the default or the named stack that is wrong).
    """
    choices = _Resolver(registry, text).read()
    if Role.REALTIME not in choices:
        for role, choice in _defaults(default_stack, registry).items():
            choices.setdefault(role, choice)
        for role, provider in BUILT_IN_DEFAULTS.items():
            factory = registry.factory(role, provider)
            if role not in choices and factory is not None:
                ref = ResolvedRef(role, provider, factory.default_model)
                choices[role] = ResolvedChoice(role, (ref,), Origin.BUILT_IN)
        if missing := [role for role in PIPELINE if role not in choices]:
            named = " and ".join(a(role) for role in missing)
            example = "".join(f"+{role}=PROVIDER" for role in missing)
            raise StackError(f"the stack lacks {named}, and no default offers one; add {example}", spec=text)
    return ResolvedStack(choices=tuple(choices[role] for role in Role if role in choices), text=text)


def _defaults(text: str | None, registry: Registry) -> Choices:
    if text is None:
        return {}
    try:
        choices = _Resolver(registry, text).read()
    except StackError as error:
        message = f"in the chain's default stack: {error}"
        raise StackError(message, spec=error.spec, start=error.start, end=error.end) from error
    if Role.REALTIME in choices:  # it has no models for the roles of a pipeline
        return {}
    return {role: replace(c, origin=Origin.CHAIN_DEFAULT, source=text) for role, c in choices.items()}


class _Resolver:
    """Resolves one spec, part by part. named: the named stacks that led here."""

    def __init__(self, registry: Registry, text: str, *, named: tuple[str, ...] = ()) -> None:
        self._registry = registry
        self._text = text
        self._named = named
        self._choices: Choices = {}
        self._written: dict[Role, Part] = {}

    def read(self) -> Choices:
        """The roles that the spec itself settles."""
        spec = parse(self._text)
        single = spec.single
        if single is not None and single.model is None and single.variant is None:
            if stack := self._registry.stacks.get(single.name):
                return self._read_named(stack, single)
            if alias_of(single, self._registry) is None:
                return self._whole_provider(single)
        for part in spec.parts:
            self._put(part, self._role(part))
        return self._choices

    def read_role(self, role: Role, options: FrozenOptions) -> tuple[ResolvedRef, ...]:
        """The models of a spec that stands for one role, in story.toml."""
        spec = parse(self._text)
        if len(spec.parts) > 1 or spec.parts[0].role not in (None, role):
            raise StackError(f"one choice for {role} belongs here, not a whole stack", spec=self._text)
        part = replace(spec.parts[0], role=role)
        if options and len(part.refs) > 1:
            raise StackError("options belong to one model: write a list of tables, one a model", spec=self._text)
        self._role(part)
        return tuple(self._model(ref, role, options) for ref in part.refs)

    def _whole_provider(self, ref: Ref) -> Choices:
        """A provider that is the whole spec fills every role of a pipeline that it offers."""
        offered = self._registry.roles(ref.name)
        if not offered:
            raise unknown_name(ref, self._registry, self._text)
        for role in [role for role in PIPELINE if role in offered] or offered[:1]:
            self._choices[role] = ResolvedChoice(role, (self._model(ref, role),))
        return self._choices

    def _read_named(self, stack: NamedStack, ref: Ref) -> Choices:
        if stack.name in self._named:
            circle = " -> ".join((*self._named, stack.name))
            raise self._error(ref, f"named stacks lead in a circle: {circle}")
        named = (*self._named, stack.name)
        try:
            if stack.spec is not None:
                choices = _Resolver(self._registry, stack.spec, named=named).read()
            else:
                choices = {role: self._read_named_role(stack, role) for role in stack.roles}
                _no_clash(choices, spec=self._text, start=ref.start, end=ref.end)
        except StackError as error:
            message = f"in stack {stack.name!r} ({stack.source}): {error}"
            raise StackError(message, spec=error.spec, start=error.start, end=error.end) from error
        source = f"{stack.name} ({stack.source})"
        return {role: replace(c, origin=Origin.NAMED_STACK, source=source) for role, c in choices.items()}

    def _read_named_role(self, stack: NamedStack, role: Role) -> ResolvedChoice:
        models = stack.roles[role]
        refs = [ref for model in models for ref in _Resolver(self._registry, model.use).read_role(role, model.options)]
        return ResolvedChoice(role, tuple(refs))

    def _role(self, part: Part) -> Role:
        """The role of a part: the one it names, else the first free one that all its refs take."""
        if part.role is not None:
            for ref in part.refs:
                if part.role not in possible_roles(ref, self._registry, self._text):
                    raise self._lacks(ref, part.role)
            return part.role
        likely = [likely_roles(ref, self._registry, self._text) for ref in part.refs]
        common = [role for role in likely[0] if all(role in roles for roles in likely)]
        if not common:
            each = ", ".join(f"{ref} is {_either(roles)}" for ref, roles in zip(part.refs, likely, strict=True))
            raise self._error(part, f"the models of a fallback chain have one role, but {each}")
        free = [role for role in common if role not in self._choices]
        if not free and len(common) > 1:
            taken = ", ".join(f"{role} ({self._written[role]})" for role in common)
            raise self._error(part, f"nothing is left for {part}: earlier parts fill {taken}")
        return (free or common)[0]

    def _put(self, part: Part, role: Role) -> None:
        choice = ResolvedChoice(role, tuple(self._model(ref, role) for ref in part.refs))
        if first := self._written.get(role):
            one = replace(first, role=None), replace(part, role=None)
            raise self._error(
                part,
                f"two models for {role}: {one[0]} and {one[1]}; a stack has one "
                f"(write {role}={one[0]},{one[1]} for a fallback)",
            )
        self._written[role] = part
        self._choices[role] = choice
        _no_clash(self._choices, spec=self._text, start=part.start, end=part.end)

    def _model(self, ref: Ref, role: Role, options: FrozenOptions = NO_OPTIONS) -> ResolvedRef:
        alias = alias_of(ref, self._registry)
        target = ref if alias is None else target_of(ref, alias, self._registry, self._text)
        factory = self._registry.factory(role, target.name)
        if factory is None:
            raise self._lacks(ref, role)
        model = str(options.get("model") or target.model or factory.default_model)
        variant = target.variant
        if role is Role.LLM and variant is not None:  # "meta-llama/x:free": part of the model's name
            model, variant = f"{model}:{variant}", None
        own = {Role.TTS: "voice", Role.REALTIME: "voice", Role.STT: "language"}.get(role, "")
        if own in options:
            variant = str(options[own])
        resolved = ResolvedRef(
            role=role,
            provider=target.name,
            model=model,
            variant=variant,
            options=FrozenOptions({name: value for name, value in options.items() if name not in ("model", own)}),
            alias=alias.name if alias else None,
            spec=self._text,
            start=ref.start,
            end=ref.end,
        )
        return replace(resolved, warnings=_oddities(resolved, factory))

    def _lacks(self, ref: Ref, role: Role) -> StackError:
        if alias := alias_of(ref, self._registry):
            return self._error(ref, f"{ref} is {a(alias.role)}, not {a(role)}")
        offered = ", ".join(self._registry.roles(ref.name))
        others = ", ".join(name for name in self._registry.providers() if self._registry.factory(role, name))
        hint = f"; these do: {others}" if others else ""
        return self._error(ref, f"{ref.name} offers no {role} (it offers {offered}){hint}")

    def _error(self, where: Ref | Part, message: str) -> StackError:
        return StackError(message, spec=self._text, start=where.start, end=where.end)


def _oddities(ref: ResolvedRef, factory: ModelFactory) -> tuple[str, ...]:
    """Names that the provider doesn't list: warnings, or an error where it has no others."""
    found: list[tuple[str, bool]] = []
    if ref.model not in factory.models and factory.models:
        hint = did_you_mean(ref.model, factory.models)
        there_are = f"; there are {', '.join(factory.models)}" if factory.closed and not hint else ""
        found.append((f"unknown model {ref.model!r} of {ref.provider} {ref.role}{hint}{there_are}", factory.closed))
    if ref.variant is not None and ref.role in (Role.TTS, Role.REALTIME):
        if factory.voices and ref.variant not in factory.voices:
            listed = f"; `story providers show {ref.provider}` lists its voices"
            hint = did_you_mean(ref.variant, factory.voices, otherwise=listed)
            found.append((f"unknown voice {ref.variant!r} of {ref.provider}{hint}", factory.closed))
    elif ref.variant is not None and not (ref.role is Role.STT and _LANGUAGE.fullmatch(ref.variant)):
        found.append((f"{ref.variant!r} is no language that {a(ref.role)} could hear", False))
    if errors := [message for message, is_error in found if is_error]:
        raise ref.error(errors[0])
    return tuple(f"{message}; it is passed on as it is" for message, _ in found)


def _no_clash(choices: Choices, *, spec: str, start: int, end: int) -> None:
    clash = [role for role in (Role.STT, Role.LLM) if role in choices]
    if Role.REALTIME not in choices or not clash:
        return
    realtime, other = (choices[role].refs[0] for role in (Role.REALTIME, clash[0]))
    hint = f"; for a voice of its own, write tts={other.alias or other.provider}" if other.role is Role.STT else ""
    raise StackError(
        f"a realtime model hears and answers by itself: with {realtime.written}, leave out the {clash[0]} "
        f"{other.written}{hint}",
        spec=spec,
        start=start,
        end=end,
    )


def _either(roles: tuple[Role, ...]) -> str:
    return " or ".join(a(role) for role in roles)
