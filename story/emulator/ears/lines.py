"""Ears that hear what a script says the caller says, whatever is said."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from story.emulator.hearing import UNHEARD_SECONDS, Energies, Transcript, Utterance, Word

WORD_SECONDS = 0.3


class Lines:
    """Each utterance is the next of `lines`; after the last, the first again."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = itertools.cycle(lines)

    def listen(self, rate: int, start: float, previous: Utterance | None = None) -> Utterance:
        return _Line(next(self._lines), start)

    async def aclose(self) -> None:
        pass


class _Line:
    """An utterance whose words are known; each takes 300 ms."""

    def __init__(self, line: str, start: float) -> None:
        self._words = tuple(
            Word(word, start + index * WORD_SECONDS, start + (index + 1) * WORD_SECONDS)
            for index, word in enumerate(line.split())
        )

    def feed(self, pcm: bytes, energies: Energies) -> None:
        pass

    async def so_far(self, at: float) -> Transcript:
        return Transcript(tuple(word for word in self._words if word.end <= at - UNHEARD_SECONDS))

    async def if_ended(self, end: float) -> Transcript:
        return Transcript(self._words)

    async def final(self, end: float) -> Transcript:
        return Transcript(self._words)

    def abandon(self) -> None:
        pass
