"""What any client of a room can see of a call: attributes of the agent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from livekit import rtc

from story.core import events

logger = logging.getLogger("story.livekit")

PERSONA, NAME, STACK = "story.persona", "story.name", "story.stack"
"""The key of the persona that speaks, its name, its stack in full. What it does is livekit's own `lk.agent.state`."""
READY, ERROR = "story.ready", "story.error"
"""That the call can begin, once there is a caller; why there will be none."""
AGENT = "story.agent"
"""Of the caller: the identity of the agent whose call they are in, and the caller's own sid as that call began. They
have another sid once they have come back, with a token that tells both."""


class Attributes:
    """Keeps them in step with the events of a call. Of several changes in a row only the last is sent."""

    def __init__(self, room: rtc.Room, names: Mapping[str, str]) -> None:
        self._room = room
        self._names = names
        self._stacks: Mapping[str, str] = {}
        self._wanted: dict[str, str] = {READY: "1"}
        self._sent: dict[str, str] = {}
        self._sending: asyncio.Task[None] | None = None

    def tell(self, event: events.Event) -> None:
        """An observer of the call."""
        if isinstance(event, events.CallStarted):
            self._stacks = event.stacks
        if event.persona is not None:
            self._wanted |= {
                PERSONA: event.persona,
                NAME: self._names.get(event.persona, event.persona),
                STACK: self._stacks.get(event.persona, ""),
            }
        self.send()

    def send(self) -> None:
        """Send what has changed, if the agent is in its room."""
        if self._sending is None or self._sending.done():
            self._start()

    def send_again(self, also: Mapping[str, str]) -> None:
        """Send all of it, and `also`, to a server that knows none of it."""
        self._wanted |= also
        self._sent = {}
        if self._sending is not None:
            self._sending.cancel()  # it may be waiting for a server that is no more
        self._start()

    async def aclose(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])

    def _start(self) -> None:
        if self._wanted != self._sent and self._room.isconnected():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._room.isconnected() and self._wanted != self._sent:
            wanted = dict(self._wanted)
            changed = {name: value for name, value in wanted.items() if self._sent.get(name) != value}
            try:
                await self._room.local_participant.set_attributes(changed)
            except Exception as error:  # the room goes on without
                logger.info("the agent's attributes could not be set: %s", error)
                return
            self._sent = wanted
