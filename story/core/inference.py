"""Which roles a ref can take, and which it takes where the spec names none."""

from __future__ import annotations

from dataclasses import replace

from story.core.errors import StackError
from story.core.grammar import Ref, parse
from story.core.nearest import did_you_mean, nearest
from story.core.registry import PIPELINE, Alias, Registry, Role


def alias_of(ref: Ref, registry: Registry) -> Alias | None:
    """The alias that a ref names, if it does."""
    return registry.aliases.get(ref.name) if ref.model is None else None


def target_of(ref: Ref, alias: Alias, registry: Registry, spec: str) -> Ref:
    """What an alias stands for; a voice that is written after the alias wins over the alias's own."""
    target = parse(alias.ref).single
    if target is None or registry.factory(alias.role, target.name) is None:
        message = f"alias {alias.name!r} stands for {alias.ref!r}, but no plugin offers that as {alias.role}"
        raise StackError(message, spec=spec, start=ref.start, end=ref.end)
    return target if ref.variant is None else replace(target, variant=ref.variant)


def possible_roles(ref: Ref, registry: Registry, spec: str) -> tuple[Role, ...]:
    """The roles that a ref can take where one is named.

    Raises:
        StackError: nothing has that name.
    """
    if alias := alias_of(ref, registry):
        return (alias.role,)
    return registry.roles(ref.name) or _raise(unknown_name(ref, registry, spec))


def likely_roles(ref: Ref, registry: Registry, spec: str) -> tuple[Role, ...]:
    """The roles that a ref takes where none is named, the first that is free winning."""
    possible = possible_roles(ref, registry, spec)
    if ref.model is not None:
        written = {ref.model, f"{ref.model}:{ref.variant}"}
        if listing := tuple(role for role in possible if written & set(_models(ref, role, registry))):
            return listing
        models = {model: role for role in reversed(possible) for model in _models(ref, role, registry)}
        if close := nearest(ref.model, models, count=1):
            return (models[close[0]],)
    elif ref.variant is not None:
        speaking = [role for role in (Role.TTS, Role.REALTIME) if ref.variant in _voices(ref, role, registry)]
        if speaking and speaking[0] in possible:
            return (speaking[0],)
    # What a provider does besides the pipeline (a vad, a realtime model) has to be asked for by name.
    return tuple(role for role in PIPELINE if role in possible) or possible


def unknown_name(ref: Ref, registry: Registry, spec: str) -> StackError:
    """The error for a name that nothing has, with the nearest ones."""

    def error(message: str) -> StackError:
        return StackError(message, spec=spec, start=ref.start, end=ref.end)

    providers = registry.providers()
    if ref.model is not None:
        there_are = f"; there are {', '.join(providers)}" if providers else "; no plugin offers any"
        return error(f"unknown provider {ref.name!r}{did_you_mean(ref.name, providers, otherwise=there_are)}")
    if ref.name in registry.stacks:
        return error(f"{ref.name!r} is a named stack: it stands alone, not as a part of a longer spec")
    offered = registry.factories.values()
    full = [f"{name}/{model}" for by_name in offered for name, factory in by_name.items() for model in factory.models]
    exact = dict.fromkeys(name for name in full if name.partition("/")[2] == ref.name)
    if exact:
        return error(f"unknown model {ref.name!r} (did you mean {' or '.join(exact)}?)")
    by_model = {name.partition("/")[2]: name for name in reversed(full)}
    names = [*registry.aliases, *providers, *registry.stacks]
    hint = did_you_mean(ref.name, names)
    if not hint and (close := nearest(ref.name, by_model)):
        hint = f" (did you mean {' or '.join(by_model[name] for name in close)}?)"
    return error(f"unknown model {ref.name!r}{hint or '; `story providers` lists what there is'}")


def a(role: Role) -> str:
    """The role with its article."""
    return f"an {role}" if role in (Role.STT, Role.LLM) else f"a {role}"


def _models(ref: Ref, role: Role, registry: Registry) -> tuple[str, ...]:
    factory = registry.factory(role, ref.name)
    return tuple(factory.models) if factory else ()


def _voices(ref: Ref, role: Role, registry: Registry) -> tuple[str, ...]:
    factory = registry.factory(role, ref.name)
    return tuple(factory.voices) if factory else ()


def _raise(error: StackError) -> tuple[Role, ...]:
    raise error
