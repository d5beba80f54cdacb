"""From what the user asked for to a call that can start: the chain, a stack for each persona, and why these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from story.core.errors import ConfigError, StackError, StoryError
from story.core.nearest import did_you_mean
from story.core.personas import Chain, load_chain
from story.core.registry import DEFAULT_CHAIN, LAST_RESORT, Registry, Role
from story.core.requirements import require, stack_without_choice
from story.core.resolve import resolve
from story.core.resolved import ResolvedStack
from story.core.settings import Settings
from story.core.toml import read_toml

TEXT_ROLES = frozenset({Role.LLM, Role.REALTIME})
"""What a conversation in text needs of a stack."""


@dataclass(frozen=True)
class Plan:
    """What a call will be made of. Nothing is loaded yet.

    stacks: persona -> stack. fallbacks: persona -> stacks to go on with when its own fails, in order.
    roles: which roles of the stacks are wanted. why: one line that says which stack was chosen and why, where the
    user left the choice to us; None where they did not.
    """

    name: str
    chain: Chain
    stacks: Mapping[str, ResolvedStack]
    fallbacks: Mapping[str, tuple[ResolvedStack, ...]]
    roles: frozenset[Role]
    why: str | None = None

    @property
    def every_stack(self) -> tuple[ResolvedStack, ...]:
        """Each stack once, fallbacks included."""
        spares = (stack for stacks in self.fallbacks.values() for stack in stacks)
        return tuple(dict.fromkeys([*self.stacks.values(), *spares]))

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(warning for stack in self.every_stack for warning in stack.warnings))


def find_chain(name: str, registry: Registry) -> tuple[str, Chain]:
    """A chain by the name a plugin gave it, or by its file.

    Raises:
        ConfigError: there is neither, or it is no valid chain.
    """
    if path := _file(name, registry):
        return name if name in registry.personas else path.stem, load_chain(path)
    chains = [known for known, place in registry.personas.items() if isinstance(place, Path)]
    hint = did_you_mean(name, chains, otherwise=f"; there are {', '.join(chains)}, or give a TOML file")
    raise ConfigError(f"unknown chain {name!r}{hint}")


def _file(chain: str, registry: Registry) -> Path | None:
    path = registry.personas.get(chain)
    if isinstance(path, Path):
        return path
    return Path(chain) if chain.endswith(".toml") or "/" in chain or Path(chain).is_file() else None


def plan_call(
    registry: Registry,
    settings: Settings,
    *,
    chain: str = DEFAULT_CHAIN,
    stacks: Mapping[str, str] | None = None,
    audio: bool = True,
) -> Plan:
    """Settle the chain and the stack of every persona, and check that each can be built here.

    stacks: persona -> spec, as the user gave them; the rest comes from the chain, or from what can run here.

    Raises:
        StoryError: an unknown chain, persona or stack; a key or a package that is missing.
    """
    name, loaded = find_chain(chain, registry)
    asked = dict(stacks or {})
    for persona in asked:
        if persona not in loaded.personas:
            known = list(loaded.personas)
            hint = did_you_mean(persona, known, otherwise=f"; it has {', '.join(known)}")
            raise ConfigError(f"the chain {name} has no persona {persona!r}{hint}")
    if path := _file(chain, registry):
        _check_specs(path, loaded, asked, registry)
    roles = frozenset(Role) if audio else TEXT_ROLES
    specs, why = _specs(loaded, asked, registry, settings, roles)
    resolved = {key: resolve(spec, registry, default_stack=loaded.default_stack) for key, spec in specs.items()}
    plan = Plan(
        name=name,
        chain=loaded,
        stacks=resolved,
        fallbacks=_fallbacks(loaded, resolved, registry),
        roles=roles,
        why=why,
    )
    for stack in plan.every_stack:
        require(stack, registry, settings, roles=plan.roles)
    return plan


def _check_specs(path: Path, chain: Chain, asked: Mapping[str, str], registry: Registry) -> None:
    """Raise ConfigError, with the place in the chain's file, where a stack that it names means nothing."""
    written: list[tuple[tuple[str, ...], str | None]] = [(("default_stack",), chain.default_stack)]
    for key, persona in chain.personas.items():
        own = None if key in asked else persona.stack
        written += [(("personas", key, "stack"), own), (("personas", key, "fallback_stack"), persona.fallback_stack)]
    for keys, spec in written:
        if spec is None:
            continue
        try:
            resolve(spec, registry, default_stack=chain.default_stack)
        except StackError as error:
            raise read_toml(path).error(keys, str(error)) from error


def _specs(
    chain: Chain, asked: Mapping[str, str], registry: Registry, settings: Settings, roles: frozenset[Role]
) -> tuple[dict[str, str], str | None]:
    """The spec of each persona: the user's, else the chain's, else one that can run here, and why that one."""
    own = {key: persona.stack or chain.default_stack or LAST_RESORT for key, persona in chain.personas.items()}
    free = [key for key in own if key not in asked]
    if not free:
        return {key: asked[key] for key in own}, None
    instead, why = stack_without_choice(
        [own[key] for key in free], registry, settings, default_stack=chain.default_stack, roles=roles
    )
    return {key: asked[key] if key in asked else instead or own[key] for key in own}, why


def _fallbacks(
    chain: Chain, stacks: Mapping[str, ResolvedStack], registry: Registry
) -> dict[str, tuple[ResolvedStack, ...]]:
    """A persona's own fallback stack, then the chain's default stack where another persona has it built."""
    default = resolve(chain.default_stack, registry) if chain.default_stack else None
    fallbacks: dict[str, tuple[ResolvedStack, ...]] = {}
    for key, persona in chain.personas.items():
        spares: list[ResolvedStack] = []
        if persona.fallback_stack:
            spares.append(resolve(persona.fallback_stack, registry, default_stack=chain.default_stack))
        if default is not None and default in stacks.values():
            spares.append(default)
        if spares := [spare for spare in dict.fromkeys(spares) if spare != stacks[key]]:
            fallbacks[key] = tuple(spares)
    return fallbacks


def agent_classes(chain: Chain, registry: Registry) -> dict[str, type]:
    """The classes of the chain's Python personas, imported (they need livekit).

    Raises:
        StoryError: a name that no plugin gave, a class that can't be imported or is no PersonaAgent.
    """
    import importlib

    from story.core.agent import PersonaAgent

    classes: dict[str, type] = {}
    for key, persona in chain.personas.items():
        if persona.agent is None:
            continue
        place = registry.personas.get(persona.agent)
        if not isinstance(place, str):
            known = [name for name, known in registry.personas.items() if isinstance(known, str)]
            hint = did_you_mean(persona.agent, known, otherwise="; no plugin offers it")
            raise ConfigError(f"persona {key!r}: unknown agent {persona.agent!r}{hint}")
        module, _, attribute = place.partition(":")
        try:
            found = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise StoryError(f"persona {key!r}: {place} can't be imported: {type(error).__name__}: {error}") from error
        if not (isinstance(found, type) and issubclass(found, PersonaAgent)):
            raise StoryError(f"persona {key!r}: {place} is no subclass of story.PersonaAgent")
        classes[key] = found
    return classes
