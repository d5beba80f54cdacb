"""What carries one call's sound and messages between a page and us, whichever way that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from story.transports.sound import Samples


class Ends(Protocol):
    """Our end of a call, as a carrier sees it. All of it is called on the event loop."""

    caller_rate: int
    """Hz of the caller's sound."""
    agent_rate: int
    """Hz of the agent's sound."""

    def pull(self, count: int) -> Samples:
        """The next `count` samples for the caller to hear. Called in real time, silence and all."""

    def push(self, samples: Samples) -> None:
        """What the caller's microphone heard."""

    def connected(self) -> None:
        """The sound flows from now on; also where it does again after `lost`."""

    def message(self, text: str) -> None:
        """The page said something, in JSON it is to be hoped."""

    def lost(self, why: str) -> None:
        """The page is gone, or can't be reached. Not called after `aclose`."""


class Carrier(Protocol):
    """One connection to a page."""

    name: str
    """"webrtc" or "socket"."""

    def send(self, message: Mapping[str, object]) -> None:
        """Have the page get a message, if it is still there."""

    def clear(self) -> None:
        """Have the page throw away what it has not played yet."""

    def recall(self) -> Sequence[Mapping[str, object]]:
        """Take back what is waiting for a connection that has not come about, for another to send."""

    async def aclose(self) -> None:
        """Say goodbye to the page: what was sent has reached it by then, or never will."""
