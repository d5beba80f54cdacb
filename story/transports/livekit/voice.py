"""The agent's voice as a track of its room."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import numpy as np
from livekit import rtc

from story.transports.playout import Playout
from story.transports.sound import SAMPLE_RATE, Samples

BLOCK_SECONDS = 0.04
"""Of sound that is given to livekit at a time; each costs a call into its native part, and an event back."""
AHEAD_SECONDS = 0.1
"""Of sound that waits in livekit's own queue: what a busy event loop may be late by before it is heard."""
QUEUE_MS = 400
"""That the queue may hold at most; twice what ever is in it, so that it takes each frame at once."""
SUBSCRIPTION_SECONDS = 6.0
"""In which a caller who listens has begun to, slow networks included."""
TRACK_NAME = "agent"


class RoomVoice(Playout):
    """Keeps livekit's queue filled while there is something to say.

    livekit's own output (1.8.9) throws away what waits in the queue, up to 200 ms, when the agent falls silent for a
    moment: it goes on without that. Here it goes back to where it came from, and the agent is silent at once.
    """

    def __init__(self) -> None:
        super().__init__(sample_rate=SAMPLE_RATE)
        self._source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=QUEUE_MS)
        self._news = asyncio.Event()
        self._queued: deque[Samples] = deque(maxlen=round(2 * AHEAD_SECONDS / BLOCK_SECONDS))
        self._playing: asyncio.Task[None] | None = None

    async def publish(self, room: rtc.Room) -> None:
        """Publish the track; what is said is played once a participant hears it, or it is clear that they only read."""
        track = rtc.LocalAudioTrack.create_audio_track(TRACK_NAME, self._source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await room.local_participant.publish_track(track, options)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SUBSCRIPTION_SECONDS):
                await publication.wait_for_subscription()
        self._playing = asyncio.create_task(self._play())

    async def aclose(self) -> None:
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.wait([self._playing])
        self.hang_up()
        await self._source.aclose()

    # -- what livekit tells

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self._news.set()

    def flush(self) -> None:
        super().flush()
        self._news.set()

    def resume(self) -> None:
        super().resume()
        self._news.set()

    def pause(self) -> None:
        super().pause()
        self._take_back()

    def clear_buffer(self) -> None:
        self._take_back()
        super().clear_buffer()
        self._news.set()

    # -- the track

    async def _play(self) -> None:
        count = int(SAMPLE_RATE * BLOCK_SECONDS)
        while True:
            if self._ready(count):
                early = self._source.queued_duration - AHEAD_SECONDS
                if early > 0:
                    await asyncio.sleep(early)
                    continue  # it may have been told to stop meanwhile
                samples = self.pull(count)
                self._queued.append(samples)
                await self._source.capture_frame(rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, count))
            elif self._drained:
                await self._source.wait_for_playout()
                if self._drained and not self._source.queued_duration:
                    self._queued.clear()
                    with self._lock:
                        self._retire()
            else:
                self._news.clear()
                await self._news.wait()

    def _ready(self, count: int) -> bool:
        """Whether there is a frame to play."""
        with self._lock:
            head = self._segments[0] if self._segments else None
            if head is None or self._paused:
                return False
            return head.waiting >= count or (head.flushed and head.waiting > 0)

    @property
    def _drained(self) -> bool:
        """Whether all of what is being said is in livekit's queue."""
        with self._lock:
            return bool(self._segments) and self._segments[0].flushed and not self._segments[0].waiting

    def _take_back(self) -> None:
        """Take what nobody has heard yet out of livekit's queue."""
        unheard = round(self._source.queued_duration * SAMPLE_RATE)
        self._source.clear_queue()
        queued = np.concatenate(self._queued) if self._queued else np.zeros(0, np.int16)
        self._queued.clear()
        with self._lock:
            if not self._segments or not unheard:
                return
            head = self._segments[0]
            samples = queued[-unheard:][-head.played :] if head.played else queued[:0]
            head.frames.appendleft(samples)
            head.waiting += len(samples)
            head.played -= len(samples)
