"""How much somebody may do in how much time."""

from __future__ import annotations

import time
from collections.abc import Callable


class Budget:
    """A token bucket: `at_once` may be spent together, and `per_second` comes back."""

    def __init__(self, per_second: float, at_once: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._clock = clock
        self._left = float(at_once)
        self._since = clock()

    @property
    def full(self) -> bool:
        """Whether nothing has been spent lately."""
        self._refill()
        return self._left >= self._at_once

    def spend(self, amount: float = 1) -> bool:
        """Take so much; False, and nothing taken, where there is not so much left."""
        self._refill()
        if self._left < amount:
            return False
        self._left -= amount
        return True

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(self._at_once, self._left + (now - self._since) * self._per_second)
        self._since = now
