"""Sound in the vendors' formats: from and to s16le mono."""

from __future__ import annotations

import asyncio
import fractions
import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av

Codec = Literal["pcm", "wav", "mp3", "opus", "flac", "aac", "mulaw", "alaw"]

MEDIA_TYPES: dict[Codec, str] = {
    "pcm": "audio/pcm",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "mulaw": "audio/basic",
    "alaw": "audio/x-alaw-basic",
}
_CONTAINERS: dict[str, tuple[str, str]] = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "opus": ("ogg", "libopus"),
    "flac": ("flac", "flac"),
    "aac": ("adts", "aac"),
}
LARGEST = 512 * 2**20
"""Bytes of a decoded recording: a few bytes of silence can become hours of it."""
_LOSSY = ("mp3", "opus", "aac")
_OPUS_RATE = 48_000


@dataclass(frozen=True)
class Format:
    """How sound is coded. rate: Hz. bit_rate: bits a second, of the lossy codecs."""

    codec: Codec
    rate: int = 24_000
    bit_rate: int = 64_000

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.codec]


class AudioError(ValueError):
    """Sound that can't be decoded, or not be coded as asked."""


def resample(pcm: bytes, rate: int, to: int) -> bytes:
    """s16le mono from one rate to another (Hz); of each stretch by itself, so give it whole sentences."""
    if rate == to or not pcm:
        return pcm
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=to)
    frames = [*resampler.resample(_frame(pcm, rate)), *resampler.resample(None)]
    return b"".join(frame.to_ndarray().tobytes() for frame in frames)


def at_speed(pcm: bytes, rate: int, speed: float) -> bytes:
    """s16le mono `speed` times as fast at the same pitch; a speed of at least 0.25."""
    if speed == 1 or not pcm:
        return pcm
    import av

    steps = (0.5, speed / 0.5) if speed < 0.5 else (speed,)  # the filter takes no less than a half
    graph = av.filter.Graph()
    frame = _frame(pcm, rate)
    source = graph.add_abuffer(sample_rate=rate, format="s16", layout="mono", time_base=fractions.Fraction(1, rate))
    tempos = [graph.add("atempo", f"{step:g}") for step in steps]
    graph.link_nodes(source, *tempos, graph.add("abuffersink")).configure()
    graph.push(frame)
    graph.push(None)
    pieces: list[bytes] = []
    while True:
        try:
            made = graph.pull()
        except (av.EOFError, av.BlockingIOError):
            return b"".join(pieces)
        assert isinstance(made, av.AudioFrame)
        pieces.append(made.to_ndarray().tobytes())


def encode(pcm: bytes, rate: int, to: Format) -> bytes:
    """s16le mono at `rate` Hz in another format.

    Stretches of mp3 can be joined: they carry no headers, as a player takes those of the second for its end.

    Raises:
        AudioError: the codec knows no such rate.
    """
    if to.codec in ("pcm", "mulaw", "alaw"):
        raw = resample(pcm, rate, to.rate)
        return raw if to.codec == "pcm" else _to_logarithmic(raw, to.codec)
    import av

    container, codec = _CONTAINERS[to.codec]
    options = {"write_xing": "0", "id3v2_version": "0"} if to.codec == "mp3" else {}
    written = io.BytesIO()
    with av.open(written, "w", format=container, options=options) as output, _told_as_audio_error(to):
        stream = output.add_stream(codec, rate=_OPUS_RATE if to.codec == "opus" else to.rate)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        if to.codec in _LOSSY:
            stream.bit_rate = to.bit_rate
        resampler = av.AudioResampler(
            format=stream.format.name, layout="mono", rate=stream.rate, frame_size=stream.frame_size or None
        )
        output.start_encoding()  # a file of no sound has its header
        if pcm:
            for frame in [*resampler.resample(_frame(pcm, rate)), *resampler.resample(None)]:
                output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return written.getvalue()


def decode(data: bytes, *, format: str | None = None) -> tuple[bytes, int]:
    """A recording (wav, mp3, ogg, flac, webm, m4a, ...) as s16le mono and its rate (Hz). Raises AudioError."""
    import av

    try:
        with av.open(io.BytesIO(data), "r", format=format) as source:
            stream = source.streams.audio[0]
            if stream.codec_context is None or not stream.rate:
                raise ValueError("unknown codec")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=stream.rate)
            made = io.BytesIO()
            for got in itertools.chain(source.decode(stream), (None,)):
                for frame in resampler.resample(got):
                    made.write(frame.to_ndarray().tobytes())
                if made.tell() > LARGEST:
                    raise ValueError("it is too long")
            return made.getvalue(), stream.rate
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise AudioError(f"the sound can't be decoded: {error}") from None


@contextmanager
def _told_as_audio_error(to: Format) -> Iterator[None]:
    import av

    try:
        yield
    except (av.FFmpegError, OverflowError):
        raise AudioError(f"{to.codec} can't be coded at {to.rate} Hz and {to.bit_rate} bit/s") from None


def from_logarithmic(data: bytes, codec: str) -> bytes:
    """µ-law or A-law ("mulaw", "alaw") of G.711 as s16le; the rate stays."""
    table = _MULAW if codec == "mulaw" else _ALAW
    return table[np.frombuffer(data, np.uint8)].tobytes()


async def encoded(pcm: bytes, rate: int, to: Format) -> bytes:
    """`encode`, off the event loop where it takes long."""
    if to.codec == "pcm" and rate == to.rate:
        return pcm
    return await asyncio.to_thread(encode, pcm, rate, to)


async def decoded(data: bytes, *, format: str | None = None) -> tuple[bytes, int]:
    """`decode`, off the event loop."""
    return await asyncio.to_thread(decode, data, format=format)


def chunks(data: bytes, size: int) -> Iterator[bytes]:
    """`data` in pieces of `size` bytes."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _frame(pcm: bytes, rate: int) -> av.AudioFrame:
    import av

    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, fractions.Fraction(1, rate)
    return frame


def _mulaw_values() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype("<i2")


def _alaw_values() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4 & 7).astype(np.int32), (code & 15).astype(np.int32)
    magnitude = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype("<i2")


_MULAW = _mulaw_values()
_ALAW = _alaw_values()


def _to_logarithmic(pcm: bytes, codec: str) -> bytes:
    """The code whose value is nearest, by G.711's tables; of two as near, the larger one, as telephones do."""
    table = _MULAW if codec == "mulaw" else _ALAW
    order = np.lexsort((np.arange(256) < 128, table))  # of the two zeros of µ-law, the positive one first
    values = table[order].astype(np.int32)
    samples = np.frombuffer(pcm, "<i2").astype(np.int32)
    above = np.clip(np.searchsorted(values, samples), 1, len(values) - 1)
    nearer = np.where(samples - values[above - 1] < values[above] - samples, above - 1, above)
    return order[nearer].astype(np.uint8).tobytes()
