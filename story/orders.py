"""What whoever runs a server tells it: to end, and to hurry."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from story.transports.interrupts import STOPS


@dataclass(frozen=True)
class Orders:
    """To end when the calls have ended, and to end them."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    hurry: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def by_signal(self) -> Iterator[None]:
        """Within the block the first SIGINT, SIGTERM or SIGHUP gives one, the second the other."""
        loop = asyncio.get_running_loop()
        given: list[signal.Signals] = []
        for name in (signal.SIGINT, *STOPS):
            if name.name == "SIGHUP" and signal.getsignal(name) == signal.SIG_IGN:  # as `nohup` has it
                continue
            try:
                loop.add_signal_handler(name, self._on_signal)
            except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt there
                break
            given.append(name)
        try:
            yield
        finally:
            for name in given:
                loop.remove_signal_handler(name)

    def _on_signal(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()
