"""Notes that emulated vendors take of a call beside their journal: the latencies they drew, the sound they heard."""

from __future__ import annotations

import time
from dataclasses import dataclass

from story.emulator.hearing import FRAME_SECONDS, Ears, Energies, Transcript, Utterance
from story.emulator.latency import Latencies, Profile, Stage


@dataclass(frozen=True)
class Drawn:
    """The time until a first result. at: when it was drawn, which is when there was something to answer (the loop's
    clock); seconds: how long it is to take."""

    at: float
    role: str
    seconds: float


class NotedLatencies(Latencies):
    """Latencies that are remembered as they are drawn, where they are those of a first result."""

    def __init__(self, profile: Profile, *, seed: int = 0) -> None:
        super().__init__(profile, seed=seed)
        self.first: list[Drawn] = []

    def draw(self, vendor: str, role: str, model: str, stage: Stage) -> float:
        seconds = super().draw(vendor, role, model, stage)
        if stage is Stage.FIRST:
            self.first.append(Drawn(time.monotonic(), role, seconds))
        return seconds


@dataclass(frozen=True)
class Sound:
    """An utterance as a recogniser heard it, on the loop's clock. Nobody but the recogniser had a part in it.

    last: when its last sound was made, by the sound that came in and the shortest time that any of it took. came: when
    the recogniser takes it to have been, by the chunk that told it the end. told: when its words were made out.
    quiet: seconds of silence after it that the recogniser heard before that. whole: it came in one piece.
    """

    last: float
    came: float
    told: float
    quiet: float
    whole: bool


class NotedEars(Ears):
    """Ears that remember what sound was given them, and when."""

    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self.heard: list[Sound] = []

    def listen(self, rate: int, start: float, previous: Utterance | None = None) -> Utterance:
        before = previous.inner if isinstance(previous, _NotedUtterance) else previous
        return _NotedUtterance(self._ears.listen(rate, start, before), start, self.heard)

    async def aclose(self) -> None:
        await self._ears.aclose()


class _NotedUtterance(Utterance):
    def __init__(self, inner: Utterance, start: float, heard: list[Sound]) -> None:
        self.inner = inner
        self._heard = heard
        self._start = start
        self._at = start
        self._first = self._last = time.monotonic()
        self._fastest = float("inf")  # when the stream would have begun had none of its sound taken any time

    def feed(self, pcm: bytes, energies: Energies) -> None:
        self._last = time.monotonic()
        self._at += len(energies) * FRAME_SECONDS
        self._fastest = min(self._fastest, self._last - self._at)
        self.inner.feed(pcm, energies)

    async def so_far(self, at: float) -> Transcript:
        return await self.inner.so_far(at)

    async def if_ended(self, end: float) -> Transcript:
        return await self.inner.if_ended(end)

    async def final(self, end: float) -> Transcript:
        words = await self.inner.final(end)
        quiet = self._at - end
        whole = self._last - self._first < (self._at - self._start) / 2
        self._heard.append(Sound(self._fastest + end, self._last - quiet, time.monotonic(), quiet, whole))
        return words

    def abandon(self) -> None:
        self.inner.abandon()
