"""The agent's voice as it is played: every segment ends exactly once, and what was pulled is what was heard."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from livekit import rtc

from story.transports.playout import INPUT_BACKLOG_SECONDS, CallerInput, Line, Playout
from story.transports.sound import SAMPLE_RATE, Samples

FRAME = 480


def frame(count: int, value: int = 1, *, channels: int = 1) -> rtc.AudioFrame:
    return rtc.AudioFrame(np.full(count * channels, value, np.int16).tobytes(), SAMPLE_RATE, channels, count)


@dataclass
class Carried:
    """What a line carried: the caller's and the agent's sound of each tick."""

    frames: list[tuple[Samples, Samples]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, caller: Samples, agent: Samples) -> None:
        self.frames.append((caller, agent))
        self.arrived.set()

    async def until(self, count: int) -> None:
        while len(self.frames) < count:
            self.arrived.clear()
            await self.arrived.wait()


@dataclass
class Heard:
    """What a playout reported."""

    playout: Playout
    started: int = 0
    finished: list[tuple[float, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.playout.on("playback_started", self._on_started)
        self.playout.on("playback_finished", lambda e: self.finished.append((e.playback_position, e.interrupted)))

    def _on_started(self, _: object) -> None:
        self.started += 1


async def settle() -> None:
    """Let what was posted to the loop happen."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_segment_plays_to_its_end_and_says_so_once() -> None:
    heard = Heard(playout := Playout())
    await playout.capture_frame(frame(700))
    await playout.capture_frame(frame(100))
    playout.flush()
    assert playout.pull(FRAME).tolist() == [1] * FRAME
    assert playout.pull(FRAME).tolist() == [1] * 320 + [0] * 160
    await settle()
    assert (heard.started, heard.finished) == (1, [])  # its last frame still takes its 20 ms
    assert not playout.pull(FRAME).any()
    playout.pull(FRAME)
    await settle()
    assert heard.finished == [(800 / SAMPLE_RATE, False)]
    assert (await playout.wait_for_playout()).playback_position == 800 / SAMPLE_RATE


async def test_cleared_before_its_flush_the_rest_is_swallowed_and_the_end_comes_with_the_flush() -> None:
    heard = Heard(playout := Playout())
    await playout.capture_frame(frame(960))
    playout.pull(FRAME)
    playout.clear_buffer()
    await playout.capture_frame(frame(960))
    assert not playout.pull(FRAME).any()
    await settle()
    assert heard.finished == []
    playout.flush()
    playout.clear_buffer()
    await settle()
    assert heard.finished == [(FRAME / SAMPLE_RATE, True)]


async def test_cleared_while_paused_and_never_heard() -> None:
    heard = Heard(playout := Playout())
    await playout.capture_frame(frame(960))
    playout.flush()
    playout.pause()
    assert not playout.pull(FRAME).any()
    playout.clear_buffer()
    await settle()
    assert (heard.started, heard.finished) == (0, [(0.0, True)])


async def test_a_pause_keeps_the_place() -> None:
    playout = Playout()
    assert playout.can_pause
    await playout.capture_frame(frame(FRAME, 1))
    await playout.capture_frame(frame(FRAME, 2))
    playout.flush()
    assert playout.pull(FRAME)[0] == 1
    playout.pause()
    assert not playout.pull(FRAME).any()
    assert playout.position == FRAME / SAMPLE_RATE
    playout.resume()
    assert playout.pull(FRAME)[0] == 2


async def test_a_frame_that_is_not_whole_yet_waits() -> None:
    playout = Playout()
    await playout.capture_frame(frame(100))
    assert not playout.pull(FRAME).any()
    await playout.capture_frame(frame(FRAME))
    assert playout.pull(FRAME).all()


async def test_a_flush_without_sound_ends_nothing() -> None:
    heard = Heard(playout := Playout())
    playout.flush()
    playout.clear_buffer()
    playout.hang_up()
    await settle()
    assert heard.finished == []


async def test_stereo_speech_is_mixed_down() -> None:
    playout = Playout()
    await playout.capture_frame(frame(FRAME, 5, channels=2))
    playout.flush()
    assert playout.pull(FRAME).tolist() == [5] * FRAME


async def test_pulled_from_another_thread_the_callbacks_run_on_the_loop() -> None:
    playout = Playout()
    threads: list[int] = []
    playout.on("playback_started", lambda _: threads.append(threading.get_ident()))
    playout.on("playback_finished", lambda _: threads.append(threading.get_ident()))
    await playout.capture_frame(frame(FRAME))
    playout.flush()
    await asyncio.to_thread(lambda: [playout.pull(FRAME) for _ in range(2)])
    await asyncio.wait_for(playout.wait_for_playout(), 5)
    assert threads == [threading.get_ident()] * 2


