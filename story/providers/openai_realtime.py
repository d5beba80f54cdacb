"""OpenAI's realtime model, with a session that is opened before anybody asks for it, and asks twice if it has to."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from livekit.agents import llm
from livekit.plugins.openai import realtime
from openai.types import realtime as wire

CLOSE_SECONDS = 1.0
"""For the vendor's half of the closing handshake of a session that nobody has used."""
ANSWERS_ALREADY = "conversation_already_has_active_response"


class RealtimeSession(realtime.RealtimeSession):
    """The plugin's session, which asks again for an answer that met another one.

    The vendor gives one answer at a time, and begins one by itself whenever it finds that the caller has ended. What is
    asked for at that moment, before word of the vendor's own answer is here, is refused: a greeting or a goodbye would
    never be said, and what was typed never be answered. It is the later of the two, so the vendor's own is cancelled
    for it. The caller's turn stays in the conversation.
    """

    def __init__(self, model: realtime.RealtimeModel, *, turn_detection_disabled: bool = False) -> None:
        self._asked: dict[str, wire.ResponseCreateEvent] = {}
        self._refused: list[wire.ResponseCreateEvent] = []
        super().__init__(model, turn_detection_disabled=turn_detection_disabled)

    def generate_reply(self, **options: Any) -> asyncio.Future[llm.GenerationCreatedEvent]:
        """As the plugin's, which fails what is pending once the session has ended, but has what is asked for later
        wait for ten seconds."""
        reply = super().generate_reply(**options)
        if self._main_atask.done() and not reply.done():
            reply.set_exception(llm.RealtimeError("the realtime session has ended"))
        return reply

    def send_event(self, event: wire.RealtimeClientEvent | dict[str, Any]) -> None:
        if isinstance(event, wire.ResponseCreateEvent) and event.event_id:
            waiting = self._response_created_futures
            self._asked = {id_: asked for id_, asked in self._asked.items() if id_ in waiting}
            self._asked[event.event_id] = event
        super().send_event(event)

    def _handle_error(self, event: wire.RealtimeErrorEvent) -> None:
        asked = event.error.event_id
        if event.error.code != ANSWERS_ALREADY:
            super()._handle_error(event)
        elif asked is None:  # the vendor's own answer, while one that we asked for is under way
            self._refused.append(wire.ResponseCreateEvent(type="response.create"))
        elif asked in self._response_created_futures:  # or else nobody waits for it any more
            self._refused.append(self._asked[asked])
            self.send_event(wire.ResponseCancelEvent(type="response.cancel"))

    def _handle_response_done(self, event: wire.ResponseDoneEvent) -> None:
        super()._handle_response_done(event)
        refused, self._refused = self._refused, []
        for asked in refused:
            if asked.event_id is None or asked.event_id in self._response_created_futures:
                self.send_event(asked)


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
            self._waiting = self._open()
            self._waiting.on("error", self._discard)

    def session(self, *, turn_detection_disabled: bool = False) -> realtime.RealtimeSession:
        waiting = self._waiting
        if waiting is None or turn_detection_disabled:  # the one that waits was opened with it
            return self._open(turn_detection_disabled=turn_detection_disabled)
        self._waiting = None
        waiting.off("error", self._discard)
        return waiting

    def _open(self, *, turn_detection_disabled: bool = False) -> RealtimeSession:
        session = RealtimeSession(self, turn_detection_disabled=turn_detection_disabled)
        self._sessions.add(session)
        return session

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
