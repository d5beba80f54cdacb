"""The agent's words on a screen, under the name of the persona that says them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from livekit.agents import AgentSession
from livekit.agents.voice.io import TextOutput

from story.core.events import CallEnded, CallFault, Event, Fallback, Handoff
from story.transports.floor import Floor
from story.transports.screen import Screen

if TYPE_CHECKING:
    from story.core.call import Call


class Subtitles(TextOutput):
    """Shows a call on a screen: what the agent says as it comes, handoffs, and what went wrong.

    floor: told when the agent begins and ends, where no sound does that. screen None: only the floor is told.
    """

    def __init__(
        self, call: Call, session: AgentSession[Any], screen: Screen | None, floor: Floor | None = None
    ) -> None:
        super().__init__(label="story", next_in_chain=None)
        self._call = call
        self._session = session
        self._screen = screen
        self._floor = floor
        self._shown: str | None = None
        self._open = False
        call.subscribe(self._on_event)

    async def capture_text(self, text: str) -> None:
        speech = self._session.current_speech
        if not text or (speech and speech.interrupted):  # the caller's line stands below it already
            return
        if not self._open:
            self._open = True
            if self._floor:
                self._floor.agent_began()
            if self._call.persona is not None:
                self._show_persona(self._call.persona)
        if self._screen:
            self._screen.agent(self._label(self._shown), str(text))

    def flush(self) -> None:
        if not self._open:
            return
        self._open = False
        if self._screen:
            self._screen.agent_done()
        if self._floor:
            self._floor.agent_ended(interrupted=False)

    def _on_event(self, event: Event) -> None:
        if self._screen is None:
            return
        match event:
            case Handoff():  # also that of a persona that takes over without a word
                self._show_persona(event.to)
            case Fallback():
                self._screen.notice(f"-- {event.from_} failed, going on with {event.to} --")
            case CallFault(recoverable=False):
                self._screen.notice(f"-- error in {event.provider or event.where}: {event.message} --")
            case CallEnded():
                self._screen.close()

    def _show_persona(self, persona: str) -> None:
        before, self._shown = self._shown, persona
        if self._screen and before is not None and before != persona:
            self._screen.notice(f"-- {self._label(before)} hands over to {self._label(persona)} --")

    def _label(self, persona: str | None) -> str:
        if persona is None:
            return "agent"
        return f"{self._call.chain.personas[persona].name} ({persona})"
