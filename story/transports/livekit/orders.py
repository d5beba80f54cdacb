"""What whoever sends the worker into a room may choose: the chain and the stacks, in the metadata of the job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from story.core.errors import StoryError
from story.core.nearest import did_you_mean
from story.core.plan import Plan, plan_call
from story.core.plugins import Plugins
from story.core.registry import Role
from story.core.resolved import ResolvedStack
from story.core.settings import Settings

KEYS = ("chain", "stacks", "wait")
LONGEST = 10_000
"""Characters of metadata that are read."""

Model = tuple[Role, str]
"""A role, and the provider of a model for it."""


@dataclass(frozen=True)
class Order:
    """The call of one job. chain: a name, None for the worker's own. stacks: persona -> spec.

    wait: whether it begins only once there is a caller; else everything but its sound begins at once, as one is coming.
    """

    chain: str | None = None
    stacks: Mapping[str, str] = field(default_factory=dict)
    wait: bool = False

    def as_metadata(self) -> str:
        """The order as a job's metadata."""
        import json

        told = {"chain": self.chain, "stacks": dict(self.stacks), "wait": self.wait}
        return json.dumps({key: value for key, value in told.items() if value})


def read_order(metadata: str) -> Order:
    """The order in a job's metadata, which is JSON: {"chain": NAME, "stacks": {PERSONA: SPEC}, "wait": true}, all of it
    optional, or nothing at all.

    Raises:
        StoryError: what is wrong with it.
    """
    import json

    if not metadata.strip():
        return Order()
    if len(metadata) > LONGEST:
        raise StoryError(f"the job's metadata is longer than {LONGEST} characters")
    try:
        told = json.loads(metadata)
    except ValueError:
        raise StoryError('the job\'s metadata is no JSON: write {"chain": NAME, "stacks": {PERSONA: SPEC}}') from None
    if not isinstance(told, dict):
        raise StoryError("the job's metadata is no object with the keys chain, stacks and wait")
    for key in told:
        if key not in KEYS:
            hint = did_you_mean(key, KEYS, otherwise=f"; it has {', '.join(KEYS)}")
            raise StoryError(f"the job's metadata: unknown key {key!r}{hint}")
    chain, stacks, wait = told.get("chain"), told.get("stacks", {}), told.get("wait", False)
    if chain is not None and not isinstance(chain, str):
        raise StoryError("the job's metadata: chain is the name of a chain")
    if not isinstance(stacks, dict) or not all(isinstance(spec, str) for spec in stacks.values()):
        raise StoryError("the job's metadata: stacks says the stack of each persona, as a string")
    if not isinstance(wait, bool):
        raise StoryError("the job's metadata: wait is true or false")
    return Order(chain, stacks, wait)


def models_of(stacks: Iterable[ResolvedStack]) -> frozenset[Model]:
    """Whose models the stacks are made of."""
    return frozenset((ref.role, ref.provider) for stack in stacks for ref in stack.refs)


def plan_order(
    order: Order, own: Plan, *, chain: str, plugins: Plugins, settings: Settings, allowed: frozenset[Model]
) -> Plan:
    """The call that the order asks for.

    own, chain: the worker's own plan, and the chain as its operator named it. allowed: whose models may be used.

    Raises:
        StoryError: an unknown chain, persona or stack, a missing key, or a model that is not allowed.
    """
    if not order.chain and not order.stacks:
        return own
    if order.chain and order.chain not in plugins.registry.personas:  # never a file of this machine's
        known = list(plugins.registry.personas)
        hint = did_you_mean(order.chain, known, otherwise=f"; there are {', '.join(known)}")
        raise StoryError(f"unknown chain {order.chain!r}{hint}")
    same = order.chain in (None, chain, own.name)
    stacks = {key: stack.text or str(stack) for key, stack in own.stacks.items()} if same else {}
    asked = {**stacks, **order.stacks}
    plan = plan_call(plugins.registry, settings, chain=chain if same else order.chain or chain, stacks=asked)
    for stack in plan.every_stack:
        for ref in stack.refs:
            if (ref.role, ref.provider) not in allowed:
                raise ref.error(
                    f"{ref.provider} as {ref.role} is not what this worker was started for (--allow-stacks); "
                    f"it has {_told(allowed)}"
                )
    return plan


def _told(allowed: frozenset[Model]) -> str:
    by_provider: dict[str, list[str]] = {}
    for role, provider in sorted(allowed):
        by_provider.setdefault(provider, []).append(role)
    return ", ".join(f"{provider} ({', '.join(roles)})" for provider, roles in by_provider.items())
