"""Sends an agent into a room, and sees whether it gets there."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

import aiohttp
from livekit import api

from story.core.errors import StoryError
from story.transports.livekit.attributes import ERROR, READY
from story.transports.livekit.server_access import LiveKitServer
from story.transports.livekit.server_api import reach

ARRIVAL_SECONDS = 10.0
"""A worker has 7.5 s to take a job; the room is joined in one."""
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Arrival:
    """An agent that is in its room."""

    identity: str
    dispatch: str


async def dispatch(server: LiveKitServer, room: str, agent: str, metadata: str) -> Arrival:
    """Send `agent` into `room`, which is made if there is none; returns once it is there.

    Raises:
        StoryError: why it is not.
    """
    try:
        async with reach(server) as lk:
            request = api.CreateAgentDispatchRequest(agent_name=agent, room=room, metadata=metadata)
            made = await lk.agent_dispatch.create_dispatch(request)
            try:
                async with asyncio.timeout(ARRIVAL_SECONDS):
                    return await _until_there(lk, room, made.id)
            except TimeoutError:
                why = await _why_not(lk, room, made.id, agent)
                await _call_back(lk, room, made.id)
                raise StoryError(why) from None
            except StoryError:
                await _call_back(lk, room, made.id)
                raise
    except api.TwirpError as error:
        raise StoryError(f"the LiveKit server at {server.url} does not send it: {error.message}") from None
    except (aiohttp.ClientError, OSError) as error:
        raise StoryError(f"the LiveKit server at {server.url} is gone: {error}") from None


async def _until_there(lk: api.LiveKitAPI, room: str, dispatch_id: str) -> Arrival:
    while True:
        states = [job.state for job in await _jobs(lk, room, dispatch_id)]
        if any(state.status == api.JobStatus.JS_SUCCESS and not state.participant_identity for state in states):
            raise StoryError(f"a worker of it holds a call in {room!r} already")
        agents = {state.participant_identity for state in states}
        there = await lk.room.list_participants(api.ListParticipantsRequest(room=room))
        for participant in there.participants:
            if participant.identity not in agents:
                continue
            if error := participant.attributes.get(ERROR):
                raise StoryError(f"the worker refuses: {error}")
            if READY in participant.attributes:
                return Arrival(participant.identity, dispatch_id)
        await asyncio.sleep(LOOK_SECONDS)


async def _why_not(lk: api.LiveKitAPI, room: str, dispatch_id: str, agent: str) -> str:
    for job in await _jobs(lk, room, dispatch_id):
        if job.state.status == api.JobStatus.JS_FAILED:
            return f"the job failed at worker {job.state.worker_id}: {job.state.error or 'its log says why'}"
        if job.state.status == api.JobStatus.JS_RUNNING:
            return f"worker {job.state.worker_id} has the job, but was not ready within {ARRIVAL_SECONDS:.0f} s"
    return (
        f"no worker took it within {ARRIVAL_SECONDS:.0f} s: none is registered as {agent!r}, or all of them are full "
        "(`story run` starts one)"
    )


async def _call_back(lk: api.LiveKitAPI, room: str, dispatch_id: str) -> None:
    """Have the worker's slot free at once, not when the empty room is closed."""
    with contextlib.suppress(api.TwirpError):  # the room is gone already
        await lk.agent_dispatch.delete_dispatch(dispatch_id, room)


async def _jobs(lk: api.LiveKitAPI, room: str, dispatch_id: str) -> list[api.Job]:
    dispatches = await lk.agent_dispatch.list_dispatch(room)
    return [job for known in dispatches if known.id == dispatch_id for job in known.state.jobs]
