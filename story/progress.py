"""How a download shows on a terminal: a question first, then a bar; plain lines where there is no terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

STEP = 10  # per cent between two lines where no bar can be drawn


class TerminalProgress:
    """`story.core.registry.Progress` on standard error.

        with TerminalProgress(yes=yes) as progress:
            factory.prepare(options, progress)

    yes: take every question as answered with yes. Where standard input or standard error is no terminal, nobody can
    be asked, and the answer is yes as well; what would have been asked is printed all the same.
    """

    def __init__(self, *, yes: bool = False, console: Console | None = None) -> None:
        self.yes = yes
        self._given = console
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}
        self._percent: dict[str, int] = {}

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was; the bars stay in their last state."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            self._tasks.clear()

    def confirm(self, question: str) -> bool:
        """Ask, on a terminal; else print the question's facts and go on."""
        if self.yes or not (sys.stdin.isatty() and self._console.is_terminal):
            statement, _, asked = question.rpartition(". ")
            self._console.print(statement + "." if statement else asked, highlight=False)
            return True
        from rich.prompt import Confirm

        self.close()
        try:
            return Confirm.ask(question, console=self._console, default=True)
        except EOFError:
            return False

    def report(self, what: str, done: int, total: int) -> None:
        """Draw the bar of `what`; the first report of it starts one."""
        if not self._console.is_terminal:
            self._line(what, done, total)
            return
        if self._bars is None:
            self._bars = _bars(self._console)
            self._bars.start()
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, completed=done)
        self._bars.update(self._tasks[what], completed=done, total=total)

    def _line(self, what: str, done: int, total: int) -> None:
        percent = 100 if total <= 0 else done * 100 // total // STEP * STEP
        if percent != self._percent.get(what):
            self._percent[what] = percent
            self._console.print(f"{what}: {percent} % of {total / 1e6:.0f} MB", highlight=False, markup=False)

    @property
    def _console(self) -> Console:
        if self._given is None:
            from rich.console import Console

            self._given = Console(stderr=True, soft_wrap=True)
        return self._given


def _bars(console: Console) -> Bars:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
    )
