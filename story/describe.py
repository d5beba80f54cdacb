"""What plugins, providers and stacks are, as plain values for listings: rendered by `tables`, printed as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from story.core.errors import ConfigError, StackError
from story.core.nearest import did_you_mean
from story.core.registry import DEFAULT_CHAIN, ModelFactory, Registry, Role
from story.core.requirements import check, missing_package
from story.core.resolve import resolve
from story.core.resolved import ResolvedChoice, ResolvedRef, ResolvedStack
from story.core.settings import Settings
from story.core.toml import read_toml

if TYPE_CHECKING:
    from story.core.plugins import Plugin


@dataclass(frozen=True)
class PluginInfo:
    """status: "loaded", "broken" (nothing of it works), "faulty" (some of it does) or "skipped"."""

    name: str
    status: str
    builtin: bool
    distribution: str | None
    version: str | None
    slow: bool
    skipped: str | None
    contributes: dict[str, list[str]]
    faults: list[str]
    tracebacks: list[str]


@dataclass(frozen=True)
class Key:
    """A variable that holds a key; its value is never kept."""

    name: str
    present: bool


@dataclass(frozen=True)
class Offer:
    """What a provider offers for one role. package: the distribution it needs, None if it needs none."""

    role: Role
    default_model: str
    models: list[str]
    default_voice: str | None
    voices: list[str]
    aliases: dict[str, str]
    keys: list[Key]
    package: str | None
    installed: bool


@dataclass(frozen=True)
class ProviderInfo:
    name: str
    offers: list[Offer]

    @property
    def keys(self) -> list[Key]:
        return list(dict.fromkeys(key for offer in self.offers for key in offer.keys))

    @property
    def packages(self) -> dict[str, bool]:
        """Distribution -> installed."""
        return {offer.package: offer.installed for offer in self.offers if offer.package}


@dataclass(frozen=True)
class ModelInfo:
    """One model of a stack. variant: its voice or language. problems: what but a key keeps it from running here."""

    ref: str
    provider: str
    model: str
    variant: str | None
    alias: str | None
    options: list[str]
    keys: list[Key]
    warnings: list[str]
    problems: list[str]


@dataclass(frozen=True)
class RoleInfo:
    """The models of one role, in the order they are tried. origin, source: where the choice came from."""

    role: Role
    origin: str
    source: str
    models: list[ModelInfo]


@dataclass(frozen=True)
class StackInfo:
    """A stack, role by role. name: of a named stack, "" for a spec.

    ready: whether it can run here now. missing: why not, one thing a line. error: what is wrong with the stack itself.
    """

    name: str
    source: str
    spec: str
    ready: bool
    roles: list[RoleInfo]
    missing: list[str]
    error: str | None = None

    @property
    def warnings(self) -> list[str]:
        return [warning for role in self.roles for model in role.models for warning in model.warnings]


def describe_plugin(plugin: Plugin) -> PluginInfo:
    """Reads the metadata of the plugin's distribution."""
    works = any(plugin.contributes.values())
    status = "skipped" if plugin.skipped else "loaded" if not plugin.faults else "faulty" if works else "broken"
    return PluginInfo(
        name=plugin.name,
        status=status,
        builtin=plugin.builtin,
        distribution=plugin.distribution,
        version=plugin.version,
        slow=plugin.slow,
        skipped=plugin.skipped,
        contributes={hook: list(names) for hook, names in plugin.contributes.items() if names},
        faults=[fault.message for fault in plugin.faults],
        tracebacks=[fault.traceback for fault in plugin.faults if fault.traceback],
    )


def describe_provider(name: str, registry: Registry, settings: Settings) -> ProviderInfo:
    """Raises ConfigError where no plugin offers a provider of this name."""
    roles = registry.roles(name)
    if not roles:
        known = registry.providers()
        hint = did_you_mean(name, known, otherwise=f"; there are {', '.join(known)}")
        raise ConfigError(f"unknown provider {name!r}{hint}")
    offers = [_offer(factory, role, registry, settings) for role in roles if (factory := registry.factory(role, name))]
    return ProviderInfo(name, offers)


