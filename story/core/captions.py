"""What the agent says, word by word, as events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from livekit.agents.voice.io import TextOutput

from story.core import events

if TYPE_CHECKING:
    from story.core.call import Call


class Captions(TextOutput):
    """The last text output of a transport: tells the call what the agent has said so far in this turn.

    Behind a TranscriptSynchronizer the words come as they are heard.
    """

    def __init__(self, call: Call, next_in_chain: TextOutput | None = None) -> None:
        super().__init__(label="captions", next_in_chain=next_in_chain)
        self._call = call
        self._text = ""
        self._flushed = True
        self._over = True
        call.subscribe(self._on_event)

    async def capture_text(self, text: str) -> None:
        if self._flushed:
            # a turn that waits for its next sentence is flushed, too, and goes on after that
            self._text = "" if self._over else f"{self._text.rstrip()} "
            self._flushed = self._over = False
        self._text += text
        if self._text.strip():
            self._call.tell(events.Partial, who="agent", text=self._text.strip())
        if self.next_in_chain:
            await self.next_in_chain.capture_text(text)

    def flush(self) -> None:
        self._flushed = True
        if self.next_in_chain:
            self.next_in_chain.flush()

    def _on_event(self, event: events.Event) -> None:
        match event:
            case events.AgentTurn():
                self._over = True
            case events.StateChanged(agent=agent) if agent != "speaking":
                self._over = True
