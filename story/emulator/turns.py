"""Where a caller's turn ends: soon after words that are a whole sentence, late after those that want to go on.

The vendors' models listen to both the words and the voice; this one reads the words alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from story.emulator.hearing import FRAME_SECONDS, Ended, Heard, Paused, Resumed
from story.emulator.recogniser import SILENCE_SECONDS, Recogniser

END_SECONDS = 0.4
"""Of silence after a whole sentence that end a turn at the vendors' usual thresholds."""
NEVER = 3600.0
"""Seconds of silence for a listener whose utterances something else ends."""
_PIECE_SECONDS = 0.05
_ASK_SECONDS = 0.1
"""Between two looks at words that weren't finished: a recogniser may have lagged behind."""
_GOES_ON = frozenset(
    {
        *("and", "but", "or", "nor", "because", "although", "unless"),
        *("the", "a", "an", "my", "your", "our", "their"),
        *("um", "uh", "uhm", "er", "erm"),
    }
)


def unfinished(text: str) -> bool:
    """Whether `text` wants to go on: it ends in a word that does, in a comma or dots, or in the middle of a sentence.

    Without a single capital it comes from somebody who writes no sentences, and only its last word tells.
    """
    text = text.rstrip("\"')]»” ")
    bare = text.rstrip(".")
    goes_on = bare.rpartition(" ")[2] in _GOES_ON or bare.lower() in _GOES_ON
    if not text or goes_on or text.endswith(("..", "…", ",", ":", ";", "-", "–")):
        return bool(text)
    return text != text.lower() and not text.endswith((".", "?", "!", "。", "？", "！"))


def silence_for(confidence: float, *, usual: float) -> float:
    """Seconds of silence after a whole sentence by which it is that sure (0 to 1) that the turn is over.

    usual: the vendor's own threshold, which END_SECONDS stand for.
    """
    if confidence >= 1:
        return NEVER
    return max(SILENCE_SECONDS, END_SECONDS * math.log(1 - confidence) / math.log(1 - usual))


@dataclass(frozen=True)
class Patience:
    """Seconds of silence that end a turn. finished: after a whole sentence. longest: after anything.

    eager: after a whole sentence, by which it is told that the turn may have ended; None: it isn't told.
    """

    finished: float
    longest: float
    eager: float | None = None


@dataclass
class Turns(Recogniser):
    """A recogniser whose utterances are turns. Its listener ends none by itself (NEVER) and tells of pauses."""

    patience: Patience = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._pause: Paused | None = None
        self._told = False
        self._ask = 0.0

    async def take(self, pcm: bytes) -> None:
        """More sound, s16le mono, heard a little at a time: what the words of a pause are decides what follows."""
        at = 0
        while at < len(pcm):
            seconds = FRAME_SECONDS if self._pause is not None else _PIECE_SECONDS
            size = 2 * round(self.listener.rate * seconds)
            self.hear(pcm[at : at + size])
            at += size
            if self._pause is not None:
                await self._judge(self._pause)

    def _take(self, event: Heard, *, asked: bool = False) -> None:
        if isinstance(event, Paused):
            self._pause, self._told, self._ask = event, False, 0.0
            return
        if isinstance(event, Resumed):
            self._pause = None
            if not self._told:
                return
        elif isinstance(event, Ended):
            self._pause = None
        super()._take(event, asked=asked)

    async def _judge(self, pause: Paused) -> None:
        quiet = self.listener.now - pause.end + FRAME_SECONDS / 2
        if quiet >= self.patience.longest:
            self._end()
            return
        steps = (
            [self.patience.finished] if self.patience.eager is None else [self.patience.eager, self.patience.finished]
        )
        if quiet < max(self._ask, min(steps)):
            return
        self._ask = next((step for step in steps if step > quiet), quiet + _ASK_SECONDS)
        if unfinished((await pause.utterance.if_ended(pause.end)).text):
            return
        if quiet >= self.patience.finished:
            self._end()
        elif not self._told:
            self._told = True
            super()._take(replace(pause, quiet=self.listener.now - pause.end))

    def _end(self) -> None:
        for event in self.listener.flush():
            self._take(event)
