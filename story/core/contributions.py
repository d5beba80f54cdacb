"""What the plugins' hooks return: checked one by one, first come first served, gathered into a registry."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from story.core.errors import StoryError
from story.core.registry import (
    BUILTIN_STACKS,
    PRICE_UNITS,
    PRICED,
    Alias,
    ModelFactory,
    ModelPrice,
    NamedStack,
    Registry,
    Role,
)
from story.core.settings import Settings

FACTORY_HOOKS = {f"story_{role}": role for role in Role}
HOOKS = (*FACTORY_HOOKS, "story_aliases", "story_stacks", "story_personas", "story_prices")
"""The hooks that list things, in the order they are called."""

_NOT_IN_NAMES = frozenset('+,=/:"\\')


class _Nonsense(StoryError):
    """A hook returned something that can't be used."""


class Contributions:
    """What has been offered so far, and by whom."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._factories: dict[Role, dict[str, ModelFactory]] = {role: {} for role in Role}
        self._aliases: dict[str, Alias] = {}
        self._stacks: dict[str, NamedStack] = {
            name: NamedStack(name=name, source="built in", spec=spec) for name, spec in BUILTIN_STACKS.items()
        }
        self._personas: dict[str, Path | str] = {}
        self._prices: list[ModelPrice] = []
        self._owners: dict[tuple[str, str], str] = {("story_stacks", name): "story" for name in BUILTIN_STACKS}

    def registry(self) -> Registry:
        """What has been taken; stacks of story.toml hide those of plugins, as the user has the last word."""
        return Registry(
            factories={role: dict(offered) for role, offered in self._factories.items()},
            aliases=dict(self._aliases),
            stacks={**self._stacks, **self._settings.stacks},
            personas=dict(self._personas),
            prices=tuple(self._prices),
            ready_made=tuple(self._stacks),
        )

    def add(self, hook: str, result: object, owner: str) -> tuple[list[str], list[str]]:
        """Take what `owner`'s hook returned. Returns the names that were taken, and what was wrong with the rest."""
        names: list[str] = []
        problems: list[str] = []
        try:
            things = _things(hook, result)
        except _Nonsense as error:
            return [], [str(error)]
        for thing in things:
            try:
                names.append(self._add(hook, thing, owner))
            except _Nonsense as error:
                problems.append(str(error))
        return names, problems

    def _add(self, hook: str, thing: object, owner: str) -> str:
        if role := FACTORY_HOOKS.get(hook):
            factory = _checked_factory(thing)
            self._claim(hook, factory.provider, owner, f"provider {factory.provider!r} for {role}")
            self._factories[role][factory.provider] = factory
            return factory.provider
        if hook == "story_aliases":
            alias = _checked_alias(thing)
            self._claim(hook, alias.name, owner, f"alias {alias.name!r}")
            self._aliases[alias.name] = alias
            return alias.name
        if hook == "story_prices":
            price = _checked_price(thing)
            name = f"{price.provider}/{price.model} {price.role}"
            self._claim(hook, name, owner, f"the price of {name}")
            self._prices.append(price)
            return name
        name, value = _checked_pair(thing)
        if hook == "story_stacks":
            return self._add_stack(name, value, owner)
        if not isinstance(value, Path) and not (isinstance(value, str) and ":" in value):
            raise _Nonsense(f'{name!r} is {_kind(value)}, not a path or "module:Class"')
        self._claim(hook, name, owner, f"persona {name!r}")
        self._personas[name] = value
        return name

    def _add_stack(self, name: str, value: object, owner: str) -> str:
        if not isinstance(value, str):
            raise _Nonsense(f"{name!r} is {_kind(value)}, not a spec")
        known = self._stacks.get(name)
        if known is None or known.spec != value:  # saying the same thing twice is no quarrel
            self._claim("story_stacks", name, owner, f"stack {name!r}")
            self._stacks[name] = NamedStack(name=name, source=f"plugin {owner}", spec=value)
        return name

    def _claim(self, hook: str, name: str, owner: str, what: str) -> None:
        first = self._owners.get((hook, name))
        if first is not None:
            both = f"by both {first} and {owner}; {first} keeps it" if first != owner else f"twice by {owner}"
            raise _Nonsense(f"{what} is offered {both}")
        self._owners[hook, name] = owner


