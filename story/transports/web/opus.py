"""Opus, as WebRTC carries it: 20 ms of mono sound a packet."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from story.transports.sound import Samples
from story.transports.web.downsample import Downsampler

PACKET_SECONDS = 0.02
CLOCK_RATE = 48_000
"""Hz of an Opus stream's time stamps, whatever the rate of its sound (RFC 7587)."""
CLOCK_TICKS = int(CLOCK_RATE * PACKET_SECONDS)
TIME_BASE = Fraction(1, CLOCK_RATE)

BIT_RATE = 32_000
"""Bits a second: speech in one channel sounds as it did before, at a third of what aiortc sends."""
SILENCE = b"\xf8\xff\xfe"
"""A packet of 20 ms silence, as every Opus decoder reads it. It costs nothing to make."""
NOTHING = SILENCE[:1]
"""The packet of a stream that pauses: its first byte alone, with nothing in it (discontinuous transmission, DTX)."""


class Encoder:
    """Encodes mono sound, 20 ms at a time.

    sample_rate: Hz; one of 8000, 12000, 16000, 24000, 48000.
    """

    def __init__(self, sample_rate: int) -> None:
        self.samples = int(sample_rate * PACKET_SECONDS)
        self._rate = sample_rate
        self._codec = codec = av.CodecContext.create("libopus", "w")
        codec.sample_rate = sample_rate
        codec.layout = "mono"
        codec.format = "s16"
        codec.bit_rate = BIT_RATE
        codec.options = {"application": "voip", "frame_duration": "20"}
        self._frame = av.AudioFrame(format="s16", layout="mono", samples=self.samples)
        self._frame.sample_rate = sample_rate
        self._number = 0

    def encode(self, samples: Samples) -> bytes:
        """One packet of exactly 20 ms of sound."""
        self._frame.planes[0].update(samples.tobytes())
        self._frame.pts = self._number * self.samples
        self._number += 1
        return b"".join(bytes(packet) for packet in self._codec.encode(self._frame))


def samples_of(frame: av.AudioFrame) -> Samples:
    """The samples of an s16 mono frame."""
    return np.frombuffer(memoryview(frame.planes[0]), np.int16, frame.samples)


class Decoder:
    """Decodes the packets of one stream to mono sound at `sample_rate` Hz, a divisor of 48000."""

    def __init__(self, sample_rate: int) -> None:
        self._codec = codec = av.CodecContext.create("libopus", "r")
        codec.sample_rate = CLOCK_RATE
        codec.layout = "mono"
        codec.format = "s16"
        self._downsample = Downsampler(CLOCK_RATE // sample_rate)
        self._last = np.zeros(int(sample_rate * PACKET_SECONDS), np.int16)

    def decode(self, payload: bytes) -> Samples:
        """The sound of a packet; what stands in for it where that is no Opus."""
        if not payload:  # to the codec, an empty packet is the end of the stream
            return self.conceal()
        try:
            frames = self._codec.decode(av.Packet(payload))
        except av.FFmpegError:
            return self.conceal()
        if not frames:
            return self.conceal()
        made = [self._downsample(samples_of(frame)) for frame in frames]
        self._last = made[0] if len(made) == 1 else np.concatenate(made)
        return self._last

    def conceal(self) -> Samples:
        """What stands in for a packet that is lost: the sound before it, half as loud each time."""
        self._last = (self._last / 2).astype(np.int16)  # towards zero, which `//` never reaches from below
        return self._last
