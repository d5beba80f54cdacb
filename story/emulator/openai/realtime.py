"""GET /v1/realtime, the websocket of speech in and out (https://platform.openai.com/docs/api-reference/realtime)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping

from story.emulator.emulation import Emulation
from story.emulator.fields import optional, read, sound
from story.emulator.latency import Stage
from story.emulator.openai.models import check_model
from story.emulator.openai.realtime_fields import EVENTS
from story.emulator.openai.realtime_input import Input
from story.emulator.openai.realtime_items import TAIL, Conversation, Item, given_item
from story.emulator.openai.realtime_response import Response
from story.emulator.openai.realtime_session import Session
from story.emulator.socket import Socket
from story.emulator.vendor import VendorError, WebSocket

Message = Mapping[str, object]


class Realtime:
    """One session: conversation (`type: realtime`), or transcription alone (`intent=transcription`)."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.emulation: Emulation = socket.emulation
        transcription = socket.query.get("intent") == "transcription"
        self.session = Session(check_model(socket.model) if socket.model else "", transcription=transcription)
        self.conversation = Conversation()
        self.conversation_id = f"conv_{uuid.uuid4().hex[:20]}"
        self._input = Input(self)
        self._response: Response | None = None
        self._apart: list[Response] = []
        self.has_spoken = False
        self._not_understood: dict[str, asyncio.Event] = {}
        self._handlers: dict[str, Callable[[Message], Awaitable[None]]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create,
            "conversation.item.retrieve": self._retrieve,
            "conversation.item.delete": self._delete,
            "conversation.item.truncate": self._truncate,
            "response.create": self._respond,
            "response.cancel": self._cancel,
            "output_audio_buffer.clear": self._clear_output,
        }

    @property
    def heard_tokens(self) -> int:
        """Of all sound that was committed so far."""
        return self._input.tokens

    async def run(self) -> None:
        """Serve the session until either side ends it."""
        await self.tell("session.created", session=self.session.data)
        try:
            async for message in self.socket:
                await self._dispatch(message)
        finally:
            self._input.close()

    async def tell(self, kind: str, **fields: object) -> None:
        """Send an event."""
        await self.socket.send({"type": kind, "event_id": f"event_{uuid.uuid4().hex[:20]}", **fields})

    def draw(self, role: str, model: str, stage: Stage) -> float:
        """A latency, seconds."""
        return self.emulation.latencies.draw("openai", role, model, stage)

    async def add(self, item: Item, previous: str | None = TAIL, *, done: bool = True) -> None:
        """Put an item into the conversation and tell so. Raises VendorError."""
        before = self.conversation.place(item, previous)
        if item.said == "" and item.data.get("role") == "user":
            self._not_understood[item.id] = asyncio.Event()
        await self.tell("conversation.item.added", previous_item_id=before, item=item.shown())
        if done:
            await self.tell("conversation.item.done", previous_item_id=before, item=item.shown())

    def understood(self, item: Item) -> None:
        """The words of a turn's sound are known."""
        if (waiting := self._not_understood.pop(item.id, None)) is not None:
            waiting.set()

    async def respond(self, params: Message, since: float) -> None:
        """Begin a response whose latency counts from `since` (the loop's clock). Raises VendorError.

        One at a time answers in the conversation; those that are apart from it may be any number.
        """
        apart = params.get("conversation") == "none"
        if not apart:
            self._check_free()
        for waiting in tuple(self._not_understood.values()):
            await waiting.wait()
        due = since + self.draw("realtime", self.session.model, Stage.FIRST)
        response = Response(self, params, due)
        if apart:
            self._apart = [*(other for other in self._apart if not other.done), response]
        else:
            self._check_free()  # another may have begun meanwhile
            self._response = response
        response.start()

    async def respond_or_tell(self, params: Message, since: float, event_id: str | None) -> None:
        """`respond`, or tell the client why not."""
        try:
            await self.respond(params, since)
        except VendorError as error:
            await self.tell("error", error=_told(error, event_id))

    @property
    def answering(self) -> bool:
        """Whether the conversation has a response under way."""
        return self._response is not None and not self._response.done

    async def interrupt(self) -> None:
        """The caller speaks: what is being answered ends."""
        if self._response is not None and not self._response.done:
            await self._response.cancel("turn_detected")

    def spoken(self, seconds: float) -> None:
        """A response of the conversation has ended; its sound is `seconds` long."""
        self.has_spoken = self.has_spoken or seconds > 0
        self._input.spoken(seconds)

    async def _dispatch(self, message: object) -> None:
        event_id = None
        try:
            if not isinstance(message, dict):
                raise VendorError(400, "Could not parse your JSON message.", "invalid_json")
            event_id = message.get("event_id") if isinstance(message.get("event_id"), str) else None
            kind = read(message, "type", str)
            if kind not in self._handlers or (self.session.transcribes_only and kind.startswith("response.")):
                known = ", ".join(f"'{name}'" for name in self._handlers)
                text = f"Invalid value: '{kind}'. Supported values are: {known}."
                raise VendorError(400, text, "invalid_value", param="type")
            EVENTS[kind](message, "")
            await self._handlers[kind](message)
        except VendorError as error:
            await self.tell("error", error=_told(error, event_id))

    async def _update(self, message: Message) -> None:
        self.session.update(read(message, "session", dict), has_spoken=self.has_spoken)
        self._input.reset()
        await self.tell("session.updated", session=self.session.data)

    async def _append(self, message: Message) -> None:
        await self._input.append(sound(message, "audio"))

    async def _commit(self, message: Message) -> None:
        await self._input.commit()

    async def _clear(self, message: Message) -> None:
        self._input.clear()
        await self.tell("input_audio_buffer.cleared")

    async def _clear_output(self, message: Message) -> None:
        raise VendorError(400, "output_audio_buffer.clear is for WebRTC and SIP alone.", "invalid_value")

    async def _create(self, message: Message) -> None:
        item = given_item(read(message, "item", dict))
        item.said = await self._input.spoken_in(item)
        await self.add(item, optional(message, "previous_item_id", str) or TAIL)

    async def _retrieve(self, message: Message) -> None:
        item = self._item(message, "item_retrieve_invalid_item_id")
        await self.tell("conversation.item.retrieved", item=item.shown())

    async def _delete(self, message: Message) -> None:
        item = self._item(message, "item_delete_invalid_item_id")
        self.conversation.items.remove(item)
        await self.tell("conversation.item.deleted", item_id=item.id)

    async def _truncate(self, message: Message) -> None:
        item = self._item(message, "item_truncate_invalid_item_id")
        end = read(message, "audio_end_ms", int)
        item.truncate(end)
        await self.tell("conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=end)

    async def _respond(self, message: Message) -> None:
        params, since = read(message, "response", dict, {}), self.socket.arrived
        if self._not_understood:  # messages go on coming while the last turn is made out
            self.socket.beside(self.respond_or_tell(params, since, optional(message, "event_id", str)))
        else:
            await self.respond(params, since)

    async def _cancel(self, message: Message) -> None:
        response_id = optional(message, "response_id", str)
        under_way = [response for response in (self._response, *self._apart) if response and not response.done]
        wanted = (response for response in under_way if response_id in (None, response.id))
        response = next(wanted, None)
        if response is None or (response_id is None and response is not self._response):
            raise VendorError(400, "Cancellation failed: no active response found", "response_cancel_not_active")
        await response.cancel("client_cancelled")

    def _check_free(self) -> None:
        if self._response is not None and not self._response.done:
            message = (
                f"Conversation already has an active response in progress: {self._response.id}. "
                "Wait until the response is finished before creating a new one."
            )
            raise VendorError(400, message, "conversation_already_has_active_response")

    def _item(self, message: Message, code: str) -> Item:
        item_id = read(message, "item_id", str)
        item = self.conversation.find(item_id)
        if item is None:
            raise VendorError(400, f"Item with item_id not found: {item_id}", code, param="item_id")
        return item


def _told(error: VendorError, event_id: str | None) -> dict[str, object]:
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    return {"type": kind, "code": error.code, "message": error.message, "param": error.param, "event_id": event_id}


async def realtime(socket: Socket) -> None:
    """Serve one session."""
    await Realtime(socket).run()


def error_event(socket: Socket, error: VendorError) -> dict[str, object]:
    """The socket's message for an error; what is no code of ours (insufficient_quota, say) is told as it is."""
    told = _told(error, None)
    if error.code is not None and error.status == 500:
        told["type"] = error.code
    return {"type": "error", "event_id": f"event_{uuid.uuid4().hex[:20]}", "error": told}


REALTIME = WebSocket("realtime", "/v1/realtime", realtime, role="realtime", error=error_event, protocols=("realtime",))
