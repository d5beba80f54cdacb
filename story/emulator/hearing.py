"""What an emulated recogniser hears: speech told from silence, on the sound's own clock, and its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FRAME_SECONDS = 0.01
LOUD = 0.01
"""Root mean square (1: full scale) from which 10 ms are sound."""
ONSET_FRAMES = 3
"""So many loud frames in a row are speech; fewer are a click."""
INTERIM_SECONDS = 0.25
"""Between two interim results."""
UNHEARD_SECONDS = 0.15
"""A word shows in interim results so long after its end."""

Energies = NDArray[np.float32]
"""The sum of the squares of the samples (s16le) of each 10 ms frame."""

_FULL_SCALE = 32768
_SAMPLE = np.dtype("<i2")
_INTERIM_FRAMES = round(INTERIM_SECONDS / FRAME_SECONDS)


@dataclass(frozen=True)
class Word:
    """A word and when it is said, seconds since the stream of sound began."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """The words of one utterance, or of its beginning."""

    words: tuple[Word, ...] = ()

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


class Utterance(Protocol):
    """The words of one stretch of speech, while it is being said and after."""

    def feed(self, pcm: bytes, energies: Energies) -> None:
        """More sound: s16le mono at the rate of the stream, whole frames, and their energies."""
        ...

    async def so_far(self, at: float) -> Transcript:
        """The words that ended 150 ms or longer before `at` (seconds since the stream began)."""
        ...

    async def if_ended(self, end: float) -> Transcript:
        """What `final` would be, as far as is known; it may go on after all."""
        ...

    async def final(self, end: float) -> Transcript:
        """All words up to `end`, the last sound (seconds since the stream began). Called once."""
        ...

    def abandon(self) -> None:
        """Nobody will ask any more."""
        ...


class Ears(Protocol):
    """Makes out words."""

    def listen(self, rate: int, start: float, previous: Utterance | None = None) -> Utterance:
        """An utterance that begins `start` seconds into its stream of `rate` Hz. previous: the one before it there."""
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True)
class Started:
    """Speech began `start` seconds into the stream."""

    start: float
    utterance: Utterance


@dataclass(frozen=True)
class Going:
    """It goes on; `at` is now. One every 250 ms."""

    start: float
    at: float
    utterance: Utterance


@dataclass(frozen=True)
class Ended:
    """It ended: the last sound was at `end`, `quiet` seconds of silence ago (of sound's time)."""

    start: float
    end: float
    quiet: float
    utterance: Utterance


@dataclass(frozen=True)
class Paused:
    """It may have ended: the last sound was at `end`, `quiet` seconds ago."""

    start: float
    end: float
    quiet: float
    utterance: Utterance


@dataclass(frozen=True)
class Resumed:
    """It had not: there is sound again, `at` now."""

    start: float
    at: float
    utterance: Utterance


Heard = Started | Going | Paused | Resumed | Ended


class Listener:
    """Tells speech from silence in a stream of sound (s16le mono), by what comes in and not by the wall's clock.

    Time is counted in frames of 10 ms. Sound is taken a whole chunk at a time: a call of numpy costs more than what it
    does with a single frame.
    """

    def __init__(
        self, ears: Ears, rate: int, *, silence: float, pause: float | None = None, since: float = 0.0
    ) -> None:
        """silence: seconds without sound that end an utterance. pause: seconds after which it is told that it may have
        ended; None: it is not told. since: where its clock begins, seconds."""
        if rate < 100:
            raise ValueError(f"a sample rate of {rate} Hz is too low")
        self.wait(silence, pause)
        self._paused = False
        self._ears = ears
        self._rate = rate
        self._frame_bytes = 2 * (rate // 100)
        self._ones = np.ones(rate // 100, np.float32)
        self._loud_energy = rate // 100 * (LOUD * _FULL_SCALE) ** 2
        self._rest = b""
        self._frames = round(since / FRAME_SECONDS)
        self._onset = 0
        self._held: tuple[bytes, Energies] | None = None
        self._utterance: Utterance | None = None
        self._previous: Utterance | None = None
        self._start = self._last_loud = self._next_interim = 0

    def wait(self, silence: float, pause: float | None = None) -> None:
        """From now on, even in an utterance, so many seconds of silence end one, and so many are a pause."""
        self._silence_frames = round(silence / FRAME_SECONDS)
        self._pause_frames = round(pause / FRAME_SECONDS) if pause is not None else self._silence_frames
        self._quiet_frames = min(self._silence_frames, self._pause_frames)

    @property
    def rate(self) -> int:
        """Hz."""
        return self._rate

    @property
    def now(self) -> float:
        """Seconds of sound heard."""
        return self._frames * FRAME_SECONDS

    @property
    def speaking(self) -> bool:
        return self._utterance is not None

    def feed(self, pcm: bytes) -> list[Heard]:
        """Hear more; what follows from it, in order."""
        if self._rest:
            pcm = self._rest + pcm
        count = len(pcm) // self._frame_bytes
        whole = count * self._frame_bytes
        self._rest = pcm[whole:]
        if not count:
            return []
        pcm = pcm[:whole]
        squares = np.frombuffer(pcm, _SAMPLE).astype(np.float32)
        squares *= squares
        return self._hear(pcm, squares.reshape(count, -1).dot(self._ones))

    def flush(self) -> list[Heard]:
        """The utterance under way ends here; [] where there is none."""
        if self._utterance is None:
            return []
        quiet = self._frames - self._last_loud
        ended = Ended(_seconds(self._start), _seconds(self._last_loud), _seconds(quiet), self._utterance)
        self._utterance = None
        self._paused = False
        return [ended]

    def close(self) -> None:
        """The stream is over and nobody wants its last words."""
        if self._utterance is not None:
            self._utterance.abandon()
            self._utterance = None

    def _hear(self, pcm: bytes, energies: Energies) -> list[Heard]:
        """The frames one by one where something may have to be told; all at once where silence or speech goes on."""
        loud = [energy > self._loud_energy for energy in energies.tolist()]
        after = self._frames + len(loud)
        if self._utterance is None:
            if self._onset or True in loud:
                return self._hear_frames(pcm, energies, loud)
        elif self._paused or after >= self._next_interim or after >= self._last_loud + self._quiet_frames:
            return self._hear_frames(pcm, energies, loud)
        else:
            if True in loud:
                self._last_loud = after - loud[::-1].index(True)
            self._utterance.feed(pcm, energies)
        self._frames = after
        return []

    def _hear_frames(self, pcm: bytes, energies: Energies, loud: list[bool]) -> list[Heard]:
        heard: list[Heard] = []
        held = 0
        if self._held is not None:
            pcm, energies = self._held[0] + pcm, np.concatenate([self._held[1], energies])
            held, self._held = self._onset, None
        first = 0  # of these frames, the first that the utterance has not been given
        for index, is_loud in enumerate(loud, held):
            self._frames += 1
            if self._utterance is None:
                self._onset = self._onset + 1 if is_loud else 0
                if self._onset == ONSET_FRAMES:
                    first = index + 1 - ONSET_FRAMES
                    self._begin(heard)
                continue
            if self._follow(self._utterance, is_loud, heard):
                self._give(self._utterance, pcm, energies, first, index + 1)
                heard += self.flush()
        if self._utterance is not None:
            self._give(self._utterance, pcm, energies, first, held + len(loud))
        elif self._onset:
            self._held = pcm[-self._onset * self._frame_bytes :], energies[-self._onset :]
        return heard

    def _follow(self, utterance: Utterance, is_loud: bool, heard: list[Heard]) -> bool:
        """One more frame of an utterance; whether it has ended with that."""
        if is_loud:
            self._last_loud = self._frames
            if self._paused:
                self._paused = False
                heard.append(Resumed(_seconds(self._start), self.now, utterance))
        quiet = self._frames - self._last_loud
        if self._frames >= self._next_interim:
            self._next_interim += _INTERIM_FRAMES
            if quiet < _INTERIM_FRAMES:
                heard.append(Going(_seconds(self._start), self.now, utterance))
        if quiet >= self._silence_frames:
            return True
        if not self._paused and quiet >= self._pause_frames:
            self._paused = True
            heard.append(Paused(_seconds(self._start), _seconds(self._last_loud), _seconds(quiet), utterance))
        return False

    def _begin(self, heard: list[Heard]) -> None:
        self._start = self._frames - ONSET_FRAMES
        self._onset = 0
        self._last_loud = self._frames
        self._next_interim = self._start + _INTERIM_FRAMES
        start = _seconds(self._start)
        self._utterance = self._previous = self._ears.listen(self._rate, start, self._previous)
        heard.append(Started(start, self._utterance))

    def _give(self, utterance: Utterance, pcm: bytes, energies: Energies, first: int, end: int) -> None:
        """The frames from `first` to before `end` are the utterance's."""
        utterance.feed(pcm[first * self._frame_bytes : end * self._frame_bytes], energies[first:end])


def _seconds(frames: int) -> float:
    return frames * FRAME_SECONDS


async def transcribe(ears: Ears, pcm: bytes, rate: int) -> Transcript:
    """All words in a whole recording (s16le mono)."""
    listener = Listener(ears, rate, silence=1.0)
    words: list[Word] = []
    for event in [*listener.feed(pcm), *listener.flush()]:
        if isinstance(event, Ended):
            words += (await event.utterance.final(event.end)).words
    return Transcript(tuple(words))
