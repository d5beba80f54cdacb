"""Gets ready what a worker's calls need, before it registers."""

from __future__ import annotations

from collections.abc import Sequence

from livekit.agents import utils

from story.core.live import build
from story.core.plan import Plan, agent_classes
from story.core.plugins import Plugins
from story.core.registry import Registry
from story.core.requirements import check
from story.core.resolve import resolve
from story.core.resolved import ResolvedStack
from story.core.settings import Settings
from story.core.warmup import warm_up


def allowed_stacks(
    plan: Plan, specs: Sequence[str] | None, registry: Registry, settings: Settings
) -> tuple[ResolvedStack, ...]:
    """The stacks that jobs may be made of: those of `plan`, and `specs`, which may name stacks that can run here alone.

    specs: None for every named stack whose keys are all there.

    Raises:
        StoryError: a stack that means nothing.
    """
    default = plan.chain.default_stack
    if specs is not None:
        return (*plan.every_stack, *(resolve(spec, registry, default_stack=default) for spec in specs))
    named = (resolve(name, registry, default_stack=default) for name in registry.stacks)
    return (*plan.every_stack, *(stack for stack in named if _has_keys(stack, registry, settings)))


async def load(plan: Plan, allowed: Sequence[ResolvedStack], plugins: Plugins, settings: Settings) -> None:
    """Import what calls need, on the main thread as livekit asks for; build each stack once, and have the models of
    `plan` warm.

    Raises:
        StoryError: a stack can't be built.
    """
    agent_classes(plan.chain, plugins.registry)
    async with utils.http_context.open():
        for stack in dict.fromkeys(allowed):
            live = await build(stack, plugins.registry, settings, roles=plan.roles)
            try:
                if stack in plan.every_stack:
                    await warm_up(live.models)
            finally:
                await live.aclose()


def _has_keys(stack: ResolvedStack, registry: Registry, settings: Settings) -> bool:
    factories = ((ref, registry.factory(ref.role, ref.provider)) for ref in stack.refs)
    needs = any(factory is not None and ref.env(factory, settings) for ref, factory in factories)
    return needs and not check(stack, registry, settings)
