"""Lines between a page and the server that are worse than the loopback."""

from __future__ import annotations

import asyncio
import contextlib
import random

from tests.transports.web.client import Browser


def disturb(browser: Browser, *, loss: float, jitter: float, seed: int = 5) -> None:
    """Lose some of the packets of a page's sound, and have the others come after `jitter` seconds at most."""
    rng = random.Random(seed)
    transport = browser.connection.getSenders()[0].transport
    send = transport._send_rtp
    loop = asyncio.get_running_loop()

    async def disturbed(data: bytes) -> None:
        if rng.random() >= loss:
            loop.call_later(rng.uniform(0, jitter), lambda: tasks.append(loop.create_task(arrive(data))))

    async def arrive(data: bytes) -> None:
        with contextlib.suppress(ConnectionError):  # the page is gone by then
            await send(data)

    tasks: list[asyncio.Task[None]] = []
    transport._send_rtp = disturbed  # type: ignore[method-assign]
