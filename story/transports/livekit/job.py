"""One job of a worker: a call in a room, from the dispatch to the end of the room."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from livekit import rtc
from livekit.agents import AutoSubscribe, JobContext, JobProcess

from story.core.errors import StoryError
from story.core.events import CallEnded, Event
from story.core.launch import hold_call
from story.core.plan import Plan, plan_call
from story.core.plugins import Plugins, load_plugins
from story.core.settings import Settings, load_settings
from story.transports.livekit.arrival import caller_comes, held_by_another, mark
from story.transports.livekit.attributes import ERROR, NAME, PERSONA, READY, STACK
from story.transports.livekit.orders import Model, Order, plan_order, read_order
from story.transports.livekit.room import EVENTS_TOPIC, NobodyCame, RoomTransport

logger = logging.getLogger("story.livekit")

CREW = "story"
"""Where a job process keeps its crew."""
EVENTS = logging.getLogger("story.events")
"""What calls tell: livekit carries the log of job processes to the worker, so that goes the same way."""
REFUSAL_SECONDS = 5.0
"""How long a job that can't be done takes up a slot of the worker, to say so to who comes."""
STAYING = ("caller_left", "lost")
"""Reasons of a call's end after which its room is left alone: others may be in it, or the caller come back."""


@dataclass(frozen=True)
class Recipe:
    """What a process needs to hold the worker's calls; goes to job processes, so it has to be pickled.

    stacks: persona -> spec, as the operator gave them. env: variables on top of what is set. providers: options
    that win. allowed: whose models jobs may use.
    """

    chain: str
    stacks: Mapping[str, str]
    env_file: Path | None
    env: Mapping[str, str] = field(repr=False)
    providers: Mapping[str, Mapping[str, object]]
    allowed: frozenset[Model]
    max_duration: float | None
    records: Path | None


@dataclass(frozen=True)
class Crew:
    """What holds calls in one process."""

    recipe: Recipe
    plan: Plan
    plugins: Plugins
    settings: Settings


def make_crew(recipe: Recipe) -> Crew:
    """From the recipe, in a process that has only that. Raises StoryError."""
    settings = load_settings(env_file=recipe.env_file)
    settings = settings.with_overrides(env=recipe.env, providers=recipe.providers)
    plugins = load_plugins(settings)
    plan = plan_call(plugins.registry, settings, chain=recipe.chain, stacks=recipe.stacks)
    return Crew(recipe, plan, plugins, settings)


def prepare_process(recipe: Recipe, process: JobProcess) -> None:
    """Have the crew of a job process ready before there is a job."""
    process.userdata[CREW] = make_crew(recipe)


def prepare_thread(crew: Crew, process: JobProcess) -> None:
    """The threads of a worker share its own crew."""
    process.userdata[CREW] = crew


async def hold_job(context: JobContext) -> None:
    """Hold the call of one job, and end the job with it."""
    crew: Crew = context.proc.userdata[CREW]
    # two connections, one each way, are there 70 ms before the one that is livekit's default
    room = context.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY, single_peer_connection=False)
    connecting = asyncio.create_task(room)
    await asyncio.sleep(0)  # it is under way before the stacks are built, which holds up this loop
    ended: CallEnded | None = None
    try:
        order = read_order(context.job.metadata)
        ended = await _hold(context, crew, _plan(order, crew), connecting, wait=order.wait)
    except NobodyCame:
        pass
    except StoryError as error:
        logger.warning("the job in room %s can't be done: %s", context.job.room.name, error)
        await _refuse(context, connecting, str(error))
        return
    except Exception:
        logger.exception("the job in room %s failed", context.job.room.name)
        await _refuse(context, connecting, "something went wrong on the server; its log says what")
        return
    finally:
        if not connecting.done():
            connecting.cancel()
    if ended is not None and ended.reason not in STAYING:
        await context.delete_room()
    context.shutdown(ended.reason if ended else "nobody came")


def _plan(order: Order, crew: Crew) -> Plan:
    recipe = crew.recipe
    return plan_order(
        order,
        crew.plan,
        chain=recipe.chain,
        plugins=crew.plugins,
        settings=crew.settings,
        allowed=recipe.allowed,
    )


async def _hold(
    context: JobContext, crew: Crew, plan: Plan, connecting: asyncio.Task[None], *, wait: bool
) -> CallEnded:
    background: set[asyncio.Task[None]] = set()

    async def arrival() -> None:
        try:
            await connecting
        except rtc.ConnectError as error:
            raise StoryError(f"the room can't be joined: {error.message}") from None
        ready = asyncio.create_task(context.room.local_participant.set_attributes({READY: "1"}))
        try:
            caller = await caller_comes(context)
            if caller is None or await held_by_another(context.room, caller):
                raise NobodyCame
            background.add(asyncio.create_task(mark(context, caller)))
        finally:
            await asyncio.wait([ready])

    try:
        return await hold_call(
            plan,
            RoomTransport(context.room, arrival, wait=wait),
            crew.plugins,
            crew.settings,
            observers=[tell_worker],
            max_duration=crew.recipe.max_duration,
            records=crew.recipe.records,
        )
    finally:
        for task in background:
            task.cancel()


def tell_worker(event: Event) -> None:
    """An observer of the job's call."""
    if event.recorded:
        EVENTS.info("%s %s", event.call, event.type, extra={"story_event": event})


async def _refuse(context: JobContext, connecting: asyncio.Task[None], reason: str) -> None:
    """Tell whoever is in the room, or soon comes, that there will be no call, and why."""
    await asyncio.wait([connecting])
    if context.room.isconnected():
        agent = context.room.local_participant
        await agent.set_attributes({ERROR: reason, PERSONA: "", NAME: "", STACK: ""})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REFUSAL_SECONDS):
                if await caller_comes(context):
                    await agent.publish_data(json.dumps({"type": "refused", "error": reason}), topic=EVENTS_TOPIC)
    context.shutdown("refused")
