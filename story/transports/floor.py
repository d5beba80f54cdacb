"""Whose turn it is in a scripted conversation."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession, AgentStateChangedEvent, ConversationItemAddedEvent

SETTLE_SECONDS = 0.4
"""How long the agent has to be silent and listening before we believe that it has finished."""

PATIENCE_SECONDS = 20.0
"""How long an agent may neither speak nor be spoken to before its answer is given up."""


class Floor:
    """Follows who speaks, and tells a scripted caller when the agent has answered and fallen silent.

    An answer is what the agent begins after the caller's turn began and brings to its end after the caller's turn
    ended. So neither the rest of a sentence that the caller broke into, nor a reply to half a turn, counts. After a
    handoff the next persona has to speak first.
    """

    def __init__(
        self,
        *,
        settle: float = SETTLE_SECONDS,
        patience: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settle = settle
        self._patience = patience
        self._clock = clock
        self._listening = False
        self._caller_speaks = False
        self._agent_speaks = False
        self.answering = False
        self._answered = False
        self._since = clock()
        self._changed = asyncio.Event()

    def watch(self, session: AgentSession[Any]) -> None:
        """Follow the agent's state and its handoffs; who plays its speech reports that with the methods below."""
        session.on("agent_state_changed", self._on_state)
        session.on("conversation_item_added", self._on_item)

    def caller_began(self) -> None:
        self._caller_speaks = True
        self._answered = self.answering = False
        self._touch()

    def caller_ended(self) -> None:
        self._caller_speaks = False
        self._touch()

    def agent_began(self) -> None:
        self._agent_speaks = self.answering = True
        self._touch()

    def agent_ended(self, *, interrupted: bool) -> None:
        self._agent_speaks = False
        if self.answering and not interrupted and not self._caller_speaks:
            self._answered = True
        self.answering = False
        self._touch()

    async def until_free(self) -> bool:
        """Return when the caller may speak: True after an answer, False when patience ran out."""
        while (left := self._left()) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                # not wait_for: before Python 3.12 it loses a cancellation that comes together with a change
                async with asyncio.timeout(None if math.isinf(left) else left):
                    await self._changed.wait()
        return self._answered

    def _left(self) -> float:
        """Seconds that have to pass without any change until the floor is free."""
        if self._caller_speaks or self._agent_speaks:
            return math.inf
        needed = self._settle if self._answered and self._listening else self._patience
        return self._since + needed - self._clock()

    def _touch(self) -> None:
        self._since = self._clock()
        self._changed.set()

    def _on_state(self, event: AgentStateChangedEvent) -> None:
        self._listening = event.new_state == "listening"
        self._touch()

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        if event.item.type == "agent_handoff" and event.item.old_agent_id is not None:
            self._answered = False
            self._touch()
