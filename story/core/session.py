"""The livekit session of a call, and what it tells in the words of `story`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from livekit.agents import Agent, AgentSession


class StagedSession(AgentSession[Any]):
    """An AgentSession that says when a handoff failed.

    livekit (1.8.9) switches agents in a task of its own: where the next agent can't start, the exception is only
    logged, and the session goes on without an agent that could answer. No event tells.
    """

    def __init__(self, *, on_failed_handoff: Callable[[Agent, Exception], None], **options: Any) -> None:
        super().__init__(**options)
        self._on_failed_handoff = on_failed_handoff
        self._begun = False

    async def _update_activity(self, agent: Agent, **options: Any) -> None:
        first, self._begun = not self._begun, True
        try:
            await super()._update_activity(agent, **options)
        except Exception as error:
            if first:  # start() itself raises it
                raise
            self._on_failed_handoff(agent, error)
