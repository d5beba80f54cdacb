"""Signals during a call: it ends in order, and the handling that was there before comes back."""

from __future__ import annotations

import asyncio
import signal

import pytest

from story.transports.interrupts import hang_up_on_interrupt, stopped_as_interrupted


class Line:
    """A call as far as a signal is concerned."""

    def __init__(self) -> None:
        self.reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def hang_up(self, reason: str) -> None:
        self.reason.set_result(reason)


REASONS = {"SIGINT": "caller_left", "SIGTERM": "shutdown", "SIGHUP": "shutdown"}


@pytest.mark.parametrize("name", [name for name in REASONS if hasattr(signal, name)])
async def test_a_signal_ends_the_call(name: str) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)
    line = Line()
    with hang_up_on_interrupt(line):  # type: ignore[arg-type]
        signal.raise_signal(number)
        assert await asyncio.wait_for(line.reason, 5) == REASONS[name]
    assert signal.getsignal(number) == (signal.default_int_handler if name == "SIGINT" else before)


@pytest.mark.parametrize("interrupts", [signal.default_int_handler, signal.SIG_IGN])
def test_a_signal_to_stop_interrupts_even_where_ctrl_c_is_ignored(interrupts: signal.Handlers) -> None:
    before = signal.signal(signal.SIGINT, interrupts)
    try:
        with pytest.raises(KeyboardInterrupt), stopped_as_interrupted():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) == interrupts
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)
