"""Standard output while a call runs: where it can't be written any more, the call is ended and the reason told."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, BinaryIO, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Buffer

Result = TypeVar("Result")


class Output(io.RawIOBase):
    """Writes on to `target` (None: to nowhere) until that fails once; what failed is kept in `failure`.

    Nothing is raised from a write: it comes in the middle of a model's answer, where nobody could do anything about it.
    """

    def __init__(self, target: BinaryIO | None) -> None:
        self._target = target
        self.failure: OSError | None = None
        self.on_failure: Callable[[], object] | None = None

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._target is not None and self._target.isatty()

    def fileno(self) -> int:
        if self._target is None:
            raise io.UnsupportedOperation("fileno")
        return self._target.fileno()

    def write(self, data: Buffer, /) -> int:
        written = bytes(data)
        if self._target is not None and self.failure is None:
            try:
                self._target.write(written)
                self._target.flush()
            except OSError as error:
                self.failure = error
                if self.on_failure is not None:
                    self.on_failure()
        return len(written)


@contextmanager
def watched_output() -> Iterator[Output]:
    """Within the block, standard output is an `Output`; a character that it has no code for is escaped."""
    standard = sys.stdout
    output = Output(standard.buffer if standard is not None else None)
    encoding = standard.encoding if standard is not None else "utf-8"
    text = io.TextIOWrapper(io.BufferedWriter(output), encoding, "backslashreplace", line_buffering=True)
    with redirect_stdout(text):
        try:
            yield output
        finally:
            text.flush()
            text.detach().detach()  # or collecting them would close what they stand on


async def while_it_can_be_written(output: Output, call: Coroutine[None, None, Result]) -> Result:
    """Await `call`; a failure of `output` cancels it. Raises that failure (OSError) once the call has ended."""
    running = asyncio.ensure_future(call)
    output.on_failure = running.cancel
    try:
        result = await running
    except asyncio.CancelledError:
        if output.failure is None:
            raise
    if output.failure is not None:
        raise output.failure
    return result
