"""A caller in a room, on LiveKit's own client: speaks recordings, and notes when there is sound in its ear.

The same client for every worker: its queue (40 ms) and its jitter buffer are part of what is measured. All times are
monotonic seconds; those of the microphone are of when a frame goes into the queue.
"""

from __future__ import annotations

import asyncio
import json
import time
from functools import lru_cache

import numpy as np
from livekit import api, rtc

from benchmarks.web_calls.caller import ANSWER_SECONDS, LONG_QUIET, NEW_SOUND_SECONDS, Ear, Said, Turn
from benchmarks.web_calls.sound import LOUD, Utterance, decoded, loudness, room_noise
from story.transports.livekit.server_access import LiveKitServer
from story.transports.web.opus import CLOCK_RATE, PACKET_SECONDS

FRAME = round(CLOCK_RATE * PACKET_SECONDS)
QUEUE_MS = 40
EVENTS_TOPIC = "story.events"


@lru_cache
def frames(utterance: Utterance) -> np.ndarray:
    """The sound of an utterance, a row a frame."""
    return decoded(utterance.packets).reshape(-1, FRAME)


class RoomMicrophone:
    """20 ms every 20 ms, by one clock; what can't be made up for is left out."""

    def __init__(self) -> None:
        self.source = rtc.AudioSource(CLOCK_RATE, 1, queue_size_ms=QUEUE_MS)
        self.latest = 0.0
        """The most by which a frame was late, seconds."""
        self._silence = room_noise(FRAME * 200).reshape(-1, FRAME)
        self._speech: Utterance | None = None
        self._at = 0
        self._times: dict[int, float] = {}
        self._done = asyncio.Event()

    async def say(self, utterance: Utterance) -> Said:
        """Returns when its last frame has been sent."""
        self._times = {}
        self._done.clear()
        self._speech, self._at = utterance, 0
        await self._done.wait()
        pause = None if utterance.pause is None else self._times[utterance.pause]
        return Said(self._times[utterance.onset], self._times[utterance.end], pause)

    async def run(self) -> None:
        began, number = time.monotonic(), 0
        while True:
            wait = began + number * PACKET_SECONDS - time.monotonic()
            self.latest = max(self.latest, -wait)
            if wait < -PACKET_SECONDS:
                began -= wait  # livekit went on without us: what came after would wait in the queue for ever
            await asyncio.sleep(max(0.0, wait))
            samples = self._next(number)
            number += 1
            await self.source.capture_frame(rtc.AudioFrame(samples.tobytes(), CLOCK_RATE, 1, FRAME))

    def _next(self, number: int) -> np.ndarray:
        if (speech := self._speech) is None:
            return self._silence[number % len(self._silence)]
        rows = frames(speech)
        at, self._at = self._at, self._at + 1
        if at in (speech.onset, speech.end, speech.pause):
            self._times[at] = time.monotonic()
        if self._at == len(rows):
            self._speech = None
            self._done.set()
        return rows[at]


class RoomEar(Ear):
    """An ear that gets sound, not packets."""

    def take(self, frame: rtc.AudioFrame) -> None:
        now = time.monotonic()
        before, self._last = self._last, (now, 0)
        if before[0]:
            self.gaps.append(now - before[0])
        if loudness(np.frombuffer(frame.data, np.int16)) > LOUD:
            if not self.loud or now - self.loud[-1] > NEW_SOUND_SECONDS:
                self.onsets.append(now)
            self.loud.append(now)
        self._heard.set()


class RoomCaller:
    """One call. agent: whom the token sends into the room. connected: when the caller was in the room."""

    def __init__(self, server: LiveKitServer, room: str, agent: str) -> None:
        self.microphone = RoomMicrophone()
        self.ear = RoomEar()
        self.events: list[dict[str, object]] = []
        self.rang = self.connected = 0.0
        self._server, self._name, self._agent = server, room, agent
        self._room = rtc.Room()
        self._tasks: list[asyncio.Task[None]] = []

    async def call(self) -> None:
        """Join, and listen to the greeting."""
        room = self._room
        room.on("track_subscribed", self._on_track)
        room.on("data_received", self._on_data)
        grants = api.VideoGrants(room_join=True, room=self._name)
        token = api.AccessToken(self._server.key, self._server.secret).with_identity("caller").with_grants(grants)
        sent = api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name=self._agent)])
        self.rang = time.monotonic()
        await room.connect(self._server.url, token.with_room_config(sent).to_jwt())
        self.connected = time.monotonic()
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self.microphone.source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        self._tasks.append(asyncio.create_task(self.microphone.run()))
        await room.local_participant.publish_track(track, options)
        if await self.ear.onset(self.rang, ANSWER_SECONDS) is None:
            raise RuntimeError("nobody greets the caller")

    async def turn(self, utterance: Utterance) -> Turn:
        """Wait until the agent has said what it had to say, speak, and wait for the answer."""
        await self.ear.quiet(LONG_QUIET)
        said = await self.microphone.say(utterance)
        return Turn(said, await self.ear.onset(said.onset), utterance.name)

    async def hang_up(self) -> None:
        await self._room.disconnect()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def __aenter__(self) -> RoomCaller:
        try:
            await self.call()
        except BaseException:
            await self._room.disconnect()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()

    def _on_track(self, track: rtc.Track, *_: object) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._tasks.append(asyncio.create_task(self._listen(track)))

    async def _listen(self, track: rtc.Track) -> None:
        frame_ms = round(PACKET_SECONDS * 1000)
        async for event in rtc.AudioStream(track, sample_rate=CLOCK_RATE, num_channels=1, frame_size_ms=frame_ms):
            self.ear.take(event.frame)

    def _on_data(self, packet: rtc.DataPacket) -> None:
        if packet.topic == EVENTS_TOPIC:
            self.events.append({**json.loads(packet.data), "at": time.monotonic()})
