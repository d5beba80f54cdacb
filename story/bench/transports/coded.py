"""Recordings as they sound after Opus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from story.emulator.ears import Clip
from story.emulator.hearing import FRAME_SECONDS
from story.transports.sound import SAMPLE_RATE
from story.transports.web.opus import Decoder, Encoder

SHIFTS = 4
"""Clips are compared by their loudness in steps of 10 ms, which on the way may begin anywhere: half a step later a
short recording is another one to an emulated recogniser (0.9 dB), an eighth later it is not (0.5 dB)."""


def as_coded(clip: Clip) -> list[Clip]:
    """A clip at SAMPLE_RATE as it comes out at the other end of a WebRTC connection that loses nothing, and the same
    some milliseconds later."""
    encoder, decoder = Encoder(SAMPLE_RATE), Decoder(SAMPLE_RATE)
    samples = np.frombuffer(clip.pcm, np.int16)
    packets = -(-len(samples) // encoder.samples) + 1  # the codec keeps the last milliseconds to itself
    frames = np.pad(samples, (0, packets * encoder.samples - len(samples))).reshape(packets, encoder.samples)
    heard = np.concatenate([decoder.decode(encoder.encode(frame)) for frame in frames])
    step = round(FRAME_SECONDS * SAMPLE_RATE / SHIFTS)
    return [replace(clip, pcm=np.pad(heard, (shift * step, 0)).tobytes()) for shift in range(SHIFTS)]
