"""What our own transports play and hear with: an output that is pulled, an input that is pushed, and a line in step."""

from __future__ import annotations

import asyncio
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

import numpy as np
from livekit import rtc
from livekit.agents.voice import io

from story.transports.sound import SAMPLE_RATE, Samples

FRAME_SECONDS = 0.02
INPUT_BACKLOG_SECONDS = 5.0
"""Caller's sound that may wait for a session that does not read it; then the oldest goes first."""


class _Segment:
    """One stretch of agent sound between a first frame and its flush."""

    def __init__(self) -> None:
        self.frames: deque[Samples] = deque()
        self.waiting = 0  # samples in `frames`
        self.played = 0
        self.flushed = False
        self.interrupted = False

    def take(self, count: int) -> Samples:
        taken: list[Samples] = []
        while count and self.frames:
            head = self.frames.popleft()
            if len(head) > count:
                self.frames.appendleft(head[count:])
                head = head[:count]
            taken.append(head)
            count -= len(head)
        sound = np.concatenate(taken) if taken else np.zeros(0, np.int16)
        self.waiting -= len(sound)
        self.played += len(sound)
        return sound

    def drop(self) -> None:
        self.frames.clear()
        self.waiting = 0


class Playout(io.AudioOutput):
    """The agent's voice, pulled by whoever plays it: a paced line, a sound card, a WebRTC track.

    What has been pulled is what the caller heard: `playback_position` and the words of an interrupted turn follow
    from it. Every segment reports its end exactly once. `pull` may be called from another thread than the event
    loop's; livekit's callbacks always run on the loop.
    """

    def __init__(self, *, sample_rate: int = SAMPLE_RATE) -> None:
        super().__init__(label="story", sample_rate=sample_rate, capabilities=io.AudioOutputCapabilities(pause=True))
        self._rate = sample_rate
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._segments: deque[_Segment] = deque()
        self._capturing: _Segment | None = None
        self._paused = False

    @property
    def position(self) -> float:
        """Seconds played of the segment that is playing; 0 where none is."""
        with self._lock:
            return self._segments[0].played / self._rate if self._segments else 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        samples = np.frombuffer(frame.data, np.int16)
        if frame.num_channels > 1:
            samples = samples.reshape(-1, frame.num_channels).mean(axis=1).astype(np.int16)
        with self._lock:
            if self._capturing is None:
                self._capturing = _Segment()
                self._segments.append(self._capturing)
            if not self._capturing.interrupted:  # cleared before its flush: nobody will hear the rest
                self._capturing.frames.append(samples)
                self._capturing.waiting += len(samples)

    def flush(self) -> None:
        super().flush()
        with self._lock:
            segment, self._capturing = self._capturing, None
            if segment is None:
                return
            segment.flushed = True
            if segment.interrupted:
                self._finish(segment)

    def clear_buffer(self) -> None:
        with self._lock:
            for segment in tuple(self._segments):
                segment.drop()
                segment.interrupted = True
                if segment.flushed:
                    self._finish(segment)

    def pause(self) -> None:
        super().pause()
        self._paused = True

    def resume(self) -> None:
        super().resume()
        self._paused = False

    def pull(self, count: int) -> Samples:
        """The next `count` samples to play, silence where there is nothing to say."""
        with self._lock:
            self._retire()
            segment = self._segments[0] if self._segments else None
            # A frame that is still being synthesised waits until it is whole, so that no gap falls inside it.
            if segment is None or self._paused or (segment.waiting < count and not segment.flushed):
                return np.zeros(count, np.int16)
            first = not segment.played
            sound = segment.take(count)
            if first and len(sound):
                self._post_started(time.time())
        return sound if len(sound) == count else np.pad(sound, (0, count - len(sound)))

    def hang_up(self) -> None:
        """Nothing will be pulled any more: end what is under way, so that nobody waits for it."""
        self.clear_buffer()
        self.flush()

    def _retire(self) -> None:
        """End the segment whose last sample went out with the pull before: its time has passed by now."""
        if self._segments and self._segments[0].flushed and not self._segments[0].waiting:
            self._finish(self._segments[0])

    def _finish(self, segment: _Segment) -> None:
        self._segments.remove(segment)
        self._post_finished(segment.played / self._rate, segment.interrupted)

    # Both go through the loop's queue, also from the loop itself: so a start can't be overtaken by its end.
    def _post_started(self, created_at: float) -> None:
        self._loop.call_soon_threadsafe(lambda: self.on_playback_started(created_at=created_at))

    def _post_finished(self, position: float, interrupted: bool) -> None:
        self._loop.call_soon_threadsafe(
            lambda: self.on_playback_finished(playback_position=position, interrupted=interrupted)
        )


