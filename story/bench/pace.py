"""Sound in real time, for models that are listened to without a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
from livekit import rtc

from story.transports.playout import FRAME_SECONDS
from story.transports.sound import SAMPLE_RATE, Samples


async def say(sound: Samples, push: Callable[[rtc.AudioFrame], None], over: Callable[[], None] | None) -> None:
    """Push a line frame by frame in real time, and silence after it until cancelled. over: called at its end."""
    left = len(sound)
    async for frame in _paced(sound):
        push(rtc.AudioFrame(frame.tobytes(), SAMPLE_RATE, 1, len(frame)))
        left -= len(frame)
        if over is not None and left <= 0:
            over()
            over = None


async def _paced(sound: Samples) -> AsyncIterator[Samples]:
    """A line frame by frame, each when it is over, and silence after it for ever."""
    loop = asyncio.get_running_loop()
    count = round(SAMPLE_RATE * FRAME_SECONDS)
    began, number = loop.time(), 0
    while True:
        frame = sound[number * count : (number + 1) * count]
        number += 1
        await asyncio.sleep(max(0.0, began + number * FRAME_SECONDS - loop.time()))
        yield np.pad(frame, (0, count - len(frame)))
