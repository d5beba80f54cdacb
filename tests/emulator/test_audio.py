"""Sound: every format keeps how long and how loud it is, and G.711 is G.711."""

from __future__ import annotations

import asyncio
import fractions
from typing import get_args

import av
import numpy as np
import pytest
from conftest import speech
from hypothesis import given, settings
from hypothesis import strategies as st

from story.emulator import audio
from story.emulator.audio import (
    MEDIA_TYPES,
    AudioError,
    Codec,
    Format,
    chunks,
    decode,
    encode,
    encoded,
    from_logarithmic,
    resample,
)

RATE = 24_000
SECONDS = 1.0
PCM = speech(SECONDS, RATE)
CODECS = get_args(Codec)


def loudness(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    return float(np.sqrt(np.mean(samples**2)))


def back(data: bytes, to: Format) -> tuple[bytes, int]:
    if to.codec == "pcm":
        return data, to.rate
    if to.codec in ("mulaw", "alaw"):
        return from_logarithmic(data, to.codec), to.rate
    return decode(data)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_a_format_keeps_length_and_loudness(codec: Codec, rate: int) -> None:
    to = Format(codec, rate)
    pcm, got = back(encode(PCM, RATE, to), to)
    assert got == (48_000 if codec == "opus" else rate)
    assert len(pcm) / 2 / got == pytest.approx(SECONDS, abs=2_304 / got if codec in ("mp3", "aac", "opus") else 0.01)
    assert loudness(pcm) * len(pcm) ** 0.5 / got**0.5 == pytest.approx(loudness(PCM) * (2 * SECONDS) ** 0.5, rel=0.1)


@pytest.mark.parametrize("codec", CODECS)
def test_no_sound_is_no_sound(codec: Codec) -> None:
    to = Format(codec, RATE)
    data = encode(b"", RATE, to)
    if codec in ("wav", "flac"):
        assert decode(data)[0] == b""
    elif codec in ("pcm", "mulaw", "alaw"):
        assert data == b""


@pytest.mark.parametrize(("codec", "rate"), [("mp3", 9_000), ("aac", 1), ("mp3", 96_000), ("flac", 10_000_000)])
def test_a_rate_that_a_codec_lacks_is_an_error(codec: Codec, rate: int) -> None:
    with pytest.raises(AudioError, match=f"{codec} can't be coded at {rate} Hz"):
        encode(PCM, RATE, Format(codec, rate))


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_has_a_media_type(codec: Codec) -> None:
    assert Format(codec).media_type == MEDIA_TYPES[codec] and "/" in MEDIA_TYPES[codec]


async def test_off_the_loop_it_is_the_same() -> None:
    to = Format("mulaw", 8_000)
    one, other = await asyncio.gather(encoded(PCM, RATE, to), encoded(PCM, RATE, to))
    assert one == other == encode(PCM, RATE, to)
    assert await encoded(PCM, RATE, Format("pcm", RATE)) is PCM


def test_stretches_of_mp3_can_be_joined() -> None:
    to = Format("mp3", RATE)
    pcm, rate = decode(2 * encode(PCM, RATE, to), format="mp3")
    assert len(pcm) / 2 / rate == pytest.approx(2 * SECONDS, abs=0.2)


@given(
    samples=st.integers(0, 30_000),
    rate=st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000]),
    to=st.integers(4_000, 96_000),
)
@settings(deadline=None, max_examples=60)
def test_resampling_keeps_the_length(samples: int, rate: int, to: int) -> None:
    """But for what is shorter than its filter, 20 ms at the most."""
    got = len(resample(bytes(2 * samples), rate, to)) / 2
    assert got == pytest.approx(samples * to / rate, abs=0.02 * to)


def test_resampling_keeps_the_tone() -> None:
    times = np.arange(RATE) / RATE
    tone = (np.sin(2 * np.pi * 440 * times) * 10_000).astype("<i2").tobytes()
    there = np.frombuffer(resample(tone, RATE, 16_000), "<i2").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(there[:16_000]))
    assert np.argmax(spectrum) * 16_000 / 16_000 == pytest.approx(440, abs=1)


