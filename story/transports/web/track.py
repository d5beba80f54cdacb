"""The agent's voice as a WebRTC track: Opus, one packet every 20 ms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from story.transports.sound import Samples
from story.transports.web.opus import CLOCK_TICKS, NOTHING, PACKET_SECONDS, SILENCE, TIME_BASE, Encoder

STALL_SECONDS = 0.2
"""A sender that comes later than this does not make up for the time: the listener has heard the gap already."""


PACKETS_OF_SILENCE = 10
"""Sent whole when the agent falls silent; after that the stream pauses, as Opus' own DTX does."""
PACKETS_OF_A_PAUSE = 20
"""A pause tells every so often that it is one."""


class VoiceTrack(MediaStreamTrack):
    """Pulls sound in real time and gives it to aiortc as packets, so that nothing is handed to a thread for encoding.

    pull: gives so many samples of mono sound at `sample_rate` Hz. on_tick: called every 20 ms.
    """

    kind = "audio"

    def __init__(self, pull: Callable[[int], Samples], sample_rate: int, on_tick: Callable[[], None]) -> None:
        super().__init__()
        self._pull = pull
        self._on_tick = on_tick
        self._encoder = Encoder(sample_rate)
        self._start: float | None = None
        self._number = 0
        self._silent = 1  # packets since somebody spoke

    async def recv(self) -> av.Packet[Any]:
        """The next packet, when it is due. Raises MediaStreamError once the track has been stopped."""
        while True:
            await self._until_due()
            if self.readyState != "live":
                raise MediaStreamError
            self._on_tick()
            payload = self._next()
            number, self._number = self._number, self._number + 1
            if payload is not None:
                packet = av.Packet(payload)
                packet.pts = number * CLOCK_TICKS
                packet.time_base = TIME_BASE
                return packet

    async def _until_due(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._start is None:
            self._start = now
        wait = self._start + self._number * PACKET_SECONDS - now
        if wait < -STALL_SECONDS:
            self._start -= wait
        await asyncio.sleep(max(0.0, wait))

    def _next(self) -> bytes | None:
        """What is due now; None for a packet that is left out, as nobody speaks."""
        samples = self._pull(self._encoder.samples)
        spoke, speaks = self._silent == 0, bool(samples.any())
        self._silent = 0 if speaks else self._silent + 1
        if spoke or speaks:  # the first silent packet still holds the end of the speech, which the encoder gives late
            return self._encoder.encode(samples)
        if self._silent <= PACKETS_OF_SILENCE:
            return SILENCE
        return NOTHING if self._silent % PACKETS_OF_A_PAUSE == 0 else None
