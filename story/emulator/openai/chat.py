"""POST /v1/chat/completions (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from aiohttp import web

from story.emulator.brain import BrainError, ToolCall
from story.emulator.exchange import Exchange
from story.emulator.fields import optional, read
from story.emulator.openai.conversation import from_messages, prompt_tokens
from story.emulator.openai.errors import error_body
from story.emulator.openai.generation import Generation, Part, arguments_text
from story.emulator.openai.limits import check_sampling, integer_within, most_tokens, refuse_unemulated
from story.emulator.openai.models import asked_model
from story.emulator.vendor import VendorError, as_told

MOST_CHOICES = 128
MOST_STOPS = 4
_UNEMULATED = ("audio", "function_call", "functions", "logprobs", "top_logprobs", "web_search_options")
"""Parameters that change what comes back, but nothing here could act on."""
_ARGUMENT_CHARACTERS = 8
"""In one delta of a call's arguments."""


async def chat(exchange: Exchange) -> web.StreamResponse:
    """Answer a chat completion, streamed or whole."""
    body = await exchange.json()
    model = asked_model(body)
    prompt = from_messages(body)
    check_sampling(body)
    refuse_unemulated(body, _UNEMULATED if body.get("modalities") in (None, ["text"]) else ("modalities",))
    streamed, options = read(body, "stream", bool, False), optional(body, "stream_options", dict)
    if options is not None and not streamed:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise VendorError(400, message, param="stream_options")
    most = most_tokens(body, "max_completion_tokens")
    generations = [
        Generation(
            exchange.emulation,
            prompt,
            model,
            arrived=exchange.arrived,
            most=most_tokens(body, "max_tokens") if most is None else most,
            parallel=read(body, "parallel_tool_calls", bool, True),
            stops=_stops(body),
        )
        for _ in range(integer_within(body, "n", 1, MOST_CHOICES) or 1)
    ]
    wants_usage = read(options or {}, "include_usage", bool, False)
    completion = _Completion(model, generations, prompt_tokens(prompt), tells_usage=wants_usage)
    if not streamed:
        return await exchange.reply(await completion.whole())
    chunks = completion.chunks()
    first = await anext(chunks)  # before the answer begins: what fails here is told with a status
    async with exchange.events() as events:
        try:
            await events.event(first)
            async for chunk in chunks:
                await events.event(chunk)
            await events.event("[DONE]")
        except BrainError as error:
            await events.event(error_body(as_told(error)))
    return events.response


def _stops(body: Mapping[str, object]) -> tuple[str, ...]:
    """Where to stop: a text or up to four. Raises VendorError(400)."""
    given = body.get("stop")
    stops = [] if given is None else [given] if isinstance(given, str) else read(body, "stop", list)
    if len(stops) > MOST_STOPS or not all(isinstance(stop, str) and stop for stop in stops):
        message = f"Invalid 'stop': expected a string, or an array of 1 to {MOST_STOPS} strings."
        raise VendorError(400, message, "invalid_value", param="stop")
    return tuple(stops)


class _Completion:
    """One completion under way: a choice for each of `generations`. prompt: tokens."""

    def __init__(self, model: str, generations: Sequence[Generation], prompt: int, *, tells_usage: bool) -> None:
        self._base = {
            "id": f"chatcmpl-{uuid.uuid4().hex[:24]}",
            "created": int(time.time()),
            "model": model,
            "service_tier": "default",
            "system_fingerprint": "fp_emulated",
        }
        self._generations = generations
        self._prompt = prompt
        self._tells_usage = tells_usage

    async def chunks(self) -> AsyncIterator[dict[str, object]]:
        """The whole answer in the chunks that the API makes of it. Raises BrainError."""
        for index, generation in enumerate(self._generations):
            parts = generation.parts()
            part = await anext(parts, None)
            yield self._chunk(index, {"role": "assistant", "content": "", "refusal": None})
            while part is not None:
                for delta in _deltas(part, generation.calls - 1):
                    yield self._chunk(index, delta)
                part = await anext(parts, None)
            yield self._chunk(index, {}, finish=_finish(generation))
        if self._tells_usage:
            yield {**self._base, "object": "chat.completion.chunk", "choices": [], "usage": self._usage()}

    async def whole(self) -> dict[str, object]:
        """The answer in one piece. Raises BrainError."""
        choices = [await _choice(index, generation) for index, generation in enumerate(self._generations)]
        return {**self._base, "object": "chat.completion", "choices": choices, "usage": self._usage()}

    def _chunk(self, index: int, delta: Mapping[str, object], finish: str | None = None) -> dict[str, object]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._tells_usage else {}
        return {**self._base, "object": "chat.completion.chunk", "choices": [choice], **usage}

    def _usage(self) -> dict[str, object]:
        written = sum(generation.tokens for generation in self._generations)
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": written,
            "total_tokens": self._prompt + written,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


async def _choice(index: int, generation: Generation) -> dict[str, object]:
    """One whole answer. Raises BrainError."""
    parts = [part async for part in generation.parts()]
    text = "".join(part for part in parts if isinstance(part, str))
    calls = [_call(part, arguments_text(part)) for part in parts if isinstance(part, ToolCall)]
    message: dict[str, object] = {"role": "assistant", "content": text or None, "refusal": None, "annotations": []}
    if calls:
        message["tool_calls"] = calls
    return {"index": index, "message": message, "logprobs": None, "finish_reason": _finish(generation)}


def _finish(generation: Generation) -> str:
    if generation.cut:
        return "length"
    return "tool_calls" if generation.calls else "stop"


def _deltas(part: Part, index: int) -> Iterator[Mapping[str, object]]:
    """A part as the stream has it. index: of a call among the calls."""
    if isinstance(part, str):
        yield {"content": part}
        return
    yield {"tool_calls": [{"index": index, **_call(part, "")}]}
    text = arguments_text(part)
    for start in range(0, len(text), _ARGUMENT_CHARACTERS):
        function = {"arguments": text[start : start + _ARGUMENT_CHARACTERS]}
        yield {"tool_calls": [{"index": index, "function": function}]}


def _call(call: ToolCall, arguments: str) -> dict[str, object]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
