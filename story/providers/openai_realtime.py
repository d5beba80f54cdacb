"""OpenAI's realtime model, with a session that is opened before anybody asks for it."""

from __future__ import annotations

import asyncio
import contextlib

from livekit.agents import llm
from livekit.plugins.openai import realtime

CLOSE_SECONDS = 1.0
"""For the vendor's half of the closing handshake of a session that nobody has used."""


class RealtimeModel(realtime.RealtimeModel):
    """The plugin's model, which can open its next session ahead.

    The session that waits is the plugin's own: it renews its connection after `max_session_duration`, before the vendor
    ends it, and costs nothing as long as nobody speaks.
    """

    _waiting: realtime.RealtimeSession | None = None
    _closing: frozenset[asyncio.Task[None]] = frozenset()

    def preconnect(self) -> None:
        """Open the session that `session()` will return next, unless one waits already."""
        if self._waiting is None:
            self._waiting = super().session()
            self._waiting.on("error", self._discard)

    def session(self, *, turn_detection_disabled: bool = False) -> realtime.RealtimeSession:
        waiting = self._waiting
        if waiting is None or turn_detection_disabled:  # the one that waits was opened with it
            return super().session(turn_detection_disabled=turn_detection_disabled)
        self._waiting = None
        waiting.off("error", self._discard)
        return waiting

    async def aclose(self) -> None:
        self._discard()
        await asyncio.gather(*self._closing)
        await super().aclose()

    def _discard(self, error: llm.RealtimeModelError | None = None) -> None:
        """Close the session that waits. What went wrong with it is nobody's business: whoever needs one opens
        another, and meets the error there if it lasts."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.off("error", self._discard)
            task = asyncio.create_task(_close(waiting))
            self._closing |= {task}
            task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing -= {task}


async def _close(session: realtime.RealtimeSession) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_SECONDS):
            await session.aclose()
