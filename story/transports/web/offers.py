"""What callers may choose before a call: a stack for each persona, of those that can run here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from story.core.errors import StackError, StoryError
from story.core.plan import Plan
from story.core.registry import Registry, Role
from story.core.requirements import check, unfetched
from story.core.resolve import resolve
from story.core.resolved import ResolvedStack
from story.core.settings import Settings

SPOKEN_ROLES = (Role.STT, Role.LLM, Role.TTS, Role.REALTIME)


@dataclass(frozen=True)
class OfferedStack:
    """title: its models in short. reason: why it can't run here, None where it can."""

    spec: str
    title: str
    works: bool
    reason: str | None = None


@dataclass(frozen=True)
class OfferedPersona:
    """stack: the spec that it talks with where the caller does not choose."""

    key: str
    name: str
    stack: str


@dataclass(frozen=True)
class Offers:
    """What a page shows before the call."""

    chain: str
    personas: tuple[OfferedPersona, ...]
    stacks: tuple[OfferedStack, ...]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    def chosen(self, asked: Mapping[str, str]) -> dict[str, str]:
        """persona -> spec for a call, given what its caller asks for.

        Raises:
            StoryError: a persona that the chain has not, or a stack that is not offered.
        """
        specs = {persona.key: persona.stack for persona in self.personas}
        offered = {stack.spec: stack for stack in self.stacks}
        for key, spec in asked.items():
            if key not in specs:
                raise StoryError(f"the chain {self.chain} has no persona of that name")
            if (stack := offered.get(spec)) is None:
                raise StoryError("that stack is not offered here: choose one of the list")
            if not stack.works:
                raise StoryError(f"the stack {spec} can't run here: {stack.reason}")
            specs[key] = spec
        return specs


def offers_of(plan: Plan, registry: Registry, settings: Settings) -> Offers:
    """The stacks of the plan, those that have a name, and the chain's own; each once."""
    personas = plan.chain.personas
    own = {key: stack.text or str(stack) for key, stack in plan.stacks.items()}
    default = plan.chain.default_stack
    specs = [*own.values(), *registry.stacks, default, *(persona.stack for persona in personas.values())]
    offered: dict[object, OfferedStack] = {}
    for spec in dict.fromkeys(spec for spec in specs if spec is not None):
        try:
            stack = resolve(spec, registry, default_stack=default)
        except StackError as error:
            offered[spec] = OfferedStack(spec, spec, works=False, reason=str(error))
        else:
            offered.setdefault(stack, _offered(spec, stack, registry, settings))
    return Offers(
        chain=plan.name,
        personas=tuple(OfferedPersona(key, persona.name, own[key]) for key, persona in personas.items()),
        stacks=tuple(offered.values()),
    )


def _offered(spec: str, stack: ResolvedStack, registry: Registry, settings: Settings) -> OfferedStack:
    problems = check(stack, registry, settings) or unfetched(stack, registry, settings)
    told = [str(choice.refs[0]) for choice in stack.choices if choice.role in SPOKEN_ROLES]
    return OfferedStack(spec, ", ".join(told), works=not problems, reason=problems[0].message if problems else None)