class CallerInput(io.AudioInput):
    """The caller's sound, pushed frame by frame as it comes; silence has to be pushed too, or no turn ever ends."""

    def __init__(self, *, sample_rate: int = SAMPLE_RATE) -> None:
        super().__init__(label="story")
        self._rate = sample_rate
        self._frames: deque[Samples] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()
        self._attached = True
        self._closed = False

    def push(self, samples: Samples) -> None:
        """Called on the event loop. Sound that nobody reads is dropped, oldest first."""
        if not self._attached or self._closed:
            return
        self._frames.append(samples)
        self._waiting += len(samples)
        while self._waiting > INPUT_BACKLOG_SECONDS * self._rate:
            self._waiting -= len(self._frames.popleft())
        self._arrived.set()

    def close(self) -> None:
        self._closed = True
        self._arrived.set()

    async def __anext__(self) -> rtc.AudioFrame:
        while not self._frames:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        samples = self._frames.popleft()
        self._waiting -= len(samples)
        return rtc.AudioFrame(samples.tobytes(), self._rate, 1, len(samples))

    def on_attached(self) -> None:
        self._attached = True

    def on_detached(self) -> None:
        self._attached = False
        self._frames.clear()
        self._waiting = 0


class PacedLine(ABC):
    """Both directions of a call in step, as a telephone line has them: 20 ms each way at every tick of one clock.

    `on_frame(caller, agent)` gets what was said and what was played in the same 20 ms. `through(caller)` makes of what
    is said what comes out at the other end, of the same length. The line starts with `run` and knows no other time
    than its ticks: a late tick is made up for, so sound never drifts from the clock.
    """

    def __init__(
        self,
        on_frame: Callable[[Samples, Samples], None] | None = None,
        through: Callable[[Samples], Samples] | None = None,
    ) -> None:
        self.began: float | None = None
        """When its first tick began (the loop's clock, seconds); None before that."""
        self._ticks = 0
        self._on_frame = on_frame
        self._through = through
        self._speech = np.zeros(0, np.int16)
        self._spoken = asyncio.Event()
        self._due: Callable[[], bool] | None = None

    @property
    @abstractmethod
    def position(self) -> float:
        """Seconds that the agent has said of what it is saying."""

    @property
    def now(self) -> float:
        """When the tick that is under way began, by the line's clock."""
        return (self.began or 0.0) + self._ticks * FRAME_SECONDS

    async def run(self) -> None:
        """Tick until cancelled."""
        loop = asyncio.get_running_loop()
        self.began = loop.time()
        count = int(SAMPLE_RATE * FRAME_SECONDS)
        while True:
            caller, agent = self._next(count), self._pull(count)
            # Also when late: others get their turn on the loop between the ticks that catch up.
            await asyncio.sleep(max(0.0, self.now + FRAME_SECONDS - loop.time()))
            if self._through:
                caller = self._through(caller)
            self._push(caller)  # whole only now, as it would come from a microphone
            if self._on_frame:
                self._on_frame(caller, agent)
            self._ticks += 1

    async def speak(self, speech: Samples, *, when: Callable[[], bool] | None = None) -> None:
        """Say `speech` from the next tick on; returns when its last sample has been said.

        when: asked as each tick begins; the speech waits for the first at which it is true. On the line's own clock,
        as a task that waits for ticks comes late where they have to catch up.
        """
        self._speech, self._due = speech, when
        self._spoken.clear()
        await self._spoken.wait()

    @abstractmethod
    def close(self) -> None:
        """Nothing is said or heard any more."""

    @abstractmethod
    def _push(self, caller: Samples) -> None:
        """Send what the caller has said."""

    @abstractmethod
    def _pull(self, count: int) -> Samples:
        """The next `count` samples for the caller to hear."""

    def _next(self, count: int) -> Samples:
        if self._due is not None:
            if not self._due():
                return np.zeros(count, np.int16)
            self._due = None
        speech, self._speech = self._speech[:count], self._speech[count:]
        if len(speech) < count:
            self._spoken.set()
            speech = np.pad(speech, (0, count - len(speech)))
        return speech


class Line(PacedLine):
    """A line with a call in this process at its other end, whose input is `caller` and whose output is `agent`."""

    def __init__(
        self,
        on_frame: Callable[[Samples, Samples], None] | None = None,
        through: Callable[[Samples], Samples] | None = None,
    ) -> None:
        super().__init__(on_frame, through)
        self.caller = CallerInput()
        self.agent = Playout()

    @property
    def position(self) -> float:
        return self.agent.position

    def close(self) -> None:
        self.caller.close()
        self.agent.hang_up()

    def _push(self, caller: Samples) -> None:
        self.caller.push(caller)

    def _pull(self, count: int) -> Samples:
        return self.agent.pull(count)
