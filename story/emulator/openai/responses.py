"""POST /v1/responses and its websocket (https://platform.openai.com/docs/api-reference/responses)."""

from __future__ import annotations

import json
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence

from aiohttp import web

from story.emulator.brain import BrainError, Prompt, ToolCall
from story.emulator.emulation import Emulation
from story.emulator.exchange import Exchange, until
from story.emulator.fields import optional, read
from story.emulator.latency import Stage
from story.emulator.openai.conversation import from_items, prompt_tokens, tokens
from story.emulator.socket import Socket
from story.emulator.vendor import VendorError

REMEMBERED = 1000
"""Responses whose conversation `previous_response_id` can go on from."""

Event = dict[str, object]
Items = Sequence[Mapping[str, object]]


class Memory:
    """The conversations of earlier responses, by id."""

    def __init__(self) -> None:
        self._items: OrderedDict[str, Items] = OrderedDict()

    def keep(self, response_id: str, items: Items) -> None:
        self._items[response_id] = items
        while len(self._items) > REMEMBERED:
            self._items.popitem(last=False)

    def before(self, body: Mapping[str, object]) -> Items:
        """The items that the request goes on from. Raises VendorError(400)."""
        previous = optional(body, "previous_response_id", str)
        if previous is None:
            return ()
        if previous not in self._items:
            raise VendorError(400, f"Previous response with id '{previous}' not found.", "previous_response_not_found")
        return self._items[previous]


class Responses:
    """The endpoint in both its forms."""

    def __init__(self) -> None:
        self._memory = Memory()

    async def http(self, exchange: Exchange) -> web.StreamResponse:
        """One response, streamed or whole."""
        body = await exchange.json()
        answer = _Answer(exchange.emulation, body, self._memory, exchange.arrived)
        if not read(body, "stream", bool, False):
            last = [event async for event in answer.events()][-1]
            return await exchange.reply(last["response"])
        generated = answer.events()
        first = await anext(generated)  # before the answer begins: what fails here is told with a status
        async with exchange.events(named=True) as events:
            await events.event(first)
            async for event in generated:
                await events.event(event)
        return events.response

    async def websocket(self, socket: Socket) -> None:
        """Response after response, each asked for with a message."""
        async for message in socket:
            try:
                if not isinstance(message, dict) or message.get("type") != "response.create":
                    raise VendorError(400, "Expected a JSON object of type 'response.create'.", "invalid_request_error")
                async for event in _Answer(socket.emulation, message, self._memory, socket.arrived).events():
                    await socket.send(event)
            except VendorError as error:
                await socket.send(error_event(socket, error))
            except BrainError as error:
                await socket.send(error_event(socket, VendorError(500, str(error), "server_error")))


def error_event(socket: Socket, error: VendorError) -> dict[str, object]:
    """The socket's message for an error."""
    told = {"type": "error", "code": error.code, "message": error.message, "param": None, "sequence_number": 0}
    return {
        **told,
        "status": error.status,
        "error": {"type": "invalid_request_error", "code": error.code, "message": error.message},
    }


class _Answer:
    """One response under way."""

    def __init__(self, emulation: Emulation, body: Mapping[str, object], memory: Memory, arrived: float) -> None:
        self._emulation = emulation
        self._memory = memory
        self._model = read(body, "model", str)
        self._prompt: Prompt
        self._prompt, self._items = from_items(body, memory.before(body))
        self._due = arrived + emulation.latencies.draw("openai", "llm", self._model, Stage.FIRST)
        self._body = body
        self._id = f"resp_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._output: list[dict[str, object]] = []
        self._written = 0
        self._sequence = 0

    async def events(self) -> AsyncIterator[Event]:
        """The events of the whole response, each when it is due. Raises BrainError before the first alone."""
        parts = self._emulation.brain.answer(self._prompt)
        first = await anext(parts, None)
        await until(self._due)
        yield self._event("response.created", response=self._response("in_progress"))
        yield self._event("response.in_progress", response=self._response("in_progress"))
        text: list[str] = []
        item = self._message_item()
        part: str | ToolCall | None = first
        while part is not None:
            if isinstance(part, str):
                for event in self._text(item, part, begun=bool(text)):
                    yield event
                text.append(part)
            else:
                for event in self._close_text(item, text):
                    yield event
                text, item = [], self._message_item()
                for event in self._call(part):
                    yield event
            self._due += self._emulation.latencies.draw("openai", "llm", self._model, Stage.TOKEN)
            await until(self._due)
            part = await anext(parts, None)
        for event in self._close_text(item, text):
            yield event
        self._memory.keep(self._id, [*self._items, *self._output])
        yield self._event("response.completed", response=self._response("completed", usage=self._usage()))

    def _text(self, item: dict[str, object], delta: str, *, begun: bool) -> list[Event]:
        events: list[Event] = []
        self._written += tokens(delta)
        place = {"item_id": item["id"], "output_index": len(self._output), "content_index": 0}
        if not begun:
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            events.append(self._event("response.output_item.added", output_index=len(self._output), item=item))
            events.append(self._event("response.content_part.added", **place, part=part))
        return [*events, self._event("response.output_text.delta", **place, delta=delta, logprobs=[])]

    def _close_text(self, item: dict[str, object], written: list[str]) -> list[Event]:
        if not written:
            return []
        text = "".join(written)
        place = {"item_id": item["id"], "output_index": len(self._output), "content_index": 0}
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        done = {**item, "status": "completed", "content": [part]}
        self._output.append(done)
        return [
            self._event("response.output_text.done", **place, text=text, logprobs=[]),
            self._event("response.content_part.done", **place, part=part),
            self._event("response.output_item.done", output_index=len(self._output) - 1, item=done),
        ]

    def _call(self, call: ToolCall) -> list[Event]:
        arguments = json.dumps(dict(call.arguments))
        self._written += tokens(call.name + arguments)
        item = {"id": f"fc_{uuid.uuid4().hex}", "type": "function_call", "call_id": call.id, "name": call.name}
        index = len(self._output)
        place = {"item_id": item["id"], "output_index": index}
        done: dict[str, object] = {**item, "arguments": arguments, "status": "completed"}
        self._output.append(done)
        begun = {**item, "arguments": "", "status": "in_progress"}
        return [
            self._event("response.output_item.added", output_index=index, item=begun),
            self._event("response.function_call_arguments.delta", **place, delta=arguments),
            self._event("response.function_call_arguments.done", **place, name=call.name, arguments=arguments),
            self._event("response.output_item.done", output_index=index, item=done),
        ]

    def _message_item(self) -> dict[str, object]:
        shared = {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "role": "assistant"}
        return {**shared, "status": "in_progress", "content": []}

    def _event(self, kind: str, **fields: object) -> Event:
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence - 1, **fields}

    def _response(self, status: str, usage: Mapping[str, object] | None = None) -> dict[str, object]:
        body = self._body
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": body.get("metadata") or {},
            "model": self._model,
            "output": list(self._output),
            "parallel_tool_calls": True,
            "previous_response_id": body.get("previous_response_id"),
            "reasoning": {"effort": None, "summary": None},
            "store": body.get("store", True),
            "temperature": body.get("temperature", 1.0),
            "text": {"format": {"type": "text"}},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools") or [],
            "top_p": body.get("top_p", 1.0),
            "truncation": "disabled",
            "usage": usage,
        }

    def _usage(self) -> dict[str, object]:
        asked = prompt_tokens(self._prompt)
        return {
            "input_tokens": asked,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": self._written,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": asked + self._written,
        }
