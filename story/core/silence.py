"""A caller who falls silent is asked once whether they are still there, and then let go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class SilenceWatch:
    """Counts the seconds in which neither side makes a sound.

    on_silence: called with the number of the silence (0: ask, 1: give up) each time `wait()` seconds have passed
    without a sound. `wait` is asked anew each time, as personas differ; None switches the watch off.
    """

    def __init__(self, wait: Callable[[], float | None], on_silence: Callable[[int], None]) -> None:
        self._wait = wait
        self._on_silence = on_silence
        self._timer: asyncio.TimerHandle | None = None
        self._silences = 0
        self._owed = 0.0
        self._quiet = {"agent": True, "caller": True}
        self._held = self._stopped = False

    def agent(self, *, quiet: bool) -> None:
        """The agent fell quiet, or began to speak or think."""
        self._quiet["agent"], self._owed = quiet, 0.0
        self._rearm()

    def caller(self, *, quiet: bool, owed: float = 0.0) -> None:
        """The caller fell quiet, or began to speak.

        owed: seconds that an agent which does not say that it thinks may take to begin an answer. Its silence is not
        the caller's.
        """
        self._quiet["caller"], self._owed = quiet, owed
        self._rearm()

    def answered(self) -> None:
        """The caller said something: the next silence is the first again."""
        self._silences = 0
        self._rearm()

    def hold(self, held: bool) -> None:
        """While held (the caller types, or is muted), silence means nothing."""
        self._held = held
        self._rearm()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped = True
        self._rearm()

    def _rearm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        seconds = self._wait()
        if seconds is not None and not (self._held or self._stopped) and all(self._quiet.values()):
            self._timer = asyncio.get_running_loop().call_later(seconds + self._owed, self._silent)

    def _silent(self) -> None:
        self._timer = None
        self._silences += 1
        self._on_silence(self._silences - 1)