def _offer(factory: ModelFactory, role: Role, registry: Registry, settings: Settings) -> Offer:
    return Offer(
        role=role,
        default_model=factory.default_model,
        models=list(factory.models),
        default_voice=factory.default_voice,
        voices=list(factory.voices),
        aliases={alias.name: alias.ref.partition("/")[2] for alias in registry.aliases_of(role, factory.provider)},
        keys=_keys(factory.env, settings),
        package=factory.requires,
        installed=missing_package(factory.requires) is None,
    )


def _keys(names: Sequence[str], settings: Settings) -> list[Key]:
    return [Key(name, settings.key(name) is not None) for name in names]


def describe_stack(
    spec: str,
    registry: Registry,
    settings: Settings,
    *,
    default_stack: str | None = None,
) -> StackInfo:
    """Raises StackError where `spec` means nothing. `default_stack` fills the roles that it leaves open."""
    stack = resolve(spec, registry, default_stack=default_stack)
    roles = [_role(choice, stack, registry, settings) for choice in stack.choices]
    named = registry.stacks.get(spec)
    missing = _missing(roles)
    name, source = (named.name, named.source) if named else ("", "")
    return StackInfo(name, source, str(stack), not missing, roles, missing)


def describe_named_stacks(registry: Registry, settings: Settings, default_stack: str | None) -> list[StackInfo]:
    """All named stacks; one that can't be resolved has its `error`."""
    found: list[StackInfo] = []
    for name, stack in registry.stacks.items():
        try:
            found.append(describe_stack(name, registry, settings, default_stack=default_stack))
        except StackError as error:
            found.append(StackInfo(name, stack.source, stack.spec or "", False, [], [], str(error)))
    return found


def _missing(roles: Sequence[RoleInfo]) -> list[str]:
    """What keeps the models from running here now: keys with the roles that need them, then the rest."""
    models = [(role.role, model) for role in roles for model in role.models]
    keys: dict[str, dict[str, None]] = {}
    for role, model in models:
        for key in model.keys:
            if not key.present:
                keys.setdefault(key.name, {})[role] = None
    problems = dict.fromkeys(problem for _, model in models for problem in model.problems)
    return [*(f"{name} ({', '.join(needing)})" for name, needing in keys.items()), *problems]


def _role(choice: ResolvedChoice, stack: ResolvedStack, registry: Registry, settings: Settings) -> RoleInfo:
    models = [_model(ref, registry, settings) for ref in choice.refs]
    return RoleInfo(choice.role, str(choice.origin), choice.source, models)


def _model(ref: ResolvedRef, registry: Registry, settings: Settings) -> ModelInfo:
    factory = registry.factory(ref.role, ref.provider)
    alone = ResolvedStack(choices=(ResolvedChoice(ref.role, (ref,)),))
    return ModelInfo(
        ref=str(ref),
        provider=ref.provider,
        model=ref.model,
        variant=(ref.variant or ref.voice(factory, settings)) if factory else ref.variant,
        alias=ref.alias,
        options=sorted(ref.options),
        keys=_keys(ref.env(factory, settings), settings) if factory else [],
        warnings=list(ref.warnings),
        problems=[p.message for p in check(alone, registry, settings) if p.kind != "key"],
    )


def default_stack(registry: Registry, chain: str = DEFAULT_CHAIN) -> str | None:
    """The stack that fills the roles which a spec leaves open in a call with `chain` (a name or a TOML file).

    Raises ConfigError where there is no such chain. The chain is not checked as a whole: that takes much longer.
    """
    place = registry.personas.get(chain)
    if not isinstance(place, Path):
        if chain == DEFAULT_CHAIN:
            return None
        from story.core.plan import find_chain

        return find_chain(chain, registry)[1].default_stack
    default = read_toml(place).data.get("default_stack")
    return default if isinstance(default, str) else None


def as_data(found: object) -> object:
    """A description as JSON-ready values."""
    if isinstance(found, list):
        return [as_data(item) for item in found]
    if is_dataclass(found) and not isinstance(found, type):
        return asdict(found)
    return found
