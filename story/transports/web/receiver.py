"""Takes the caller's sound from aiortc before aiortc's own jitter buffer and decoder thread get it.

aiortc (1.16) delays all sound by 80 ms, and one lost packet costs five, a stall of 320 ms and 200 ms more delay for the
rest of the call (aiortc issue 543). Its attribute is private: pyproject.toml bounds the version, and a test fails where
a new one has it no more.
"""

from __future__ import annotations

from collections.abc import Callable

from aiortc import RTCRtpReceiver
from aiortc.rtp import RtpPacket

from story.transports.sound import Samples
from story.transports.web.jitter import JitterBuffer
from story.transports.web.opus import Decoder

JITTER_BUFFER = "_RTCRtpReceiver__jitter_buffer"


def take_over(receiver: RTCRtpReceiver, on_sound: Callable[[Samples], None], sample_rate: int) -> None:
    """Have `on_sound` called with the caller's sound, mono at `sample_rate` Hz, as each packet comes in.

    Called before the first packet has come. The receiver's own track stays silent from then on.

    Raises:
        AttributeError: this aiortc has no such jitter buffer.
    """
    getattr(receiver, JITTER_BUFFER)
    setattr(receiver, JITTER_BUFFER, _Tap(on_sound, sample_rate))


class _Tap:
    """In the place of aiortc's jitter buffer: hands the sound on itself, and nothing to aiortc."""

    def __init__(self, on_sound: Callable[[Samples], None], sample_rate: int) -> None:
        self._on_sound = on_sound
        self._decoder = Decoder(sample_rate)
        self._buffer: JitterBuffer[RtpPacket] = JitterBuffer(self._on_packet)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        self._buffer.add(packet)
        return False, None

    def _on_packet(self, packet: RtpPacket | None) -> None:
        self._on_sound(self._decoder.conceal() if packet is None else self._decoder.decode(packet.payload))
