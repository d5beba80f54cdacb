"""POST /v1/responses and its websocket (https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

from aiohttp import web

from story.emulator.brain import BrainError
from story.emulator.emulation import Emulation
from story.emulator.exchange import Exchange
from story.emulator.fields import optional, read
from story.emulator.openai.conversation import from_items, prompt_tokens
from story.emulator.openai.errors import error_object
from story.emulator.openai.generation import Generation
from story.emulator.openai.limits import check_sampling, most_tokens, refuse_unemulated
from story.emulator.openai.models import asked_model
from story.emulator.openai.responses_output import Event, Output
from story.emulator.socket import Message, Socket
from story.emulator.vendor import VendorError, as_told

REMEMBERED = 1000
"""Responses whose conversation `previous_response_id` can go on from."""
FEWEST_TOKENS = 16
"""The least that `max_output_tokens` may be."""
_UNEMULATED = ("background", "conversation", "prompt", "top_logprobs")
"""Parameters that change what comes back, but nothing here could act on."""

Items = Sequence[Mapping[str, object]]


class Memory:
    """The conversations of earlier responses, by id."""

    def __init__(self, most: int = REMEMBERED, *, stored_alone: bool = True) -> None:
        """stored_alone: whether it keeps only responses that are to be stored."""
        self._items: OrderedDict[str, Items] = OrderedDict()
        self._most = most
        self._stored_alone = stored_alone

    def keep(self, response_id: str, items: Items, *, stored: bool) -> None:
        if self._stored_alone and not stored:
            return
        self._items[response_id] = items
        while len(self._items) > self._most:
            self._items.popitem(last=False)

    def find(self, response_id: str) -> Items | None:
        return self._items.get(response_id)


async def respond(exchange: Exchange) -> web.StreamResponse:
    """One response, streamed or whole."""
    body = await exchange.json()
    answer = _Answer(exchange.emulation, body, exchange.arrived, [exchange.emulation.recall(Memory)])
    events = answer.events()
    if not read(body, "stream", bool, False):
        last = [event async for event in events][-1]
        return await exchange.reply(last["response"])
    first = await anext(events)  # before the answer begins: what fails here is told with a status
    async with exchange.events(named=True) as stream:
        await stream.event(first)
        async for event in events:
            await stream.event(event)
    return stream.response


async def respond_in_socket(socket: Socket) -> None:
    """Response after response, each asked for with a message.

    A connection remembers its last response even where it isn't to be stored.
    """
    memories = [Memory(1, stored_alone=False), socket.emulation.recall(Memory)]
    async for message in socket:
        socket.later(socket.arrived, partial(_answer_message, socket, message, socket.arrived, memories))


async def _answer_message(socket: Socket, message: Message, arrived: float, memories: Sequence[Memory]) -> None:
    try:
        if not isinstance(message, dict):
            raise VendorError(400, "We could not parse the message: expected a JSON object.", "invalid_json")
        kind = read(message, "type", str)
        if kind != "response.create":
            told = f"Invalid value: '{kind}'. Supported values are: 'response.create'."
            raise VendorError(400, told, "invalid_value", param="type")
        async for event in _Answer(socket.emulation, message, arrived, memories).events():
            await socket.send(event)
    except (VendorError, BrainError) as error:
        await socket.send(error_event(socket, as_told(error)))


def error_event(socket: Socket, error: VendorError) -> dict[str, object]:
    """The socket's message for an error: the fields of the stream's event, and the error as an object."""
    told = error_object(error)
    flat = {name: told[name] for name in ("code", "message", "param")}
    return {"type": "error", "status": error.status, "error": told, "sequence_number": 0, **flat}


class _Answer:
    """One response under way."""

    def __init__(
        self, emulation: Emulation, body: Mapping[str, object], arrived: float, memories: Sequence[Memory]
    ) -> None:
        """Raises VendorError(400) for what is wrong with `body`."""
        self._id = f"resp_{uuid.uuid4().hex}"
        self._memories = memories
        model = asked_model(body)
        check_sampling(body)
        refuse_unemulated(body, _UNEMULATED)
        prompt, self._items = from_items(body, self._before(body))
        self._prompt = prompt_tokens(prompt)
        self._stored = read(body, "store", bool, True)
        self._generates = read(body, "generate", bool, True)
        most, parallel = (
            most_tokens(body, "max_output_tokens", FEWEST_TOKENS),
            read(body, "parallel_tool_calls", bool, True),
        )
        self._generation = Generation(emulation, prompt, model, arrived=arrived, most=most, parallel=parallel)
        self._output = Output()
        self._base = {
            "id": self._id,
            "object": "response",
            "created_at": int(time.time()),
            "background": False,
            "instructions": body.get("instructions"),
            "max_output_tokens": most,
            "metadata": read(body, "metadata", dict, {}),
            "model": model,
            "parallel_tool_calls": parallel,
            "previous_response_id": body.get("previous_response_id"),
            "reasoning": {"effort": None, "summary": None},
            "store": self._stored,
            "temperature": read(body, "temperature", float, 1.0),
            "text": {"format": {"type": "text"}},
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [],
            "top_p": read(body, "top_p", float, 1.0),
            "truncation": "disabled",
        }

    async def events(self) -> AsyncIterator[Event]:
        """The events of the whole response, each when it is due. Raises BrainError before the first alone."""
        parts = self._generation.parts()
        part = await anext(parts, None) if self._generates else None
        for kind in ("response.created", "response.in_progress"):
            yield self._output.event(kind, response=self._response("in_progress"))
        try:
            while part is not None:
                for event in self._output.add(part):
                    yield event
                part = await anext(parts, None)
        except BrainError as error:
            told = error_object(as_told(error))
            failed = {"code": "server_error", "message": told["message"]}
            yield self._output.event("response.failed", response=self._response("failed", error=failed))
            return
        status = "incomplete" if self._generation.cut else "completed"
        for event in self._output.close(status):
            yield event
        items = [*self._items, *self._output.items]
        for memory in self._memories:
            memory.keep(self._id, items, stored=self._stored)
        details = {"reason": "max_output_tokens"} if self._generation.cut else None
        told = self._response(status, incomplete_details=details, usage=self._usage())
        yield self._output.event(f"response.{status}", response=told)

    def _before(self, body: Mapping[str, object]) -> Items:
        previous = optional(body, "previous_response_id", str)
        if previous is None:
            return ()
        for memory in self._memories:
            if (found := memory.find(previous)) is not None:
                return found
        message = f"Previous response with id '{previous}' not found."
        raise VendorError(400, message, "previous_response_not_found", param="previous_response_id")

    def _response(self, status: str, **fields: object) -> dict[str, object]:
        unset = {"error": None, "incomplete_details": None, "usage": None}
        return {**self._base, "status": status, "output": list(self._output.items), **unset, **fields}

    def _usage(self) -> dict[str, object]:
        written = self._generation.tokens
        return {
            "input_tokens": self._prompt,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self._prompt + written,
        }
