"""The transport of a call in a LiveKit room."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.types import ATTRIBUTE_AGENT_STATE
from livekit.agents.voice.remote_session import RoomSessionTransport, SessionHost
from livekit.agents.voice.room_io import AudioInputOptions, RoomIO, RoomOptions, TextInputEvent, TextOutputOptions

from story.core import events
from story.core.captions import Captions
from story.core.errors import StoryError
from story.transports.livekit.attributes import Attributes
from story.transports.livekit.page import CAPTIONS
from story.transports.livekit.voice import RoomVoice
from story.transports.parting import part
from story.transports.synchronizer import Synchronizer
from story.transports.web.messages import HangUp, Interrupt, Mute, Ping, Say, Typing, read_message

if TYPE_CHECKING:
    from livekit.rtc.room import EventTypes

    from story.core.call import Call

logger = logging.getLogger("story.livekit")

CALLER_RATE = 16_000
"""Hz; what recognisers, voice activity and turn detection work with, so that none of them has to resample."""
CALLER_FRAME_MS = 20
"""livekit's own 50 delay each word of a caller's by 15 on average."""
GRACE_SECONDS = 15.0
"""How long a call whose caller was lost waits for them to come back."""
PUBLISH_SECONDS = 5.0
"""For one message; with a server that is lost it would wait for ever."""
EVENTS_TOPIC = "story.events"
"""Data packets, reliable: the call's events, one JSON object each."""
DRAIN_TOPIC, FAREWELL_TOPIC, END_TOPIC = "story.drain", "story.farewell", "story.end"
"""From the server's API alone: the worker takes no more calls; the call is to end with a goodbye; it is to end."""
PAGE_TOPIC = "story.page"
"""From the caller: what the page of `story run` says in a call (docs/web.md)."""
LEFT = (rtc.DisconnectReason.CLIENT_INITIATED, rtc.DisconnectReason.USER_REJECTED, rtc.DisconnectReason.ROOM_DELETED)
"""Reasons for which a participant will not come back."""


class NobodyCame(StoryError):
    """The room or the worker came to its end before there was a caller, or who came is in another agent's call."""


