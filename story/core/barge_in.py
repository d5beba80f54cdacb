"""Whether a caller who makes a sound while the agent speaks wants the floor, or only listens aloud."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from story.core.acknowledgements import is_acknowledgement

TAKE_SECONDS = 0.22
"""Of voice after which the agent falls silent. Clicks are shorter."""
DECIDE_SECONDS = 0.8
"""After the voice began, when the agent goes on unless there is a reason to stay silent: so an acknowledgement leaves a
gap of 0.58 at most. By then most recognisers have told the first word of a caller who means more."""
LONGEST_ACKNOWLEDGEMENT = 1.0
"""Seconds of voice; whoever goes on longer has something to say, whether it was made out or not."""
GAP_SECONDS = 0.12
"""Of quiet that parts one burst of voice from the next; what is shorter is inside words. Stretches of 32 ms are told 20
or 40 ms apart where sound comes in frames of 20."""
OVER_SECONDS = 0.15
"""Of quiet that end a voice which went on for longer than most acknowledgements do."""
DOUBT_SECONDS = 1.0
"""In which words may still come of a voice: after the agent went on, or where it was too short for it to stop."""


class Speech(Protocol):
    """What the agent is saying."""

    @property
    def going(self) -> bool:
        """Whether the agent can be heard, and may be interrupted."""
        ...

    def pause(self) -> bool:
        """Fall silent, for now. False: it can't pause, and was interrupted."""
        ...

    def resume(self) -> None:
        """Go on from where it fell silent."""
        ...

    def interrupt(self) -> None:
        """Say no more of it."""
        ...


class Timer(Protocol):
    def cancel(self) -> None: ...


class _State(Enum):
    IDLE = auto()
    WAITING = auto()
    """The agent is silent, until a timer runs out."""
    OVERDUE = auto()
    """It ran out, but the caller's voice goes on."""
    CONCEDED = auto()
    """The voice went on for too long to be an acknowledgement."""


class BargeIn:
    """Pauses the agent at a caller's voice, and soon knows better: it goes on, or has been interrupted.

    The agent falls silent after `TAKE_SECONDS` of voice, whatever it says, as a caller who barges in has to be heard at
    once. Words that are more than an acknowledgement interrupt it, also those of a voice that was shorter. A voice that
    is over without such words after `DECIDE_SECONDS` acknowledged, or coughed, and the agent goes on. One that goes on
    holds the floor; where no words come of it, whoever owns the speech lets it go on some time later.

    clock, later: the seconds and timers of the event loop.
    """

    def __init__(
        self, speech: Speech, *, clock: Callable[[], float], later: Callable[[float, Callable[[], None]], Timer]
    ) -> None:
        self._speech = speech
        self._clock = clock
        self._later = later
        self._state = _State.IDLE
        self._began: float | None = None
        self._last_loud = 0.0
        self._loud = False
        self._resumed: float | None = None
        self._timer: Timer | None = None

    @property
    def undecided(self) -> bool:
        """Whether the agent is silent without being interrupted."""
        return self._state is not _State.IDLE

    def voice(self, began: float) -> None:
        """There is voice since `began`."""
        if not self.undecided:
            self._began, self._last_loud = began, self._clock()

    def sound(self, *, loud: bool) -> None:
        """A stretch of some 30 ms has passed, with voice or without."""
        now, self._loud = self._clock(), loud
        if not loud:
            if self._state is _State.OVERDUE and now - self._last_loud >= OVER_SECONDS:
                self._voice_over()
            return
        if not self.undecided:
            if self._began is None or now - self._last_loud > GAP_SECONDS:
                self._began = now
            if now - self._began >= TAKE_SECONDS and self._speech.going and self._speech.pause():
                self._state = _State.WAITING
                self._timer = self._later(max(0.0, self._began + DECIDE_SECONDS - now), self._time_up)
        self._last_loud = now

    def words(self, text: str) -> None:
        """The caller has said `text` so far."""
        if is_acknowledgement(text):
            return
        since = self._clock() - DOUBT_SECONDS
        late = self._resumed is not None and self._resumed > since
        short = self._began is not None and self._last_loud > since
        if self.undecided or ((late or short) and self._speech.going and self._speech.pause()):
            self._resumed = None
            self.settle()
            self._speech.interrupt()

    def settle(self) -> None:
        """The agent speaks again, or its speech has ended: nothing is left to decide."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._began, self._state = None, None, _State.IDLE

    def _time_up(self) -> None:
        if self._loud:
            self._state = _State.OVERDUE
        else:
            self._resume()

    def _voice_over(self) -> None:
        assert self._began is not None
        if self._last_loud - self._began > LONGEST_ACKNOWLEDGEMENT:
            self._state = _State.CONCEDED
        else:
            self._resume()

    def _resume(self) -> None:
        self.settle()
        self._speech.resume()
        self._resumed = self._clock()