Steps = st.lists(
    st.one_of(
        st.tuples(st.just("capture"), st.integers(1, 1500)),
        st.tuples(st.sampled_from(["flush", "clear", "pause", "resume"]), st.just(0)),
        st.tuples(st.just("pull"), st.integers(1, 700)),
    ),
    max_size=40,
)


@given(Steps)
@settings(deadline=None, max_examples=200)
def test_whatever_happens_each_segment_ends_once_and_its_position_is_what_was_heard(
    steps: list[tuple[str, int]],
) -> None:
    async def play() -> None:
        heard = Heard(playout := Playout())
        pulled = 0
        for step, count in steps:
            match step:
                case "capture":
                    await playout.capture_frame(frame(count))
                case "flush":
                    playout.flush()
                case "clear":
                    playout.clear_buffer()
                case "pull":
                    pulled += int(np.count_nonzero(playout.pull(count)))
                case _:
                    getattr(playout, step)()
        playout.hang_up()
        await settle()
        assert len(heard.finished) == playout.captured_playout_segments
        assert heard.started == sum(position > 0 for position, _ in heard.finished)
        assert round(sum(position for position, _ in heard.finished) * SAMPLE_RATE) == pulled

    asyncio.run(play())


async def test_the_callers_sound_is_read_in_order_and_ends() -> None:
    caller = CallerInput()
    caller.push(np.full(FRAME, 1, np.int16))
    caller.push(np.full(FRAME, 2, np.int16))
    first, second = await anext(caller), await anext(caller)
    assert (first.data[0], second.data[0], first.samples_per_channel) == (1, 2, FRAME)
    waiting = asyncio.ensure_future(anext(caller))
    await settle()
    caller.close()
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_sound_that_nobody_reads_is_dropped_oldest_first() -> None:
    caller = CallerInput()
    second = SAMPLE_RATE
    for number in range(10):
        caller.push(np.full(second, number, np.int16))
    assert (await anext(caller)).data[0] == 10 - INPUT_BACKLOG_SECONDS


async def test_a_detached_input_hears_nothing() -> None:
    caller = CallerInput()
    caller.push(np.full(FRAME, 1, np.int16))
    caller.on_detached()
    caller.push(np.full(FRAME, 2, np.int16))
    caller.on_attached()
    caller.push(np.full(FRAME, 3, np.int16))
    assert (await anext(caller)).data[0] == 3


async def test_a_line_keeps_both_sides_in_step() -> None:
    carried = Carried()
    line = Line(carried)
    await line.agent.capture_frame(frame(2 * FRAME, 7))
    line.agent.flush()
    running = asyncio.create_task(line.run())
    speech = np.full(FRAME + 100, 9, np.int16)
    await line.speak(speech)
    await carried.until(len(carried.frames) + 1)  # its last tick has begun and is not over
    running.cancel()
    caller = np.concatenate([caller for caller, _ in carried.frames])
    agent = np.concatenate([agent for _, agent in carried.frames])
    assert len(caller) == len(agent)
    assert np.count_nonzero(agent) == 2 * FRAME
    start = int(np.argmax(caller != 0))
    assert start % FRAME == 0
    assert caller[start : start + len(speech)].tolist() == speech.tolist()
    assert np.count_nonzero(caller) == len(speech)
    heard = [np.frombuffer((await anext(line.caller)).data, np.int16) for _ in carried.frames]
    assert np.array_equal(np.concatenate(heard), caller)


async def test_a_line_catches_up_with_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks that came late are made up for at once: after a second of the clock there is a second of sound."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    frames: list[Samples] = []
    line = Line(lambda caller, _: frames.append(caller))
    running = asyncio.create_task(line.run())
    await settle()
    assert len(frames) == 0
    now += 1.0
    for _ in range(500):
        await asyncio.sleep(0)
    assert len(frames) == 50
    running.cancel()


async def test_a_speech_that_waits_for_the_agent_begins_in_the_same_tick_also_when_ticks_are_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    carried = Carried()
    line = Line(carried)
    await line.agent.capture_frame(frame(20 * FRAME, 7))
    line.agent.flush()
    running = asyncio.create_task(line.run())
    speaking = asyncio.create_task(
        line.speak(np.full(FRAME, 9, np.int16), when=lambda: line.agent.position >= 5 * FRAME / SAMPLE_RATE)
    )
    await settle()
    now += 1.0
    await speaking
    await carried.until(10)
    running.cancel()
    assert [bool(caller.any()) for caller, _ in carried.frames[:10]] == [False] * 5 + [True] + [False] * 4
