"""How long a silence has to be before the caller's turn is over."""

from __future__ import annotations

from collections.abc import Callable

from livekit.agents.voice.endpointing import BaseEndpointing

from story.core.sentences import Ending, ending

UNCLEAR_SECONDS = 1.2
"""After words that may not be a whole sentence, from a recogniser that sets full stops."""
UNPUNCTUATED_SECONDS = 0.7
"""The same from one that sets none: nearly every turn ends so."""
UNFINISHED_SECONDS = 2.0
"""After words that break off."""
_HABIT = 3
"""So many turns of the other kind change what is believed of a recogniser's full stops for good."""


class WordsEndpointing(BaseEndpointing):
    """Waits for more by the words that the caller has said last.

    finished: seconds after a whole sentence. words: those of the turn so far. detector: whether a model judges the
    sound; words that are not clear are then left to it.
    """

    def __init__(self, finished: float, words: Callable[[], str], *, detector: bool) -> None:
        super().__init__(min_delay=finished, max_delay=max(finished, UNFINISHED_SECONDS))
        self._words = words
        self._detector = detector
        self._stops = 0
        """Turns that ended with a full stop, less those that did not."""

    @property
    def min_delay(self) -> float:
        """Seconds to wait, unless a detector takes the turn to be unfinished."""
        match ending(self._words()):
            case Ending.FINISHED:
                return self._min_delay
            case Ending.UNFINISHED:
                return self._max_delay
        if self._detector:
            return self._min_delay
        return max(self._min_delay, UNPUNCTUATED_SECONDS if self._stops < 0 else UNCLEAR_SECONDS)

    @property
    def max_delay(self) -> float:
        """Seconds to wait where a detector does so. It knows no words: less than that after a whole sentence."""
        finished = ending(self._words()) is Ending.FINISHED
        return max(self._min_delay, UNCLEAR_SECONDS) if finished else self._max_delay

    def turn_over(self, words: str) -> None:
        """A turn has ended with `words`, which tells whether this recogniser sets full stops."""
        match ending(words):
            case Ending.FINISHED:
                self._stops = min(self._stops + 1, _HABIT)
            case Ending.UNCLEAR:
                self._stops = max(self._stops - 1, -_HABIT)
