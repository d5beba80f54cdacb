"""The agent's voice in livekit's queue: what was heard counts, and what was not is kept."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from livekit import rtc
from livekit.agents.voice.io import PlaybackFinishedEvent

from story.transports.livekit.voice import AHEAD_SECONDS, RoomVoice
from story.transports.sound import SAMPLE_RATE

pytestmark = pytest.mark.slow

FRAME = SAMPLE_RATE // 50


class Speech:
    """Says so many seconds with a voice whose track nobody has to hear."""

    def __init__(self, seconds: float) -> None:
        self.voice = RoomVoice()
        self.finished: asyncio.Queue[PlaybackFinishedEvent] = asyncio.Queue()
        self.voice.on("playback_finished", self.finished.put_nowait)
        self._seconds = seconds

    async def __aenter__(self) -> Speech:
        self.voice._playing = asyncio.create_task(self.voice._play())
        samples = np.full(FRAME, 1000, np.int16)
        for _ in range(round(self._seconds * 50)):
            await self.voice.capture_frame(rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, FRAME))
        self.voice.flush()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.voice.aclose()

    async def until_played(self, seconds: float) -> None:
        while self.voice.position < seconds:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.005)

    async def end(self) -> PlaybackFinishedEvent:
        return await asyncio.wait_for(self.finished.get(), 10)


async def test_a_speech_is_played_to_its_end() -> None:
    async with Speech(0.5) as speech:
        ended = await speech.end()
        assert ended.playback_position == pytest.approx(0.5) and not ended.interrupted


async def test_what_is_in_the_queue_at_an_interruption_was_not_heard() -> None:
    async with Speech(5.0) as speech:
        await speech.until_played(0.5)
        pulled = speech.voice.position
        speech.voice.clear_buffer()
        ended = await speech.end()
        assert ended.interrupted
        assert pulled - 2 * AHEAD_SECONDS <= ended.playback_position < pulled


async def test_a_pause_loses_nothing() -> None:
    async with Speech(1.0) as speech:
        for seconds in (0.2, 0.5):
            await speech.until_played(seconds)
            speech.voice.pause()
            assert speech.voice._source.queued_duration == 0
            before = speech.voice.position
            await asyncio.sleep(0.1)
            assert speech.voice.position == before
            speech.voice.resume()
        ended = await speech.end()
        assert ended.playback_position == pytest.approx(1.0, abs=0.03) and not ended.interrupted


async def test_one_speech_after_another() -> None:
    async with Speech(0.2) as speech:
        samples = np.full(FRAME, 1000, np.int16)
        await speech.voice.capture_frame(rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, FRAME))
        speech.voice.flush()
        assert [(await speech.end()).playback_position for _ in range(2)] == pytest.approx([0.2, 0.02])
