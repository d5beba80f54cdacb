"""A text conversation in the terminal, typed or scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from livekit.agents import AgentSession

from story.core.captions import Captions
from story.transports.floor import PATIENCE_SECONDS, SETTLE_SECONDS, Floor
from story.transports.interrupts import hang_up_on_interrupt
from story.transports.keyboard import Keyboard, LineEditor
from story.transports.screen import Screen
from story.transports.subtitles import Subtitles

if TYPE_CHECKING:
    from story.core.call import Call


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
        session.output.transcription = Captions(call, Subtitles(call, session, self._screen, self._floor))

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
