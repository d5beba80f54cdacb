"""What the caller types, without ever blocking the event loop: keys from a terminal, lines from a pipe or a file."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]

END_OF_INPUT = "\x04"  # Ctrl-D
ESCAPE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.?)")


class Keyboard:
    """Text from a file descriptor (stdin), as it comes.

    `keys`: it is a terminal that hands over single keys, unechoed; else whole lines come, as with a pipe.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._fd = descriptor if descriptor is not None else sys.stdin.fileno() if sys.stdin else -1
        self.terminal = os.isatty(self._fd)
        self.keys = self.terminal and termios is not None

    @contextmanager
    def raw(self) -> Iterator[None]:
        """Have the terminal pass each key on at once, without writing it; Ctrl-C stays a signal."""
        if not self.keys:
            yield
            return
        before = termios.tcgetattr(self._fd)
        unechoed = termios.tcgetattr(self._fd)
        unechoed[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(self._fd, termios.TCSADRAIN, unechoed)
        try:
            yield
        finally:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)

    async def text(self) -> AsyncIterator[str]:
        """Pieces of text, until the input ends. Nothing is read before it is asked for."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while piece := await self._piece():
            yield decoder.decode(piece)

    async def lines(self) -> AsyncIterator[str]:
        """Whole lines without their ends, the last one also where the input ends within it."""
        rest = ""
        async for piece in self.text():
            *whole, rest = (rest + piece).split("\n")
            for line in whole:
                yield line.rstrip("\r")
        if rest:
            yield rest

    async def _piece(self) -> bytes:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(self._fd, _resolve, ready)
        except (PermissionError, ValueError):  # a plain file, which never blocks; no stdin at all
            return self._read()
        except NotImplementedError:  # Windows
            return await self._piece_from_thread(loop)
        try:
            await ready
        finally:
            loop.remove_reader(self._fd)
        return self._read()

    async def _piece_from_thread(self, loop: asyncio.AbstractEventLoop) -> bytes:
        """Read in a thread that a call which has ended may leave behind."""
        read: list[bytes] = []
        ready: asyncio.Future[None] = loop.create_future()

        def wait() -> None:
            read.append(self._read())
            with suppress(RuntimeError):  # the loop has closed meanwhile
                loop.call_soon_threadsafe(_resolve, ready)

        threading.Thread(target=wait, daemon=True).start()
        await ready
        return read[0]

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 4096)
        except OSError:  # the terminal is gone
            return b""


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class LineEditor:
    """The line under the cursor: typing at its end, backspace, Ctrl-W, Ctrl-U, Enter, Ctrl-D on an empty line."""

    def __init__(self) -> None:
        self.text = ""
        self.ended = False

    def feed(self, keys: str) -> list[str]:
        """Take keys; returns the lines they completed."""
        lines: list[str] = []
        for key in ESCAPE.sub("", keys):
            if key in "\r\n":
                lines.append(self.text)
                self.text = ""
            elif key in "\x7f\b":
                self.text = self.text[:-1]
            elif key == "\x15":
                self.text = ""
            elif key == "\x17":
                self.text = re.sub(r"\S+\s*$", "", self.text)
            elif key == END_OF_INPUT:
                if not self.text:
                    self.ended = True
                    break
            elif key.isprintable():
                self.text += key
        return lines
