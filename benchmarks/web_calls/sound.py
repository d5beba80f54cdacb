"""What the caller says: recordings, coded before the call, with the packets of their first and last sound known."""

from __future__ import annotations

import json
import random
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from story.transports.sound import read_wav
from story.transports.web.opus import CLOCK_RATE, PACKET_SECONDS, Encoder

CALLERS = Path(__file__).parents[2] / "tests" / "callers"
RATE = 24_000
FRAME = RATE // 100
PACKET = round(RATE * PACKET_SECONDS)
LOUD = 0.01
"""Root mean square (1: full scale) of 10 ms from which they are sound; the emulator's ears have the same."""
ROOM = 8.0
"""Standard deviation of the noise of the caller's room, in steps of 16 bits: 72 dB below full scale."""
FADE = FRAME
"""Samples, at a cut."""
HOLD_BACK = ("emma/turn1.wav",)
"""Clips that nobody pauses in: they lead to the next persona."""

Sound = NDArray[np.int16]


def loudness(samples: Sound) -> float:
    """Root mean square, 1: full scale."""
    scaled = samples.astype(np.float32) / 32768
    return float(np.sqrt(np.dot(scaled, scaled) / max(1, len(scaled))))


@dataclass(frozen=True, eq=False)
class Clip:
    """A recording, mono at RATE. words: each with its start and end, seconds."""

    name: str
    samples: Sound
    words: tuple[tuple[str, float, float], ...] = ()
    pause: float | None = None
    """Where silence was inserted, seconds; None: nowhere."""

    @cached_property
    def utterance(self) -> Utterance:
        """Ready to be sent."""
        return Utterance.of(self)

    def paused(self, after: int, seconds: float) -> Clip:
        """With so much silence between word number `after` and the next."""
        cut = self._quietest(round(self.words[after][2] * RATE), round(self.words[after + 1][1] * RATE))
        first, second = self.samples[:cut].astype(np.float32), self.samples[cut:].astype(np.float32)
        ramp = np.linspace(1, 0, FADE, dtype=np.float32)
        first[-FADE:] *= ramp
        second[:FADE] *= ramp[::-1]
        samples = np.concatenate([first, np.zeros(round(seconds * RATE)), second]).astype(np.int16)
        words = tuple(
            (word, start, min(end, cut / RATE)) if index <= after else (word, start + seconds, end + seconds)
            for index, (word, start, end) in enumerate(self.words)
        )
        return Clip(f"{Path(self.name).with_suffix('')}-{after + 1}", samples, words, cut / RATE)

    def write(self, folder: Path) -> dict[str, object]:
        """Write it as it is heard at the other end, and return what the emulator's `--heard` file says of it.

        Opus changes the shape of its loudness by 1 to 2.5 dB, more than the emulator's ears always put up with.
        """
        path = folder / f"{self.name.replace('/', '-')}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(CLOCK_RATE)
            file.writeframes(decoded(self.utterance.packets).tobytes())
        return {"file": str(path), "words": [list(word) for word in self.words]}

    def _quietest(self, end: int, start: int) -> int:
        """The quietest place at the border of two words."""
        slack = 3 * FRAME
        places = range(max(FADE, min(end, start) - slack), max(end, start) + slack, FRAME // 2)
        return min(places, key=lambda place: loudness(self.samples[place - FRAME // 2 : place + FRAME // 2]))


@dataclass(frozen=True, eq=False)
class Utterance:
    """Packets of 20 ms. onset, end: those with the first and the last sound; pause: with the last before the pause."""

    name: str
    packets: tuple[bytes, ...]
    onset: int
    end: int
    pause: int | None

    @classmethod
    def of(cls, clip: Clip) -> Utterance:
        """Code a clip, as heard in the caller's room."""
        length = -(-len(clip.samples) // PACKET) * PACKET + PACKET
        sound = np.pad(clip.samples, (0, length - len(clip.samples))).astype(np.int32) + room_noise(length)
        samples = np.clip(sound, -32768, 32767).astype(np.int16)
        loud = [i for i in range(0, length, FRAME) if loudness(samples[i : i + FRAME]) > LOUD]
        before = [i for i in loud if clip.pause is not None and i < clip.pause * RATE]
        return cls(
            clip.name,
            tuple(encoded(samples)),
            onset=loud[0] // PACKET,
            end=loud[-1] // PACKET,
            pause=before[-1] // PACKET if before else None,
        )

    @property
    def seconds(self) -> float:
        """From its first to its last sound."""
        return (self.end - self.onset) * PACKET_SECONDS


def encoded(samples: Sound) -> Iterator[bytes]:
    """Opus packets of whole packets of sound."""
    encoder = Encoder(RATE)
    for start in range(0, len(samples), PACKET):
        yield encoder.encode(samples[start : start + PACKET])


def decoded(packets: Sequence[bytes]) -> Sound:
    """The sound of Opus packets, mono at CLOCK_RATE Hz."""
    codec = av.CodecContext.create("libopus", "r")
    codec.sample_rate = CLOCK_RATE
    codec.layout = "mono"
    codec.format = "s16"
    frames = [frame for packet in packets for frame in codec.decode(av.Packet(packet))]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])


def room_noise(length: int) -> Sound:
    return np.random.default_rng(1).normal(0, ROOM, length).astype(np.int16)


def silence() -> tuple[bytes, ...]:
    """Four seconds of the caller's room."""
    return tuple(encoded(room_noise(4 * RATE)))


def callers() -> dict[str, Clip]:
    """The recorded turns of tests/callers by file name, and the acknowledgements and coughs of its folder `ack`."""
    told = json.loads((CALLERS / "callers.json").read_text())
    turns = [turn for caller in told.values() for turn in caller["turns"]]
    clips = [_clip(turn["file"], [(word, start, end) for word, start, end in turn["words"]]) for turn in turns]
    for entry in json.loads((CALLERS / "ack" / "ack.json").read_text()):
        clips.append(_clip(entry["file"], [(entry["text"], 0.0, entry["seconds"])] if entry["text"] else []))
    return {clip.name: clip for clip in clips}


def _clip(name: str, words: Sequence[tuple[str, float, float]]) -> Clip:
    return Clip(name, read_wav(CALLERS / name), tuple(words))


def heard(clips: Sequence[Clip], path: Path) -> Path:
    """Write a `--heard` file with these clips for the emulator."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"turns": [clip.write(path.parent) for clip in clips]}))
    return path


def paused_clips(clips: Sequence[Clip], count: int, seconds: float, seed: int) -> list[Clip]:
    """`count` clips with a pause inside a sentence, at most a few of each clip, drawn by `seed`.

    Two words of the sentence at least come before the pause, so that what was said is no whole answer by itself.
    """
    rng = random.Random(seed)
    places = {clip.name: (clip, _inside(clip)) for clip in clips if clip.name not in HOLD_BACK and _inside(clip)}
    found: list[Clip] = []
    while len(found) < count:
        for clip, inside in places.values():
            if inside and len(found) < count:
                found.append(clip.paused(inside.pop(rng.randrange(len(inside))), seconds))
    return found


def _inside(clip: Clip) -> list[int]:
    """The numbers of the words after which there may be a pause."""
    found, length = [], 0
    for index, (word, _, _) in enumerate(clip.words[:-1]):
        ended = word.endswith((".", "!", "?"))
        length = 0 if ended else length + 1
        if length >= 2:
            found.append(index)
    return found
