"""Who comes to an agent in its room."""

from __future__ import annotations

import asyncio
import logging

from livekit import api, rtc
from livekit.agents import JobContext

from story.transports.livekit.attributes import AGENT
from story.transports.livekit.room import DRAIN_TOPIC, FAREWELL_TOPIC, GRACE_SECONDS

logger = logging.getLogger("story.livekit")


async def caller_comes(context: JobContext) -> rtc.RemoteParticipant | None:
    """The first caller, once they are there; None where the worker is about to stop, or the room is gone, before."""
    room = context.room
    over = asyncio.Event()

    def on_data(packet: rtc.DataPacket) -> None:
        if packet.participant is None and packet.topic in (DRAIN_TOPIC, FAREWELL_TOPIC):
            over.set()

    def on_disconnected(_: object) -> None:
        over.set()

    room.on("data_received", on_data)
    room.on("disconnected", on_disconnected)
    coming = asyncio.create_task(context.wait_for_participant())
    waits = [coming, asyncio.create_task(over.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        there = coming.done() and not coming.cancelled() and coming.exception() is None  # it has one in no room
        return coming.result() if there else None
    finally:
        room.off("data_received", on_data)
        room.off("disconnected", on_disconnected)
        for wait in waits:
            wait.cancel()


async def mark(context: JobContext, caller: rtc.RemoteParticipant) -> None:
    """Have it in their token whose call they are in.

    Whoever loses their server may be back on another one before their agent is. The room is made anew then, to which
    their token brings a second agent.
    """
    room = context.room.name
    marked = {AGENT: f"{context.room.local_participant.identity} {caller.sid}"}
    try:
        request = api.UpdateParticipantRequest(room=room, identity=caller.identity, attributes=marked)
        await context.api.room.update_participant(request)
    except Exception as error:  # the call goes on without
        logger.info("the caller in room %s could not be marked: %s", room, error)


async def held_by_another(room: rtc.Room, caller: rtc.RemoteParticipant) -> bool:
    """Whether they have come back, and the agent whose call they are in is there, or comes in the time that a call
    waits for who was lost."""
    agent, _, sid = caller.attributes.get(AGENT, "").partition(" ")
    if not agent or sid == caller.sid:  # they never left: who is sent now is to take that agent's place
        return False
    back = asyncio.Event()

    def look(*_: object) -> None:
        if agent in room.remote_participants:
            back.set()

    room.on("participant_connected", look)
    look()
    try:
        async with asyncio.timeout(GRACE_SECONDS):
            await back.wait()
    except TimeoutError:
        return False
    finally:
        room.off("participant_connected", look)
    return True