class RoomTransport:
    """Carries a call to and from the first caller of `room`, who may be a telephone's (SIP).

    arrival: over once the agent and a caller are in the room; raises NobodyCame. wait: whether the call begins only
    then; else it begins at once, and what it says waits until a caller hears it.

    What the call tells goes to the room as attributes of the agent and as data packets on `EVENTS_TOPIC`. The first
    persona's noise cancellation is that of the whole call, as the caller's sound is one stream.
    """

    name = "livekit"
    audio = True

    def __init__(self, room: rtc.Room, arrival: Callable[[], Awaitable[None]], *, wait: bool) -> None:
        self._room = room
        self._arrival = arrival
        self._wait = wait
        self._call: Call | None = None
        self._session: AgentSession[Any]
        self._io: RoomIO | None = None
        self._host: SessionHost | None = None
        self._voice: RoomVoice | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._synchronizer: Synchronizer | None = None
        self._attributes: Attributes | None = None
        self._grace: asyncio.TimerHandle | None = None
        self._outbox: asyncio.Queue[str] = asyncio.Queue()
        self._caller: str | None = None
        self._held: set[str] = set()
        self._alone = False
        self._handlers: dict[EventTypes, Callable[..., None]] = {
            "participant_disconnected": self._on_left,
            "participant_connected": self._on_joined,
            "reconnecting": self._on_reconnecting,
            "reconnected": self._on_reconnected,
            "disconnected": self._on_disconnected,
            "data_received": self._on_data,
        }

    async def attach(self, call: Call, session: AgentSession[Any]) -> None:
        if self._wait:
            await self._arrival()  # only now, when everything else is ready
        self._call = call
        self._session = session
        room = self._room
        self._attributes = Attributes(room, {key: persona.name for key, persona in call.chain.personas.items()})
        for name, handler in self._handlers.items():  # before RoomIO's own, which forget who was linked
            room.on(name, handler)
        options = RoomOptions(
            audio_input=AudioInputOptions(
                sample_rate=CALLER_RATE,
                frame_size_ms=CALLER_FRAME_MS,
                # not by a function, as livekit (1.8.9) closes what that returns with the first of the caller's tracks
                noise_cancellation=call.stack.noise_cancellation,
                auto_gain_control=False,  # clients have one
            ),
            audio_output=False,  # RoomVoice instead
            text_output=TextOutputOptions(sync_transcription=False, next_in_chain=Captions(call)),
            close_on_disconnect=False,  # the call says when it is over
        )
        self._io = RoomIO(session, room, options=options)
        await self._io.start()
        self._io.register_text_input(self._on_text)
        self._voice = RoomVoice()
        self._publishing = asyncio.create_task(self._come(self._voice))
        # cuts the text of an interrupted turn where its sound was cut
        self._synchronizer = Synchronizer(
            next_in_chain_audio=self._voice, next_in_chain_text=self._io.transcription_output
        )
        session.output.audio = self._synchronizer.audio_output
        session.output.transcription = self._synchronizer.text_output
        call.subscribe(self._on_event)

    async def _come(self, voice: RoomVoice) -> None:
        if not self._wait:
            await self._arrival()
        if not any(CAPTIONS in participant.attributes for participant in self._room.remote_participants.values()):
            # What LiveKit's own clients ask of an agent. It tells a persona's instructions too, so not to our page.
            self._host = SessionHost(RoomSessionTransport(self._room))
            self._host.register_session(self._session)
            await self._host.start()
        await voice.publish(self._room)

    async def run(self) -> None:
        assert self._io is not None and self._publishing is not None
        try:
            await self._publishing
        except NobodyCame:
            self._alone = True
            self._hang_up("caller_left")
        await self._io.wait_for_ready()
        if self._attributes is not None:
            self._attributes.send()
        while True:
            message = await self._outbox.get()
            await self._publish(message)

    async def aclose(self) -> None:
        room = self._room
        if self._call is not None:
            for name, handler in self._handlers.items():
                room.off(name, handler)
        if self._grace is not None:
            self._grace.cancel()
        while not self._outbox.empty() and room.isconnected():
            await self._publish(self._outbox.get_nowait())
        if self._attributes is not None:
            await self._attributes.aclose()
        if self._host is not None:
            await self._host.aclose()
        if self._synchronizer is not None:
            await self._synchronizer.aclose()
        if self._publishing is not None:
            self._publishing.cancel()
            await asyncio.wait([self._publishing])
        if self._voice is not None:
            await self._voice.aclose()
        if self._io is not None:
            await self._io.aclose()

    # -- from the room

    def _on_text(self, _: AgentSession[Any], event: TextInputEvent) -> None:
        if self._call and (words := event.text.strip()):
            self._call.say(words)

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        linked = self._io.linked_participant if self._io else None
        if linked is None or participant.identity != linked.identity:
            return
        self._caller = linked.identity
        if participant.disconnect_reason in LEFT:
            self._hang_up("caller_left")
        else:
            self._lose("the caller")

    def _on_joined(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._caller:
            self._regain()

    def _on_reconnecting(self) -> None:
        self._lose("the server")

    def _on_reconnected(self) -> None:
        self._subscribe_again()
        if self._attributes is not None:
            # a server that has restarted knows none
            self._attributes.send_again({ATTRIBUTE_AGENT_STATE: self._session.agent_state})
        if self._caller is None or self._caller in self._room.remote_participants:
            self._regain()

    def _subscribe_again(self) -> None:
        """To who was there first: livekit (1.8.9) has asked for their sound over the old connection, where there is
        nobody."""
        for participant in self._room.remote_participants.values():
            for publication in participant.track_publications.values():
                if publication.kind == rtc.TrackKind.KIND_AUDIO:
                    publication.set_subscribed(True)

    def _on_disconnected(self, reason: object) -> None:
        gone = (rtc.DisconnectReason.ROOM_DELETED, rtc.DisconnectReason.ROOM_CLOSED)
        self._hang_up("caller_left" if reason in gone else "lost")

    def _on_data(self, packet: rtc.DataPacket) -> None:
        sender = packet.participant
        if packet.topic == FAREWELL_TOPIC and sender is None and self._call:
            part(self._call)
        elif packet.topic == END_TOPIC and sender is None:
            self._hang_up("shutdown")
        elif packet.topic == PAGE_TOPIC and sender is not None and sender.identity == self._linked:
            self._on_page_message(packet.data.decode("utf-8", "replace"))

    def _on_page_message(self, text: str) -> None:
        message = read_message(text)
        if message is None or self._call is None:
            return
        match message:
            case Say() if message.words:
                self._call.say(message.words)
            case Typing():
                self._hold("typing", message.active)
            case Mute():
                self._hold("muted", message.muted)
            case Interrupt():
                self._call.interrupt()
            case HangUp():
                self._call.hang_up()
            case Ping():
                self._outbox.put_nowait(json.dumps({"type": "pong", "id": message.id}))

    def _lose(self, who: str) -> None:
        """The caller can't be heard: they may come back."""
        if self._grace is None and self._call:
            logger.info("%s: %s is lost", self._call.id, who)
            self._hold("lost", True)
            self._grace = asyncio.get_running_loop().call_later(GRACE_SECONDS, self._hang_up, "lost")

    def _regain(self) -> None:
        if self._grace is not None and self._call:
            self._grace.cancel()
            self._grace = None
            self._hold("lost", False)

    def _hold(self, why: str, held: bool) -> None:
        """The caller's silence means nothing while there is a reason for it."""
        (self._held.add if held else self._held.discard)(why)
        if self._call:
            self._call.hold_silence(bool(self._held))

    @property
    def _linked(self) -> str | None:
        """The identity of the caller who is there."""
        linked = self._io.linked_participant if self._io else None
        return linked.identity if linked else None

    def _hang_up(self, reason: str) -> None:
        if self._call:
            self._call.hang_up(reason)

    # -- to the room

    def _on_event(self, event: events.Event) -> None:
        if self._attributes is not None:
            self._attributes.tell(event)
        if not isinstance(event, events.Partial) or self._wants_captions:  # they go out as transcriptions anyway
            self._outbox.put_nowait(json.dumps(event.as_dict()))

    @property
    def _wants_captions(self) -> bool:
        linked = self._io.linked_participant if self._io else None
        return linked is not None and bool(linked.attributes.get(CAPTIONS))

    async def _publish(self, message: str) -> None:
        if self._alone:
            return
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                await self._room.local_participant.publish_data(message, topic=EVENTS_TOPIC)
        except Exception as error:  # it takes too long, the room is about to go, or too big a message: the call goes on
            logger.info("an event could not be sent to the room: %s", error)
