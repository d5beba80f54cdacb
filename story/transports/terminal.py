"""A text conversation in the terminal, typed or scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from livekit.agents import AgentSession
from livekit.agents.voice.io import TextOutput

from story.core.events import Event, Handoff
from story.transports.floor import PATIENCE_SECONDS, SETTLE_SECONDS, Floor
from story.transports.interrupts import hang_up_on_interrupt
from story.transports.keyboard import Keyboard, LineEditor
from story.transports.screen import Screen

if TYPE_CHECKING:
    from story.core.call import Call


class Subtitles(TextOutput):
    """Shows the agent's words on a screen under the name of the persona that says them, and each handoff."""

    def __init__(self, call: Call, screen: Screen | None, floor: Floor | None = None) -> None:
        super().__init__(label="story", next_in_chain=None)
        self._call = call
        self._screen = screen
        self._floor = floor
        self._shown: str | None = None
        self._open = False

    async def capture_text(self, text: str) -> None:
        if not text:
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

    def on_event(self, event: Event) -> None:
        """Also a persona that takes over without a word is shown."""
        if isinstance(event, Handoff):
            self._show_persona(event.to)

    def _show_persona(self, persona: str) -> None:
        before, self._shown = self._shown, persona
        if self._screen and before is not None and before != persona:
            self._screen.notice(f"-- {self._label(before)} hands over to {self._label(persona)} --")

    def _label(self, persona: str | None) -> str:
        if persona is None:
            return "agent"
        return f"{self._call.chain.personas[persona].name} ({persona})"


class TerminalTransport:
    """Talks with whoever sits at the terminal; text only.

    say: turns to say in this order, each when the agent has finished, instead of reading the keyboard. A pipe or a
        file as stdin is read as such a script too, line by line. After the last turn has been answered the caller
        hangs up, unless the chain has ended by then.
    screen: where the conversation is shown; None: nowhere (something else prints the call's events).

    At a terminal a typed line interrupts the agent; Ctrl-D hangs up, Ctrl-C too (twice: at once).
    """

    name = "terminal"
    audio = False

    def __init__(
        self,
        *,
        screen: Screen | None = None,
        say: Sequence[str] | None = None,
        keyboard: Keyboard | None = None,
        patience: float = PATIENCE_SECONDS,
        settle: float = SETTLE_SECONDS,
    ) -> None:
        self._screen = screen
        self._say = say
        self._keyboard = keyboard
        self._patience = patience
        self._settle = settle

    async def attach(self, call: Call, session: AgentSession[Any]) -> None:
        self._call = call
        self._floor = Floor(settle=self._settle, patience=self._patience)
        self._floor.watch(session)
        subtitles = Subtitles(call, self._screen, self._floor)
        call.subscribe(subtitles.on_event)
        session.output.transcription = subtitles

    async def run(self) -> None:
        with hang_up_on_interrupt(self._call):
            if self._say is not None:
                await self._recite(self._say)
            else:
                keyboard = self._keyboard or Keyboard()
                await (self._type(keyboard) if keyboard.terminal else self._read(keyboard))
            self._call.hang_up()
            await asyncio.Event().wait()  # the call cancels us: until then Ctrl-C keeps its meaning

    async def aclose(self) -> None:
        if self._screen:
            self._screen.close()

    async def _recite(self, turns: Sequence[str]) -> None:
        for turn in turns:
            await self._floor.until_free()
            self._turn(turn)
        await self._floor.until_free()

    async def _read(self, keyboard: Keyboard) -> None:
        async for line in keyboard.lines():
            if line.strip():
                await self._floor.until_free()
                self._turn(line.strip())
        await self._floor.until_free()

    async def _type(self, keyboard: Keyboard) -> None:
        editor = LineEditor()
        # without a screen to draw the line on, the terminal itself has to
        with keyboard.raw() if self._screen else nullcontext():
            if self._screen:
                self._screen.typed("")
            async for keys in keyboard.text():
                for line in editor.feed(keys):
                    if line.strip():
                        self._turn(line.strip())
                if editor.ended:
                    return
                if self._screen:
                    self._screen.typed(editor.text)

    def _turn(self, text: str) -> None:
        if self._screen:
            self._screen.caller(text)
        self._floor.caller_began()
        self._floor.caller_ended()
        self._call.say(text)
