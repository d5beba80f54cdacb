"""The livekit session of a call, and what it survives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from livekit.agents import Agent, AgentSession, AgentStateChangedEvent, llm, stt, tts

from story.core.loudness import LastSound
from story.core.turn_taking import TurnTaking


class StagedSession(AgentSession[Any]):
    """An AgentSession that says when a handoff failed, and that a realtime model's failure does not end.

    livekit (1.8.9) switches agents in a task of its own: where the next agent can't start, the exception is only
    logged, and the session goes on without an agent that could answer. No event tells. An error of a realtime model
    closes the session at once, where one of a pipeline's models does not.

    outlives: whether the call goes on after the realtime error that it has just been told.
    """

    def __init__(
        self, *, on_failed_handoff: Callable[[Agent, Exception], None], outlives: Callable[[], bool], **options: Any
    ) -> None:
        super().__init__(**options)
        self._on_failed_handoff = on_failed_handoff
        self._outlives = outlives
        self._begun = False
        self._switches = 0
        self._turn_taking: TurnTaking | None = None
        self._last_sound: LastSound | None = None
        self.on("agent_state_changed", self._tell_turn_taking)

    @property
    def switching(self) -> bool:
        """Whether one agent still leaves, or the next is on its way: neither can be told to speak."""
        return self._switches > 0

    def end_of_speech(self, told: float) -> float:
        """When the caller was last heard, of whom it was told at `told` that they have ended (seconds since 1970)."""
        return told if self._last_sound is None else self._last_sound.ended(told)

    def _on_error(self, error: llm.LLMError | stt.STTError | tts.TTSError | llm.RealtimeModelError) -> None:
        if not (isinstance(error, llm.RealtimeModelError) and self._outlives()):
            super()._on_error(error)

    async def _update_activity(self, agent: Agent, **options: Any) -> None:
        first, self._begun = not self._begun, True
        before = self._activity
        self._switches += 1
        try:
            try:
                await super()._update_activity(agent, **options)
            except Exception:
                if before is None or self._activity is not before:
                    raise
                # A realtime model that has failed fails to close as well. It doesn't close a second time.
                await super()._update_activity(agent, **options)
        except Exception as error:
            if first:  # start() itself raises it
                raise
            self._on_failed_handoff(agent, error)
        else:
            self._turn_taking = TurnTaking.of(self._activity)
            self._last_sound = LastSound.of(self._activity)
        finally:
            self._switches -= 1

    def _tell_turn_taking(self, event: AgentStateChangedEvent) -> None:
        if self._turn_taking is not None:
            self._turn_taking.agent_state(event.new_state)
