"""The words of the agent pass while there is sound, and how much of them is told when its sound is cut."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents.voice.io import TextOutput

from story.transports.playout import Playout
from story.transports.sound import SAMPLE_RATE
from story.transports.synchronizer import Synchronizer

WORDS = [f"word{number} " for number in range(20)]


class Sink(TextOutput):
    def __init__(self) -> None:
        super().__init__(label="sink", next_in_chain=None)
        self.text = ""

    async def capture_text(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def sound(*loud: bool) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A second each, of a tone or of silence."""
    tone = 8000 * np.sin(2 * np.pi * 220 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    return np.concatenate([tone * is_loud for is_loud in loud]).astype(np.int16)


async def say(synchronizer: Synchronizer, samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
    """All at once, as vendors send it."""
    for word in WORDS:
        await synchronizer.text_output.capture_text(word)
    synchronizer.text_output.flush()
    frame = rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, len(samples))
    await synchronizer.audio_output.capture_frame(frame)
    synchronizer.audio_output.flush()


@pytest.mark.parametrize("segments", [1, 2])
async def test_all_words_of_a_sentence_that_is_heard_out_are_told(segments: int) -> None:
    playout, sink = Playout(), Sink()
    synchronizer = Synchronizer(next_in_chain_audio=playout, next_in_chain_text=sink)
    for _ in range(segments):
        await say(synchronizer, sound(True))
        playout.pull(SAMPLE_RATE)
        await asyncio.sleep(0)  # its start is told on the loop
        playout.pull(SAMPLE_RATE)
        told = await synchronizer.audio_output.wait_for_playout()
        assert (told.interrupted, told.synchronized_transcript) == (False, "".join(WORDS))
    await synchronizer.aclose()
    assert sink.text == "".join(WORDS) * segments


async def test_there_is_speech_where_there_is_sound() -> None:
    synchronizer = Synchronizer(next_in_chain_audio=Playout(), next_in_chain_text=Sink())
    stream = synchronizer._opts.speaking_rate_detector.stream()
    samples = sound(True, False, True)
    stream.push_frame(rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, len(samples)))
    stream.end_input()
    speaking = {round(event.timestamp, 1): event.speaking_rate async for event in stream}
    assert all(rate == (not 1.0 < at < 2.0) for at, rate in speaking.items() if round(at, 1) not in (1.0, 2.0))
    assert len(speaking) >= 28
    await synchronizer.aclose()


async def test_a_sentence_that_is_cut_before_its_first_sound_has_no_words() -> None:
    playout = Playout()
    synchronizer = Synchronizer(next_in_chain_audio=playout, next_in_chain_text=Sink())
    await say(synchronizer, sound(True))
    synchronizer.audio_output.clear_buffer()
    told = await synchronizer.audio_output.wait_for_playout()
    assert (told.interrupted, told.synchronized_transcript) == (True, "")
    await synchronizer.aclose()
