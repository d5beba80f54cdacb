"""A conversation on a terminal: replies as they stream in, and under them the line that the caller types."""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

YOU = "You > "
INDENT = "  "


class Screen:
    """Writes lines of conversation to `console`. Whatever comes while the caller types goes above their line."""

    def __init__(self, console: Console, *, prompts: bool) -> None:
        """`prompts`: show the caller's line and keep it at the bottom (only where someone types)."""
        self._console = console
        self._prompts = prompts and console.is_terminal and not console.is_dumb_terminal
        self._typed = ""
        self._prompt_rows = 0  # rows that the prompt takes up now; 0: it is not shown
        self._speaker: str | None = None
        self._column = 0
        self._word = ""

    def agent(self, speaker: str, delta: str) -> None:
        """More of what `speaker` says."""
        if self._speaker != speaker:
            self.agent_done()
            self._hide_prompt()
            self._speaker = speaker
            self._write(f"{speaker} > ", "bold cyan")
            self._column = cell_len(speaker) + 3
        *whole, self._word = re.split(r"(?<=\s)(?=\S)", self._word + _printable(delta))
        for word in whole:
            self._put(word)

    def agent_done(self) -> None:
        """What the speaker had to say is said."""
        if self._speaker is None:
            return
        self._put(self._word.rstrip())
        self._word = ""
        self._speaker = None
        self._write("\n")
        self._show_prompt()

    def caller(self, text: str) -> None:
        """What the caller said, in one line."""
        self.agent_done()
        self._hide_prompt()
        self._typed = ""
        self._write(YOU, "bold green")
        self._column = len(YOU)
        for word in re.split(r"(?<=\s)(?=\S)", _printable(text).strip()):
            self._put(word)
        self._write("\n")
        self._show_prompt()

    def notice(self, text: str) -> None:
        """Something that nobody said."""
        self.agent_done()
        self._hide_prompt()
        self._console.print(Text(_printable(text), style="dim"))
        self._show_prompt()

    def typed(self, text: str) -> None:
        """The caller's line reads `text` now. While the agent speaks it is kept back until there is room for it."""
        self._typed = text
        if self._speaker is None:
            self._hide_prompt()
            self._show_prompt()

    def close(self) -> None:
        """Leave the cursor at the start of an empty line."""
        self._prompts = False
        self.agent_done()
        self._hide_prompt()

    def _put(self, word: str) -> None:
        """A word and the white space after it, on the next line where it does not fit on this one."""
        bare = word.rstrip()
        if self._column + cell_len(bare) > self._console.width and self._column > len(INDENT):
            self._break()
        breaks = word[len(bare) :].count("\n")
        shown = bare if breaks else word
        self._write(shown[: len(bare)] + " " * (len(shown) - len(bare)))
        self._column += cell_len(shown)
        if breaks:
            self._break()

    def _break(self) -> None:
        self._write("\n" + INDENT)
        self._column = len(INDENT)

    def _show_prompt(self) -> None:
        if not self._prompts:
            return
        self._write(YOU, "bold green")
        self._write(self._typed)
        # a line that fills its last column leaves the cursor there, still in that row
        self._prompt_rows = max(1, -(-(len(YOU) + cell_len(self._typed)) // self._console.width))

    def _hide_prompt(self) -> None:
        if not self._prompt_rows:
            return
        erase = [(ControlType.ERASE_IN_LINE, 2)]
        self._console.control(Control(ControlType.CARRIAGE_RETURN))
        for _ in range(self._prompt_rows - 1):
            self._console.control(Control(*erase, (ControlType.CURSOR_UP, 1)))
        self._console.control(Control(*erase))
        self._prompt_rows = 0

    def _write(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), end="", soft_wrap=True)


def _printable(text: str) -> str:
    """`text` without what could steer the terminal: escape sequences lose their escape."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t ")
