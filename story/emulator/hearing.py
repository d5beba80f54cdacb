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

Frames = NDArray[np.float32]


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

    def feed(self, pcm: bytes, loudness: Frames) -> None:
        """More sound: s16le mono at the rate of the stream, and the root mean square of its 10 ms frames."""
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
    """Tells speech from silence in a stream of sound (s16le mono), by what comes in and not by the wall's clock."""

    def __init__(
        self, ears: Ears, rate: int, *, silence: float, pause: float | None = None, since: float = 0.0
    ) -> None:
        """silence: seconds without sound that end an utterance. pause: seconds after which it is told that it may have
        ended; None: it is not told. since: where its clock begins, seconds."""
        if rate < 100:
            raise ValueError(f"a sample rate of {rate} Hz is too low")
        self.silence = silence
        self._pause = pause
        self._paused = False
        self._ears = ears
        self._rate = rate
        self._frame_bytes = 2 * (rate // 100)
        self._rest = b""
        self._frames = round(since / FRAME_SECONDS)
        self._onset: list[tuple[bytes, Frames]] = []
        self._utterance: Utterance | None = None
        self._previous: Utterance | None = None
        self._start = self._last_loud = 0.0
        self._next_interim = 0.0

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
        pcm = self._rest + pcm
        whole = len(pcm) // self._frame_bytes * self._frame_bytes
        self._rest = pcm[whole:]
        if not whole:
            return []
        samples = np.frombuffer(pcm[:whole], "<i2").reshape(-1, self._frame_bytes // 2).astype(np.float32)
        loudness = np.sqrt(np.einsum("ij,ij->i", samples, samples) / samples.shape[1]) / 32768
        return self._hear(pcm[:whole], loudness.astype(np.float32))

    def flush(self) -> list[Heard]:
        """The utterance under way ends here; [] where there is none."""
        if self._utterance is None:
            return []
        ended = Ended(self._start, self._last_loud, self.now - self._last_loud, self._utterance)
        self._utterance = None
        self._paused = False
        return [ended]

    def close(self) -> None:
        """The stream is over and nobody wants its last words."""
        if self._utterance is not None:
            self._utterance.abandon()
            self._utterance = None

    def _hear(self, pcm: bytes, loudness: Frames) -> list[Heard]:
        heard: list[Heard] = []
        if self._utterance is None and not self._onset and not (loudness > LOUD).any():
            self._frames += len(loudness)  # the usual case: silence
            return heard
        for index in range(len(loudness)):
            frame = pcm[index * self._frame_bytes : (index + 1) * self._frame_bytes]
            self._frame(frame, loudness[index : index + 1], heard)
        return heard

    def _frame(self, pcm: bytes, loudness: Frames, heard: list[Heard]) -> None:
        loud = bool(loudness[0] > LOUD)
        self._frames += 1
        if self._utterance is None:
            self._onset = [*self._onset, (pcm, loudness)] if loud else []
            if len(self._onset) >= ONSET_FRAMES:
                self._begin(heard)
            return
        self._utterance.feed(pcm, loudness)
        if loud:
            self._last_loud = self.now
            if self._paused:
                self._paused = False
                heard.append(Resumed(self._start, self.now, self._utterance))
        if self.now >= self._next_interim:
            self._next_interim += INTERIM_SECONDS
            if self.now - self._last_loud < INTERIM_SECONDS:
                heard.append(Going(self._start, self.now, self._utterance))
        quiet = self.now - self._last_loud
        if quiet >= self.silence - FRAME_SECONDS / 2:
            heard += self.flush()
        elif self._pause is not None and not self._paused and quiet >= self._pause - FRAME_SECONDS / 2:
            self._paused = True
            heard.append(Paused(self._start, self._last_loud, quiet, self._utterance))

    def _begin(self, heard: list[Heard]) -> None:
        self._start = self.now - len(self._onset) * FRAME_SECONDS
        self._last_loud = self.now
        self._next_interim = self._start + INTERIM_SECONDS
        self._utterance = self._previous = self._ears.listen(self._rate, self._start, self._previous)
        for pcm, loudness in self._onset:
            self._utterance.feed(pcm, loudness)
        self._onset = []
        heard.append(Started(self._start, self._utterance))


async def transcribe(ears: Ears, pcm: bytes, rate: int) -> Transcript:
    """All words in a whole recording (s16le mono)."""
    listener = Listener(ears, rate, silence=1.0)
    words: list[Word] = []
    for event in [*listener.feed(pcm), *listener.flush()]:
        if isinstance(event, Ended):
            words += (await event.utterance.final(event.end)).words
    return Transcript(tuple(words))
