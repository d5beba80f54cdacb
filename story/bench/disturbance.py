"""What makes a call harder: noise, lost packets, a narrow band, a pause in the sentence, "mm-hm", an interruption."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from story.core.errors import ConfigError
from story.core.nearest import did_you_mean
from story.transports.sound import SAMPLE_RATE, Samples

KINDS = ("noise", "loss", "narrow", "pause", "silence", "mm-hm", "interrupt", "wrong-name", "change-of-mind")
_ALONE = ("narrow", "wrong-name", "change-of-mind")
"""Kinds without an amount."""
_NOISE_SECONDS = 10.0
_BAND = (300.0, 3400.0)
"""Hz; of a telephone (ITU-T G.712)."""
_TAPS = 127
_SPEECH_SHARE = 0.1
"""Of the loudest 20 ms; less is silence, and no measure of how loud the speech is."""


@dataclass(frozen=True)
class Disturbance:
    """noise: decibels by which the speech is louder. loss: share of the 20 ms Opus packets that don't arrive. narrow:
    the band of a telephone. pause: seconds, between two words in the middle of each line. aside: seconds of the
    agent's answer after which the caller says "mm-hm". interrupt: seconds after which they break in, from the second
    line on. silence: seconds that the caller says nothing once, where a line is due. wrong_name: they put their name
    right. change_of_mind: they are about to leave, and stay."""

    noise: float | None = None
    loss: float = 0.0
    narrow: bool = False
    pause: float | None = None
    aside: float | None = None
    interrupt: float | None = None
    silence: float | None = None
    wrong_name: bool = False
    change_of_mind: bool = False
    text: str = ""

    def __str__(self) -> str:
        return self.text

    def line(self, sound: Samples, words: Sequence[tuple[str, float, float]]) -> Samples:
        """A line as it is said: with its pause."""
        if self.pause is None:
            return sound
        at = _between_words(sound, words)
        silence = np.zeros(round(self.pause * SAMPLE_RATE), np.int16)
        return np.concatenate([sound[:at], silence, sound[at:]])

    def silent_before(self, lines: int, seed: int) -> int | None:
        """Before which of so many lines (the first is 1) the caller falls silent; None: before none of them."""
        if self.silence is None:
            return None
        return int(np.random.default_rng(seed).integers(2, lines + 1)) if lines > 1 else 1

    def way(self, lines: Sequence[Samples], seed: int) -> Callable[[Samples], Samples]:
        """What the line makes of 20 ms of a caller who says `lines`. The same seed makes the same of it."""
        stages: list[Callable[[Samples], Samples]] = []
        if self.noise is not None:
            stages.append(_Noise(_level(lines) / 10 ** (self.noise / 20), seed))
        if self.narrow:
            stages.append(_Telephone())
        if self.loss:
            stages.append(_LossyOpus(self.loss, seed))

        def through(frame: Samples) -> Samples:
            for stage in stages:
                frame = stage(frame)
            return frame

        return through


def disturbance_of(text: str) -> Disturbance:
    """As it is written: "noise=10", "loss=5%", "narrow", "pause=0.8", "silence=8", "mm-hm=2", "interrupt=2.5",
    "wrong-name", "change-of-mind", joined with "+".

    Raises:
        ConfigError: it means nothing.
    """
    found = Disturbance(text=text)
    for part in text.split("+"):
        kind, equals, amount = part.strip().partition("=")
        if kind not in KINDS:
            raise ConfigError(f"unknown disturbance {kind!r}{did_you_mean(kind, KINDS, otherwise=_known())}")
        if kind in _ALONE:
            if equals:
                raise ConfigError(f"{part}: {kind} has no amount")
            found = replace(found, **{kind.replace("-", "_"): True})  # type: ignore[arg-type]
            continue
        value = _amount(part, amount if equals else {"mm-hm": "2", "pause": "0.8"}.get(kind, ""))
        if kind == "loss" and not 0 < value < 1:
            raise ConfigError(f"{part}: a share of the packets is lost, as in loss=5%")
        found = replace(found, **{{"mm-hm": "aside"}.get(kind, kind): value})  # type: ignore[arg-type]
    return found


def _known() -> str:
    return f"; there are {', '.join(KINDS)}, as in noise=10 or loss=5%"


def _amount(part: str, text: str) -> float:
    number = re.fullmatch(r"(-?\d+(?:\.\d+)?)\s*(%|dB|s)?", text)
    if number is None or (float(number[1]) < 0 and not part.startswith("noise")):
        raise ConfigError(f"{part!r} has no number: write noise=10 (dB), loss=5%, pause=0.8 (seconds)")
    return float(number[1]) * (0.01 if number[2] == "%" else 1.0)


def _between_words(sound: Samples, words: Sequence[tuple[str, float, float]]) -> int:
    """The sample between two words that is nearest to the middle; where none are known, the quietest about there."""
    middle = len(sound) / SAMPLE_RATE / 2
    if len(words) > 1:
        start = min((start for _, start, _ in words[1:]), key=lambda start: abs(start - middle))
        return round(start * SAMPLE_RATE)
    size = SAMPLE_RATE // 50
    frames = sound[: len(sound) // size * size].reshape(-1, size).astype(np.float32)
    first, last = len(frames) // 3, max(len(frames) // 3 + 1, 2 * len(frames) // 3)
    return (first + int(np.argmin((frames[first:last] ** 2).mean(axis=1)))) * size


def _level(lines: Sequence[Samples]) -> float:
    """The root mean square of the speech, its silences left out."""
    size = SAMPLE_RATE // 50
    frames = np.concatenate([line[: len(line) // size * size].reshape(-1, size) for line in lines]).astype(np.float32)
    powers = (frames**2).mean(axis=1)
    return float(np.sqrt(powers[powers > _SPEECH_SHARE**2 * powers.max()].mean())) if powers.any() else 0.0


class _Noise:
    """Noise of a room: the same power in each octave (pink), from 20 Hz on, all through the call."""

    def __init__(self, level: float, seed: int) -> None:
        count = round(_NOISE_SECONDS * SAMPLE_RATE)
        spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(count))
        hertz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
        spectrum *= np.where(hertz < 20, 0.0, 1 / np.sqrt(np.maximum(hertz, 20)))
        noise = np.fft.irfft(spectrum, count)
        self._noise: NDArray[np.float64] = noise / np.sqrt((noise**2).mean()) * level
        self._at = 0

    def __call__(self, frame: Samples) -> Samples:
        places = np.arange(self._at, self._at + len(frame)) % len(self._noise)
        self._at += len(frame)
        return np.clip(np.round(frame + self._noise[places]), -32768, 32767).astype(np.int16)


class _Telephone:
    """Lets the band of a telephone through; 2.6 ms late."""

    def __init__(self) -> None:
        times = np.arange(_TAPS) - _TAPS // 2
        low, high = (2 * hertz / SAMPLE_RATE for hertz in _BAND)
        self._taps = (high * np.sinc(high * times) - low * np.sinc(low * times)) * np.hamming(_TAPS)
        self._before = np.zeros(_TAPS - 1)

    def __call__(self, frame: Samples) -> Samples:
        whole = np.concatenate([self._before, frame])
        self._before = whole[-(_TAPS - 1) :]
        return np.clip(np.round(np.convolve(whole, self._taps, "valid")), -32768, 32767).astype(np.int16)


class _LossyOpus:
    """Codes each 20 ms as WebRTC does, and loses some packets before they are decoded; 20 ms late."""

    def __init__(self, share: float, seed: int) -> None:
        from story.transports.web.opus import Decoder, Encoder

        self._encoder, self._decoder = Encoder(SAMPLE_RATE), Decoder(SAMPLE_RATE)
        self._share = share
        self._rng = np.random.default_rng(seed + 1)
        self._made = np.zeros(SAMPLE_RATE // 50, np.int16)  # the codec keeps some milliseconds to itself at first

    def __call__(self, frame: Samples) -> Samples:
        packet = self._encoder.encode(frame)
        lost = self._rng.random() < self._share
        sound = self._decoder.conceal() if lost else self._decoder.decode(packet)
        self._made = np.concatenate([self._made, sound])
        out, self._made = self._made[: len(frame)], self._made[len(frame) :]
        return out if len(out) == len(frame) else np.pad(out, (0, len(frame) - len(out)))