def _things(hook: str, result: object) -> Iterable[object]:
    """One thing or several, as a sequence."""
    if isinstance(result, Mapping) and hook in {"story_stacks", "story_personas"}:
        return list(result.items())
    if hook in {"story_stacks", "story_personas"}:
        raise _Nonsense(f"returned {_kind(result)}, not a mapping")
    if isinstance(result, ModelFactory | Alias | ModelPrice):
        return [result]
    if isinstance(result, list | tuple):
        return result
    wanted = {"story_aliases": "an Alias", "story_prices": "a ModelPrice"}.get(hook, "a ModelFactory")
    raise _Nonsense(f"returned {_kind(result)}, not {wanted} or a list of them")


def _checked_factory(thing: object) -> ModelFactory:
    if not isinstance(thing, ModelFactory):
        raise _Nonsense(f"returned {_kind(thing)}, not a ModelFactory")
    _checked_name(thing.provider, "a provider")
    for field in ("models", "voices", "env"):
        value = getattr(thing, field)
        if isinstance(value, str) or not _all_strings(value):
            raise _Nonsense(f"{thing.provider}: {field} is {_kind(value)}, not a list of names")
    if not isinstance(thing.default_model, str) or not thing.default_model:
        raise _Nonsense(f"{thing.provider}: default_model is {_kind(thing.default_model)}, not the name of a model")
    for field in ("default_voice", "requires"):
        value = getattr(thing, field)
        if value is not None and not isinstance(value, str):
            raise _Nonsense(f"{thing.provider}: {field} is {_kind(value)}, not a name")
    if not callable(thing.build):
        raise _Nonsense(f"{thing.provider}: build is {_kind(thing.build)}, not a function")
    for field in ("prepare", "to_fetch", "problem"):
        if getattr(thing, field) is not None and not callable(getattr(thing, field)):
            raise _Nonsense(f"{thing.provider}: {field} is not a function")
    return thing


def _checked_alias(thing: object) -> Alias:
    if not isinstance(thing, Alias):
        raise _Nonsense(f"returned {_kind(thing)}, not an Alias")
    _checked_name(thing.name, "an alias")
    if not isinstance(thing.role, Role):
        raise _Nonsense(f"alias {thing.name!r}: role is {_kind(thing.role)}, not a story.Role")
    if not isinstance(thing.ref, str) or not thing.ref:
        raise _Nonsense(f"alias {thing.name!r}: ref is {_kind(thing.ref)}, not provider/model")
    return thing


def _checked_price(thing: object) -> ModelPrice:
    if not isinstance(thing, ModelPrice):
        raise _Nonsense(f"returned {_kind(thing)}, not a ModelPrice")
    _checked_name(thing.provider, "a provider")
    what = f"price of {thing.provider}/{thing.model}"
    if not isinstance(thing.model, str) or not thing.model:
        raise _Nonsense(f"{what}: model is {_kind(thing.model)}, not a name")
    if thing.role not in PRICED:
        raise _Nonsense(f"{what}: role is {_kind(thing.role)}, not one of {', '.join(PRICED)}")
    if not isinstance(thing.units, Mapping) or not thing.units:
        raise _Nonsense(f"{what}: units is {_kind(thing.units)}, not dollars by {', '.join(PRICE_UNITS)}")
    for unit, amount in thing.units.items():
        if unit not in PRICE_UNITS:
            raise _Nonsense(f"{what}: {unit!r} is no unit: one of {', '.join(PRICE_UNITS)}")
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < math.inf:
            raise _Nonsense(f"{what}: {unit} is {_kind(amount)}, not a number of dollars")
    if not isinstance(thing.source, str) or not isinstance(thing.date, datetime.date | None):
        raise _Nonsense(f"{what}: source is a text, and date a datetime.date")
    return thing


def _checked_pair(thing: object) -> tuple[str, object]:
    if not isinstance(thing, tuple) or len(thing) != 2:  # can't be: it is an item of a mapping
        raise _Nonsense(f"returned {_kind(thing)}")
    return _checked_name(thing[0], "a name"), thing[1]


def _checked_name(name: object, what: str) -> str:
    if not isinstance(name, str) or not name or _NOT_IN_NAMES & set(name) or name != "".join(name.split()):
        raise _Nonsense(f"{name!r} can't be the name of {what}: a word without {''.join(sorted(_NOT_IN_NAMES))}")
    return name


def _all_strings(value: object) -> bool:
    return isinstance(value, Iterable) and all(isinstance(item, str) for item in value)


def _kind(value: object) -> str:
    return "nothing" if value is None else f"{type(value).__name__} {value!r:.60}"
