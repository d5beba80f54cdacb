"""From a plan to a call under way: weights fetched, stacks built, observers told."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from story.core import events
from story.core.call import Call, Observer
from story.core.fallbacks import Switch
from story.core.live import LiveStack, build
from story.core.plan import Plan, agent_classes
from story.core.plugins import Plugins
from story.core.records import Record
from story.core.redact import redact
from story.core.resolved import ResolvedStack
from story.core.settings import Settings
from story.core.transport import Transport


async def hold_call(
    plan: Plan,
    transport: Transport,
    plugins: Plugins,
    settings: Settings,
    *,
    observers: Sequence[Observer] = (),
    max_duration: float | None = None,
    records: Path | None = None,
) -> events.CallEnded:
    """Hold one call as planned, and return how it ended. What it needs on this machine has been fetched.

    observers: get every event. max_duration: seconds.
    records: the folder for the call's record, None for none.

    Raises:
        StoryError: it can't start.
    """
    started: list[Call] = []

    def switched(switch: Switch) -> None:
        for call in started:
            names = {"from_": str(switch.from_), "to": str(switch.to)}
            call.tell(events.Fallback, role=str(switch.role), why=switch.why, **names)

    live: dict[ResolvedStack, LiveStack] = {}
    with ExitStack() as closing:
        try:
            agents = agent_classes(plan.chain, plugins.registry)
            for stack in plan.every_stack:
                live[stack] = await build(stack, plugins.registry, settings, roles=plan.roles, on_switch=switched)
            call = Call(
                plan.chain,
                transport,
                {key: live[stack] for key, stack in plan.stacks.items()},
                specs={key: str(stack) for key, stack in plan.stacks.items()},
                chain_name=plan.name,
                agents=agents,
                fallbacks={key: [(str(s), live[s]) for s in spares] for key, spares in plan.fallbacks.items()},
                max_duration=max_duration,
                redact=partial(redact, settings=settings),
            )
            if records is not None:
                record = Record(records, call.id)
                closing.callback(record.close)
                call.subscribe(record)
        except BaseException:
            for built in live.values():
                await built.aclose()
            await transport.aclose()
            raise
        for observer in (plugins.observe, *observers):
            call.subscribe(observer)
        started.append(call)
        return await call.run()  # closes the transport and the stacks
