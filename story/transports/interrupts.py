"""Ctrl-C during a call: the first time the caller hangs up, the second time the program stops at once.

A program that is told to stop (SIGTERM), or whose terminal is closed (SIGHUP), ends its call as well, so that what it
writes is put in order.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from story.core.call import Call


STOPS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))  # Windows lacks one


@contextmanager
def stopped_as_interrupted() -> Iterator[None]:
    """Within the block, which the main thread enters, a signal to stop does what Ctrl-C does.

    That works, too, where a shell has Ctrl-C ignored, as it does for what a script runs in the background.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *STOPS)}
    if before[signal.SIGINT] == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in STOPS:
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def hang_up_on_interrupt(call: Call) -> Iterator[None]:
    """Within the block the first SIGINT ends `call` as caller_left, and a signal to stop as shutdown.

    After the first of them, and after the block, the handling that was there before is back.
    """
    if threading.current_thread() is not threading.main_thread():  # only there signals can be had
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *STOPS)}

    def first(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else before[number])
        loop.call_soon_threadsafe(call.hang_up, "caller_left" if number == signal.SIGINT else "shutdown")

    # not loop.add_signal_handler, which Windows has not
    for number in before:
        signal.signal(number, first)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is first:
                signal.signal(number, handler)
