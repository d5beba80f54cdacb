"""Both ends of one call that is held over a transport."""

from __future__ import annotations

from typing import Protocol

from story.bench.transports.earpiece import Earpiece
from story.core.errors import StoryError
from story.core.transport import Transport
from story.transports.sound import Samples

CONNECT_SECONDS = 10.0
"""Until both ends have found each other."""


class NotConnected(StoryError):
    """The two ends of a call did not find each other."""


class Connection(Protocol):
    """A call's way over a transport. agent: the product's own end of it. ear: where the caller hears."""

    agent: Transport
    ear: Earpiece

    async def connect(self) -> None:
        """Bring both ends together; returns once what one says can be heard by the other.

        Raises:
            NotConnected: they did not find each other.
        """

    def send(self, caller: Samples) -> None:
        """What the caller's microphone heard in the last 20 ms; called in real time, silence and all."""

    async def aclose(self) -> None:
        """Close both ends; also where `connect` failed, or was never called."""
