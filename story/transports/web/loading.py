"""Gets everything ready that a first call needs, while the page is being served already."""

from __future__ import annotations

import asyncio
import logging

from story.core.plan import Plan
from story.core.plugins import Plugins
from story.core.settings import Settings
from story.transports.web.ice import Ice

logger = logging.getLogger("story.web")


async def load_transport(ice: Ice) -> None:
    """Import what answers a page's offer, which takes less time than the models do."""
    await asyncio.to_thread(_import_transport)
    ice.restrict_addresses()


async def load_models(plan: Plan, plugins: Plugins, settings: Settings) -> None:
    """Import what calls need, build the stacks of `plan` once, and have their models warm.

    Raises:
        StoryError: a stack can't be built.
    """
    await asyncio.to_thread(_import_models)
    from livekit.agents import utils

    from story.core.live import build
    from story.core.warmup import warm_up

    async with utils.http_context.open():
        for stack in plan.every_stack:
            live = await build(stack, plugins.registry, settings, roles=plan.roles)
            try:
                await warm_up(live.models)
            finally:
                await live.aclose()


def _import_transport() -> None:
    import story.transports.web.page_caller
    import story.transports.web.peer  # noqa: F401


def _import_models() -> None:
    """None of these registers a livekit plugin: that has to be on the main thread."""
    import story.core.launch
    import story.transports.web.transport  # noqa: F401
