"""A call in a room of a LiveKit server: the product's own transport, and a caller on LiveKit's client."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing
from datetime import timedelta

import numpy as np
from livekit import api, rtc
from livekit.agents.utils import wait_for_participant

from story.bench.transports.connection import CONNECT_SECONDS, NotConnected
from story.bench.transports.earpiece import Earpiece, is_silent
from story.core.transport import Transport
from story.transports.livekit.page import CAPTIONS
from story.transports.livekit.room import RoomTransport
from story.transports.livekit.server_access import LiveKitServer
from story.transports.livekit.tokens import join_token
from story.transports.sound import SAMPLE_RATE, Samples

EAR_SECONDS = 0.02
"""Frames of LiveKit's client come from a jitter buffer of its own; this is for the event loop to be late by."""
EAR_FRAME_MS = 20
QUEUE_MS = 200
"""That may wait in the client's queue."""
PILE_SECONDS = 0.06
"""In the queue, from which on silence is left out, so that what the event loop was late by is made good."""
TOKEN_SECONDS = 600.0
AGENT, CALLER = "agent", "caller"


class RoomConnection:
    """The agent and the caller join a room of their own; no worker is sent for."""

    def __init__(self, server: LiveKitServer) -> None:
        self._server = server
        self._name = f"story-bench-{secrets.token_hex(8)}"
        self._rooms = {AGENT: rtc.Room(), CALLER: rtc.Room()}
        self._frames: asyncio.Queue[Samples] = asyncio.Queue()
        self._source: rtc.AudioSource | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.agent: Transport = RoomTransport(self._rooms[AGENT], _nothing, wait=False)
        self.ear = Earpiece(EAR_SECONDS)

    async def connect(self) -> None:
        self._rooms[CALLER].on("track_subscribed", self._on_track)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.gather(self._join(AGENT), self._join(CALLER))
                await self._publish(self._rooms[CALLER])
                await wait_for_participant(self._rooms[AGENT], identity=CALLER)
        except TimeoutError:
            raise NotConnected(f"the room could not be joined within {CONNECT_SECONDS:g} s") from None
        except rtc.ConnectError as error:
            raise NotConnected(f"the room can't be joined: {error.message}") from None

    def send(self, caller: Samples) -> None:
        self._frames.put_nowait(caller)

    async def aclose(self) -> None:
        await self.agent.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for room in self._rooms.values():
            if room.isconnected():
                await room.disconnect()
        if self._source is not None:
            await self._source.aclose()

    async def _join(self, who: str) -> None:
        token = self._agent_token() if who == AGENT else self._caller_token()
        # two connections, one each way, as those of the worker's calls
        options = rtc.RoomOptions(single_peer_connection=False)
        await self._rooms[who].connect(self._server.url, token, options)

    def _agent_token(self) -> str:
        """As the server gives one to the agent of a job."""
        grants = api.VideoGrants(room_join=True, room=self._name, can_update_own_metadata=True)
        token = api.AccessToken(self._server.key, self._server.secret).with_identity(AGENT).with_grants(grants)
        return token.with_kind("agent").with_ttl(timedelta(seconds=TOKEN_SECONDS)).to_jwt()

    def _caller_token(self) -> str:
        """As the page of `story run` gets one."""
        captions = {CAPTIONS: "1"}
        return join_token(self._server, self._name, CALLER, seconds=TOKEN_SECONDS, attributes=captions)

    async def _publish(self, room: rtc.Room) -> None:
        self._source = source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        self._tasks.append(asyncio.create_task(self._speak(source)))
        await room.local_participant.publish_track(track, options)

    async def _speak(self, source: rtc.AudioSource) -> None:
        while True:
            samples = await self._frames.get()
            piled = source.queued_duration > PILE_SECONDS
            if not (piled and is_silent(samples)):
                await source.capture_frame(rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, len(samples)))

    def _on_track(self, track: rtc.Track, *_: object) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._tasks.append(asyncio.create_task(self._listen(track)))

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=EAR_FRAME_MS)
        async with aclosing(stream):
            async for event in stream:
                self.ear.push(np.frombuffer(event.frame.data, np.int16))


async def _nothing() -> None:
    """Both ends are there before the call begins."""
