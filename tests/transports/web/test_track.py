"""The agent's voice as it is sent: in step with time, silence for nothing, and an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from story.transports.sound import Samples
from story.transports.web import track
from story.transports.web.opus import CLOCK_TICKS, SILENCE, Decoder
from story.transports.web.track import STALL_SECONDS, VoiceTrack

RATE = 24_000
LOUD = (8000 * np.sin(np.arange(480) / 5)).astype(np.int16)
QUIET = np.zeros(480, np.int16)


class Time:
    """A loop's clock and sleep, without the waiting."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()

    class Asyncio:
        sleep = staticmethod(made.sleep)
        get_running_loop = staticmethod(lambda: made)

    monkeypatch.setattr(track, "asyncio", Asyncio)
    return made


def playing(*frames: Samples) -> Callable[[int], Samples]:
    left = list(frames)
    return lambda count: left.pop(0) if left else np.zeros(count, np.int16)


async def test_silence_is_not_encoded_and_speech_ends_whole(clock: Time) -> None:
    voice = VoiceTrack(playing(QUIET, LOUD, LOUD, QUIET, QUIET, QUIET), RATE, lambda: None)
    packets = [bytes(await voice.recv()) for _ in range(6)]
    assert [packet == SILENCE for packet in packets] == [True, False, False, False, True, True]
    decoder = Decoder(RATE)
    assert np.abs(np.concatenate([decoder.decode(packet) for packet in packets])).max() > 4000


async def test_it_counts_time_whatever_it_sends(clock: Time) -> None:
    voice = VoiceTrack(playing(LOUD, QUIET, LOUD), RATE, lambda: None)
    packets = [await voice.recv() for _ in range(5)]
    assert [packet.pts for packet in packets] == [number * CLOCK_TICKS for number in range(5)]
    assert clock.now == pytest.approx(1000 + 4 * 0.02)


async def test_a_late_sender_catches_up(clock: Time) -> None:
    voice = VoiceTrack(playing(), RATE, lambda: None)
    await voice.recv()
    clock.now += 0.1
    clock.slept.clear()
    for _ in range(6):
        await voice.recv()
    assert clock.slept == pytest.approx([0, 0, 0, 0, 0, 0.02], abs=1e-6)


async def test_after_a_stall_nothing_is_sent_in_a_burst(clock: Time) -> None:
    voice = VoiceTrack(playing(), RATE, lambda: None)
    await voice.recv()
    clock.now += STALL_SECONDS + 1
    clock.slept.clear()
    for _ in range(3):
        await voice.recv()
    assert clock.slept == pytest.approx([0, 0.02, 0.02], abs=1e-6)


async def test_the_tick_comes_with_every_packet(clock: Time) -> None:
    ticks: list[None] = []
    voice = VoiceTrack(playing(LOUD), RATE, lambda: ticks.append(None))
    for number in range(4):
        await voice.recv()
        assert len(ticks) == number + 1


async def test_a_stopped_track_ends() -> None:
    voice = VoiceTrack(playing(), RATE, lambda: None)
    await voice.recv()
    waiting = asyncio.create_task(voice.recv())
    voice.stop()
    with pytest.raises(MediaStreamError):
        await waiting
