"""The local voice activity detection, which works without a thread."""

from __future__ import annotations

import threading

from livekit.agents.vad import VADEventType
from recorded_callers import recording

from story import ModelOptions
from story.providers.local import build_vad


async def test_it_hears_where_a_voice_begins_and_ends_without_a_thread() -> None:
    stream = build_vad(ModelOptions(model="silero")).stream()
    for frame in recording("john/turn2.wav"):
        stream.push_frame(frame)
    stream.end_input()
    heard = [event.type async for event in stream if event.type is not VADEventType.INFERENCE_DONE]
    assert heard[0] is VADEventType.START_OF_SPEECH and heard[-1] is VADEventType.END_OF_SPEECH
    assert not [thread.name for thread in threading.enumerate() if "inference.vad" in thread.name]
    await stream.aclose()
