"""A caller on LiveKit's own client: a microphone of recordings, an ear, and all that the room tells them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from livekit import api, rtc
from livekit.rtc.data_stream import StreamError

from story.transports.livekit.server_access import LiveKitServer
from story.transports.livekit.server_api import reach
from story.transports.sound import SAMPLE_RATE, Samples, read_wav

CALLERS = Path(__file__).parents[2] / "callers"
FRAME = SAMPLE_RATE // 50
QUEUE_MS = 100
LOUD = 0.01
"""Root mean square, 1 is full scale, above which somebody speaks."""
PATIENCE = 60.0


@dataclass
class Stream:
    """One text stream of the transcription. who: whose words."""

    who: str
    opened: dict[str, str]
    chunks: list[str] = field(default_factory=list)
    closed: dict[str, str] | None = None

    @property
    def text(self) -> str:
        return "".join(self.chunks)


class Caller:
    """One participant. `events` is what the agent tells of the call, oldest first; `sound` what was heard of it, and
    `heard` when that was loud; `attributes` each change of the agent's."""

    def __init__(self, server: LiveKitServer, room: str, identity: str = "caller") -> None:
        self.server, self.name, self.identity = server, room, identity
        self.room = rtc.Room()
        self.events: list[dict[str, Any]] = []
        self.streams: list[Stream] = []
        self.attributes: list[dict[str, str]] = []
        self.sound: list[Samples] = []
        self.heard: list[float] = []
        self.disconnected: str | None = None
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._speech = np.zeros(0, np.int16)
        self._speaking: asyncio.Task[Any] | None = None
        self._microphone: str | None = None

    @property
    def agent(self) -> rtc.RemoteParticipant | None:
        kind = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        return next((p for p in self.room.remote_participants.values() if p.kind == kind), None)

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == type_]

    async def join(self, *, agent: str | None = "story", microphone: bool = True, **options: Any) -> Caller:
        """Join the room, and have `agent` sent there by the token; None: not by this one. options: see `token`."""
        room = self.room
        room.on("data_received", self._on_data)
        room.on("participant_attributes_changed", self._on_attributes)
        room.on("track_subscribed", self._on_track)
        room.on("disconnected", self._on_disconnected)
        for name in ("participant_connected", "participant_disconnected", "reconnecting", "reconnected"):
            room.on(name, lambda *_: self._tell())
        room.register_text_stream_handler("lk.transcription", self._on_stream)
        await room.connect(self.server.url, self.token(agent=agent, **options))
        self._tell()
        if microphone:
            await self._open_microphone()
        return self

    async def change_microphone(self) -> None:
        """Speak into a new one from now on, as soon as the agent listens to that."""
        assert self._microphone is not None and self._speaking is not None
        await self.room.local_participant.unpublish_track(self._microphone)
        self._speaking.cancel()
        publication = await self._open_microphone()
        await publication.wait_for_subscription()

    async def _open_microphone(self) -> rtc.LocalTrackPublication:
        source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=QUEUE_MS)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        self._speaking = self._start(self._speak(source))
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await self.room.local_participant.publish_track(track, options)
        self._microphone = publication.sid
        return publication

    def token(
        self,
        *,
        agent: str | None,
        metadata: str = "",
        kind: str = "standard",
        attributes: Mapping[str, str] | None = None,
    ) -> str:
        grants = api.VideoGrants(room_join=True, room=self.name)
        token = api.AccessToken(self.server.key, self.server.secret).with_identity(self.identity).with_grants(grants)
        token = token.with_ttl(timedelta(minutes=10)).with_kind(kind)  # type: ignore[arg-type]
        token = token.with_attributes(dict(attributes or {}))
        if agent is not None:
            dispatch = api.RoomAgentDispatch(agent_name=agent, metadata=metadata)
            token = token.with_room_config(api.RoomConfiguration(agents=[dispatch]))
        return token.to_jwt()

    async def until(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait until it is true; says what has been told where it never is."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            told = [e for e in self.events if e["type"] != "state"][-5:]
            raise AssertionError(
                f"waited in vain in {self.name}; told last: {told}; gone: {self.disconnected}"
            ) from None

    async def until_asked(self, turns: int) -> None:
        """Wait until the agent has finished its turn of that number (from 1), and listens."""
        await self.until(lambda: len(self.of("agent_turn")) >= turns and self.listening)

    @property
    def listening(self) -> bool:
        states = self.of("state")
        return bool(states) and states[-1]["agent"] == "listening"

    async def say(self, recording: str) -> None:
        """Say a recording of tests/callers, to its last sample."""
        self._speech = np.concatenate([self._speech, read_wav(CALLERS / recording)])
        await self.until(lambda: not len(self._speech))

    async def answered(self, recording: str, by: str, seconds: float = PATIENCE) -> None:
        """Say a recording, and wait until the persona `by` has answered it, and listens."""
        turns, before = len(self.of("user_turn")), self.heard_by(by)
        await self.say(recording)
        await self.until(
            lambda: len(self.of("user_turn")) > turns and self.heard_by(by) > before and self.listening, seconds
        )

    def heard_by(self, persona: str) -> int:
        """How many turns of that persona have been heard so far."""
        return sum(turn["persona"] == persona for turn in self.of("agent_turn"))

    async def type(self, words: str) -> None:
        await self.room.local_participant.send_text(words, topic="lk.chat")

    async def finish(self) -> None:
        """From the greeting to the end of the chain, typed."""
        await self.type("I am Maria from Lisbon.")
        await self.until(lambda: self.of("handoff"))
        await self.until_asked(len(self.of("agent_turn")) + 1)
        await self.type("Goodbye!")
        await self.until(lambda: self.of("call_ended"))
        assert self.of("call_ended")[0]["reason"] == "finished"

    async def think(self) -> None:
        """Be silent for a good reason from now on: as one who types at a page."""
        message = json.dumps({"type": "typing", "active": True})
        await self.room.local_participant.publish_data(message, topic="story.page")

    async def remove(self) -> None:
        """Be taken out of the room by the server, without asking for it."""
        async with reach(self.server) as lk:
            await lk.room.remove_participant(api.RoomParticipantIdentity(room=self.name, identity=self.identity))
        await self.until(lambda: self.disconnected)

    async def leave(self) -> None:
        await self.room.disconnect()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # -- what happens

    def _tell(self) -> None:
        self._changed.set()

    def _start(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _on_data(self, packet: rtc.DataPacket) -> None:
        if packet.topic == "story.events":
            self.events.append(json.loads(packet.data))
            self._tell()

    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if participant.identity != self.identity:
            self.attributes.append(dict(changed))
        self._tell()

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self.disconnected = rtc.DisconnectReason.Name(reason)
        self._tell()

    def _on_stream(self, reader: rtc.TextStreamReader, who: str) -> None:
        stream = Stream(who, dict(reader.info.attributes or {}))
        self.streams.append(stream)

        async def read() -> None:
            with contextlib.suppress(StreamError):  # the room is gone
                async for chunk in reader:
                    stream.chunks.append(chunk)
                    self._tell()
            stream.closed = dict(reader.info.attributes or {})
            self._tell()

        self._start(read())

    def _on_track(self, track: rtc.Track, *_: object) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._start(self._listen(track))

    async def _listen(self, track: rtc.Track) -> None:
        loop = asyncio.get_running_loop()
        async with contextlib.aclosing(rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1)) as stream:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, np.int16).copy()
                self.sound.append(samples)
                if float(np.sqrt(np.mean((samples / 32768) ** 2))) > LOUD:
                    self.heard.append(loop.time())
                    self._tell()

    async def _speak(self, source: rtc.AudioSource) -> None:
        noise = np.random.default_rng(1)
        while True:
            speech, self._speech = self._speech[:FRAME], self._speech[FRAME:]
            frame = np.pad(speech, (0, FRAME - len(speech)))
            frame = (frame + noise.normal(0, 4, FRAME)).clip(-32768, 32767).astype(np.int16)
            await source.capture_frame(rtc.AudioFrame(frame.tobytes(), SAMPLE_RATE, 1, FRAME))
            if not len(self._speech):
                self._tell()


@contextlib.asynccontextmanager
async def calling(server: LiveKitServer, room: str, identity: str = "caller", **options: Any):
    """Within the block there is a caller in the room."""
    caller = Caller(server, room, identity)
    try:
        yield await caller.join(**options)
    finally:
        await caller.leave()