@pytest.mark.parametrize(
    ("codec", "values"),
    [
        # G.711 (ITU-T, 1988), tables 2a and 1a, as linear 16-bit values
        ("mulaw", {0x00: -32124, 0x80: 32124, 0x0F: -16764, 0x8F: 16764, 0x7E: -8, 0xFE: 8, 0xFF: 0, 0x7F: 0}),
        ("alaw", {0x55: -8, 0xD5: 8, 0x54: -24, 0xD4: 24, 0x2A: -32256, 0xAA: 32256, 0x80: 5504, 0x00: -5504}),
    ],
)
def test_logarithmic_codes_have_their_values(codec: str, values: dict[int, int]) -> None:
    assert np.frombuffer(from_logarithmic(bytes(values), codec), "<i2").tolist() == list(values.values())


@pytest.mark.parametrize(("codec", "name"), [("mulaw", "pcm_mulaw"), ("alaw", "pcm_alaw")])
def test_logarithmic_codes_are_those_of_ffmpeg(codec: Codec, name: str) -> None:
    every = np.arange(-32_768, 32_768).astype("<i2")
    ours = encode(every.tobytes(), 8_000, Format(codec, 8_000))
    coder = av.CodecContext.create(name, "w")
    coder.sample_rate, coder.format, coder.layout, coder.time_base = 8_000, "s16", "mono", fractions.Fraction(1, 8_000)
    frame = av.AudioFrame.from_ndarray(every.reshape(1, -1), "s16", "mono")
    frame.sample_rate = 8_000
    theirs = b"".join(bytes(packet) for packet in [*coder.encode(frame), *coder.encode(None)])
    errors = [
        np.abs(np.frombuffer(from_logarithmic(data, codec), "<i2").astype(np.int32) - every) for data in (ours, theirs)
    ]
    assert (errors[0] <= errors[1]).all()


@pytest.mark.parametrize(("codec", "code"), [("mulaw", 0xFF), ("alaw", 0xD5)])
def test_silence_is_the_code_that_telephones_send(codec: Codec, code: int) -> None:
    assert encode(bytes(320), 8_000, Format(codec, 8_000)) == bytes([code]) * 160


@pytest.mark.parametrize("codec", ["mulaw", "alaw"])
def test_every_code_survives_a_round_trip(codec: Codec) -> None:
    codes = bytes(range(256))
    values = from_logarithmic(codes, codec)
    assert from_logarithmic(encode(values, 8_000, Format(codec, 8_000)), codec) == values


@given(
    st.binary(max_size=400) | st.binary(max_size=200).map(lambda tail: encode(PCM[:960], RATE, Format("wav")) + tail)
)
@settings(deadline=None, max_examples=80)
def test_what_is_no_recording_is_an_error(data: bytes) -> None:
    try:
        pcm, rate = decode(data)
    except AudioError as error:
        assert "decoded" in str(error)
    else:
        assert len(pcm) % 2 == 0 and rate > 0


@given(st.data())
@settings(deadline=None, max_examples=80)
def test_a_damaged_recording_is_sound_or_an_error(data: st.DataObject) -> None:
    codec = data.draw(st.sampled_from(["wav", "mp3", "flac", "opus"]))
    whole = bytearray(encode(PCM[:9_600], RATE, Format(codec, RATE)))
    for at in data.draw(st.lists(st.integers(0, min(120, len(whole) - 1)), max_size=4)):
        whole[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        pcm, rate = decode(bytes(whole[:cut]))
    except AudioError:
        return
    assert len(pcm) % 2 == 0 and rate > 0


def test_chunks_are_all_there_is() -> None:
    assert list(chunks(b"abcde", 2)) == [b"ab", b"cd", b"e"]
    assert list(chunks(b"", 2)) == []


def test_a_recording_that_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(bytes(2 * 16_000 * 60), 16_000, Format("flac", 16_000))
    assert len(decode(data)[0]) == 2 * 16_000 * 60
    monkeypatch.setattr(audio, "LARGEST", 2 * 16_000 * 59)
    with pytest.raises(AudioError, match="too long"):
        decode(data)
