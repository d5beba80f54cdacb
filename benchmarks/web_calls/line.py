"""A bad line: packets that get lost or come late on their way from the caller."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from aiortc import RTCPeerConnection

RTCP_TYPES = range(192, 224)
"""The second byte of a packet that reports instead of carrying sound (RFC 5761)."""


@dataclass
class Line:
    """loss: share of the packets that are dropped. jitter: seconds that a packet is held back at most."""

    loss: float = 0.0
    jitter: float = 0.0
    seed: int = 1
    dropped: int = 0
    sent: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def take(self, connection: RTCPeerConnection) -> None:
        """Send what this connection sends by this line from now on."""
        transport = connection.getSenders()[0].transport
        whole: Callable[[bytes], Awaitable[None]] = transport._send_rtp
        rng = random.Random(self.seed)

        async def send(data: bytes) -> None:
            if data[1] in RTCP_TYPES:
                return await whole(data)
            self.sent += 1
            if rng.random() < self.loss:
                self.dropped += 1
                return None
            if not self.jitter:
                return await whole(data)
            task = asyncio.create_task(self._late(whole, data, rng.random() * self.jitter))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return None

        transport._send_rtp = send

    @staticmethod
    async def _late(whole: Callable[[bytes], Awaitable[None]], data: bytes, seconds: float) -> None:
        await asyncio.sleep(seconds)
        with contextlib.suppress(ConnectionError):
            await whole(data)
