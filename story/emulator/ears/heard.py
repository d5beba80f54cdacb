"""Ears that know recorded clips, and leave everything else to a recogniser."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from story.emulator.ears.clips import PAUSE_FRAMES, Clip, Loudness, Template
from story.emulator.ears.matching import LONG_FRAMES, Match, Matcher
from story.emulator.hearing import FRAME_SECONDS, UNHEARD_SECONDS, Ears, Energies, Transcript, Utterance, Word

SAMPLE_RATES = (8_000, 16_000, 48_000)
"""Hz: of telephones, of recognisers, of all else. Sound may have had a lower one than it comes with."""
SURE_DB = 2.5
"""How far a stretch may be from a clip, where it is long enough to tell callers apart."""
SURE_SHORT_DB = 0.8
"""The same for a short one."""
GOING_ON_DB = 3.5
"""The same for one that comes when the clip of the utterance before it would have gone on."""
TRIES_SECONDS = 2.0
"""After which a stretch that is like no clip is given to the recogniser, before it has ended."""
_EARLY_SECONDS = 0.02
"""By which a word may be placed before its sound."""


class ClipEars:
    """Known clips by their loudness; of other sound, what `unknown` makes out."""

    def __init__(self, clips: Sequence[Clip], *, unknown: Ears) -> None:
        self._clips = tuple(clips)
        self._matchers: dict[int, Matcher] = {}
        self._unknown = unknown

    def listen(self, rate: int, start: float, previous: Utterance | None = None) -> Utterance:
        before = previous if isinstance(previous, _ClipUtterance) else None
        return _ClipUtterance(self, self._unknown, rate, start, before)

    async def aclose(self) -> None:
        await self._unknown.aclose()

    def find(self, heard: Loudness, rate: int) -> Match | None:
        """The place in a clip that a stretch of sound at `rate` Hz is so like that it must be it."""
        sure = SURE_DB if len(heard) >= LONG_FRAMES else SURE_SHORT_DB
        known = next((known for known in SAMPLE_RATES if rate <= known), SAMPLE_RATES[-1])
        for once in reversed(SAMPLE_RATES[: SAMPLE_RATES.index(known) + 1]):
            match = self._matcher(once).find(heard)
            if match is not None and match.decibels <= sure:
                return match
        return None

    def near(self, heard: Loudness, clip: Template, offset: float) -> Match | None:
        """The place in `clip` near `offset` seconds, if the stretch is rather like it."""
        matches = (matcher.near(heard, clip, offset) for matcher in self._matchers.values())
        return next((match for match in matches if match is not None and match.decibels <= GOING_ON_DB), None)

    def _matcher(self, rate: int) -> Matcher:
        """What compares sound that once had this sample rate, made when it is first needed."""
        if rate not in self._matchers:
            self._matchers[rate] = Matcher([clip.at(rate) for clip in self._clips])
        return self._matchers[rate]


class _ClipUtterance:
    """One utterance; nothing is compared but when somebody asks for its words."""

    def __init__(self, ears: ClipEars, unknown: Ears, rate: int, start: float, previous: _ClipUtterance | None) -> None:
        self._ears = ears
        self._unknown = unknown
        self._rate = rate
        self._start = start
        self._previous = previous.match if previous is not None else None
        self._previous_start = previous._start if previous is not None else 0.0
        self._pcm: list[bytes] = []
        self._energies: list[Energies] = []
        self._recognised: Utterance | None = None
        self._words: tuple[Word, ...] = ()
        self.match: Match | None = None

    def feed(self, pcm: bytes, energies: Energies) -> None:
        if self.match is not None:
            return
        if self._recognised is not None:
            self._recognised.feed(pcm, energies)
            return
        self._pcm.append(pcm)
        self._energies.append(energies)

    async def so_far(self, at: float) -> Transcript:
        self._look()
        if self.match is not None:
            return Transcript(tuple(word for word in self._words if word.end <= at - UNHEARD_SECONDS))
        if self._recognised is None and at - self._start >= TRIES_SECONDS:
            self._recognise()
        return await self._recognised.so_far(at) if self._recognised is not None else Transcript()

    async def if_ended(self, end: float) -> Transcript:
        self._look()
        if self.match is not None:
            return self._whole(self.match, end)
        return await self.so_far(end)

    async def final(self, end: float) -> Transcript:
        self._look()
        if self.match is not None:
            return self._whole(self.match, end)
        return await self._recognise().final(end)

    def abandon(self) -> None:
        if self._recognised is not None:
            self._recognised.abandon()

    def _look(self) -> None:
        """Find the clip, if what was heard is enough to be sure of it."""
        if self.match is not None or self._recognised is not None or not self._energies:
            return
        energies = np.concatenate(self._energies)
        self._energies = [energies]
        heard: Loudness = np.sqrt(energies)
        self.match = self._going_on(heard) or self._ears.find(heard, self._rate)
        if self.match is not None:
            self._words = self._placed(self.match)
            self._pcm, self._energies = [], []

    def _going_on(self, heard: Loudness) -> Match | None:
        """The clip of the utterance before this one, if this is how it goes on."""
        if self._previous is None:
            return None
        offset = self._previous.offset + self._start - self._previous_start
        return self._ears.near(heard, self._previous.clip, offset)

    def _placed(self, match: Match) -> tuple[Word, ...]:
        """The words of the clip that come in this utterance or after it, at their times in the stream."""
        shift = self._start - match.offset
        first = _beginning(match.clip, match.offset)
        words = [word for word in match.clip.words if _well_in(word) >= first]
        return tuple(Word(word.text, word.start + shift, word.end + shift) for word in words)

    def _whole(self, match: Match, end: float) -> Transcript:
        """The words of an utterance that has ended; what the clip says before its next sound belongs to it."""
        shift = self._start - match.offset
        last = _next_sound(match.clip, end - shift) + shift
        return Transcript(tuple(word for word in self._words if _well_in(word) < last))

    def _recognise(self) -> Utterance:
        """The recogniser's utterance, which is given what was heard so far."""
        if self._recognised is None:
            self._recognised = self._unknown.listen(self._rate, self._start)
            self._recognised.feed(b"".join(self._pcm), np.concatenate(self._energies))
            self._pcm, self._energies = [], []
        return self._recognised


def _beginning(clip: Template, start: float) -> float:
    """From which second of a clip words belong to an utterance that begins at `start`: where it is the first, the
    silence before it does."""
    before = round(start / FRAME_SECONDS) - PAUSE_FRAMES
    return start - _EARLY_SECONDS if clip.sounds and clip.sounds[0] < before else 0.0


def _next_sound(clip: Template, end: float) -> float:
    """Until which second of a clip words belong to an utterance that ends at `end`: the silence after it does."""
    after = round(end / FRAME_SECONDS) + PAUSE_FRAMES
    return next((sound * FRAME_SECONDS for sound in clip.sounds if sound >= after), float("inf"))


def _well_in(word: Word) -> float:
    """When a word can be said to be heard: a recogniser's times are good for its beginning, less so for its end."""
    return word.start + (word.end - word.start) / 4
