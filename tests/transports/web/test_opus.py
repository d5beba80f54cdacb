"""Opus: sound survives it, and no packet from outside breaks it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from story.transports.sound import Samples
from story.transports.web.opus import SILENCE, Decoder, Encoder

RATES = (8000, 12_000, 16_000, 24_000, 48_000)


def tone(rate: int, seconds: float = 1.0) -> Samples:
    return (8000 * np.sin(2 * np.pi * 300 * np.arange(int(rate * seconds)) / rate)).astype(np.int16)


def level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


def pitch(samples: Samples, rate: int) -> float:
    """Hz of the loudest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


@pytest.mark.parametrize("sent", RATES)
@pytest.mark.parametrize("heard", [16_000, 24_000])
def test_a_tone_comes_out_as_it_went_in(sent: int, heard: int) -> None:
    encoder, decoder = Encoder(sent), Decoder(heard)
    sound = tone(sent)
    frames = sound.reshape(-1, encoder.samples)
    out = np.concatenate([decoder.decode(encoder.encode(frame)) for frame in frames])
    assert abs(len(out) - heard) < heard * 0.03, "no more is missing than codec and resampler hold back"
    middle = out[heard // 4 : heard * 3 // 4]
    assert pitch(middle, heard) == pytest.approx(300, abs=5)
    assert level(middle) == pytest.approx(level(sound), rel=0.15)


def test_silence_is_a_packet_that_decodes_to_silence() -> None:
    decoder = Decoder(16_000)
    for _ in range(5):
        assert not decoder.decode(SILENCE).any()


def test_an_empty_packet_does_not_end_the_stream() -> None:
    encoder, decoder = Encoder(24_000), Decoder(24_000)
    frames = tone(24_000).reshape(-1, encoder.samples)
    for frame in frames[:10]:
        decoder.decode(encoder.encode(frame))
    assert len(decoder.decode(b""))
    assert level(np.concatenate([decoder.decode(encoder.encode(frame)) for frame in frames[10:20]])) > 4000


def test_what_stands_in_for_lost_packets_fades_to_nothing() -> None:
    encoder, decoder = Encoder(24_000), Decoder(24_000)
    for frame in tone(24_000, 0.2).reshape(-1, encoder.samples):
        last = decoder.decode(encoder.encode(frame))
    levels = [level(decoder.conceal()) for _ in range(20)]
    assert levels[0] == pytest.approx(level(last) / 2, rel=0.01)
    assert levels == sorted(levels, reverse=True)
    assert not decoder.conceal().any()


def test_before_the_first_packet_silence_stands_in() -> None:
    concealed = Decoder(16_000).conceal()
    assert len(concealed) == 320 and not concealed.any()


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_garbage_becomes_some_sound_and_hurts_nothing(payloads: list[bytes]) -> None:
    decoder = Decoder(16_000)
    for payload in payloads:
        made = decoder.decode(payload)
        assert made.dtype == np.int16 and len(made) <= 16_000 * 0.12 + 320, "an Opus packet has 120 ms at most"
    encoder = Encoder(24_000)
    sound = np.concatenate(
        [decoder.decode(encoder.encode(frame)) for frame in tone(24_000).reshape(-1, encoder.samples)]
    )
    assert level(sound[len(sound) // 2 :]) > 4000
