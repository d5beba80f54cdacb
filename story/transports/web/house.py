"""The calls of a server: who comes in, who is there, and how all of them end."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from story.core.errors import StoryError
from story.core.events import CallEnded, Event
from story.transports.web.access import same

if TYPE_CHECKING:
    from story.transports.web.metrics import Metrics
    from story.transports.web.page_caller import PageCaller

logger = logging.getLogger("story.web")

SECRET_BYTES = 18
FAREWELL_SECONDS = 3.0
"""How long the calls have for their goodbyes when the server stops, which is to take less than 5 s."""
CLOSING_SECONDS = 0.6
"""How long those that are cut off then have to close what they opened, and once more to tell their pages."""


class FullError(StoryError):
    """No further call can be taken now."""


@dataclass(eq=False)
class Guest:
    """A caller, and what they need to come back to their call: its id and a secret."""

    caller: PageCaller
    id: str = field(default_factory=lambda: f"guest_{secrets.token_hex(6)}")
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(SECRET_BYTES), repr=False)


Hold = Callable[[Guest, Mapping[str, str]], Awaitable[CallEnded | None]]
"""Holds the call of a guest, given persona -> spec; None where the guest left before it began."""


class House:
    """Takes up to `max_calls` calls at once.

    hold: holds one call from its first word to its last. on_event: gets every event of every call.
    """

    def __init__(self, hold: Hold, *, max_calls: int, on_event: Callable[[Event], None] | None = None) -> None:
        self.max_calls = max_calls
        self._hold = hold
        self._on_event = on_event
        self._guests: dict[str, Guest] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    @cached_property
    def metrics(self) -> Metrics:
        from story.transports.web.metrics import Metrics  # the page is there before its import is through

        return Metrics(lambda: len(self._guests))

    @property
    def active(self) -> int:
        """How many calls there are."""
        return len(self._guests)

    @property
    def full(self) -> bool:
        return self._closing or self.active >= self.max_calls

    def let_in(self, caller: PageCaller, stacks: Mapping[str, str]) -> Guest:
        """Begin a call with this caller.

        Raises:
            FullError: there are as many calls as there may be, or the server is about to stop.
        """
        if self.full:
            self.metrics.refused("stopping" if self._closing else "full")
            why = "This server is about to stop." if self._closing else "All lines are taken: try again in a moment."
            raise FullError(why)
        guest = Guest(caller)
        self._guests[guest.id] = guest
        task = asyncio.create_task(self._host(guest, stacks), name=guest.id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return guest

    def known(self, id_: str, secret: str) -> Guest | None:
        """The guest that can tell the secret of its call, while the call lasts."""
        guest = self._guests.get(id_)
        return guest if guest and same(secret, guest.secret) else None

    def observe(self, event: Event) -> None:
        """An observer of every call."""
        self.metrics.observe(event)
        if self._on_event:
            self._on_event(event)

    async def aclose(self) -> None:
        """Say goodbye in every call and end it; take no more. Takes a few seconds at the most."""
        self._closing = True
        for guest in self._guests.values():
            guest.caller.part()
        for seconds in (FAREWELL_SECONDS, CLOSING_SECONDS, CLOSING_SECONDS):
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=seconds)
            for task in self._tasks:
                task.cancel()

    async def _host(self, guest: Guest, stacks: Mapping[str, str]) -> None:
        try:
            if await self._hold(guest, stacks) is None and guest.caller.left != "lost":
                guest.caller.send(_never_begun(guest).as_dict())
        except StoryError as error:
            logger.warning("a call could not be held: %s", error)
            self.metrics.refused("failed")
            guest.caller.send({"type": "refused", "error": str(error)})
        except Exception:
            logger.exception("a call failed")
            self.metrics.refused("failed")
            guest.caller.send({"type": "refused", "error": "something went wrong on the server; its log says what"})
        finally:
            del self._guests[guest.id]
            await guest.caller.aclose()


def _never_begun(guest: Guest) -> CallEnded:
    reason = guest.caller.left or "caller_left"
    return CallEnded(call=guest.id, t=0, reason=reason, data={}, usage={}, duration=0)
