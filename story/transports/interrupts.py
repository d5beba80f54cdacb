"""Ctrl-C during a call: the first time the caller hangs up, the second time the program stops at once."""

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


@contextmanager
def hang_up_on_interrupt(call: Call) -> Iterator[None]:
    """Within the block the first SIGINT ends `call` as caller_left; after it Python's own handling is back."""
    if threading.current_thread() is not threading.main_thread():  # only there signals can be had
        yield
        return
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT)

    def first(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        loop.call_soon_threadsafe(call.hang_up)

    # not loop.add_signal_handler, which Windows has not
    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is first:
            signal.signal(signal.SIGINT, before)
