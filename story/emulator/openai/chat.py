"""POST /v1/chat/completions (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping

from aiohttp import web

from story.emulator.brain import BrainError, ToolCall
from story.emulator.exchange import Exchange
from story.emulator.fields import optional, read
from story.emulator.openai.conversation import from_messages, prompt_tokens
from story.emulator.openai.errors import error_body
from story.emulator.openai.generation import Generation, Part, arguments_text
from story.emulator.openai.limits import check_sampling, most_tokens
from story.emulator.vendor import VendorError, as_told

_ARGUMENT_CHARACTERS = 8
"""In one delta of a call's arguments."""


async def chat(exchange: Exchange) -> web.StreamResponse:
    """Answer a chat completion, streamed or whole."""
    body = await exchange.json()
    model = read(body, "model", str)
    prompt = from_messages(body)
    check_sampling(body)
    streamed, options = read(body, "stream", bool, False), optional(body, "stream_options", dict)
    if options is not None and not streamed:
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise VendorError(400, message, param="stream_options")
    most = most_tokens(body, "max_completion_tokens")
    generation = Generation(
        exchange.emulation,
        prompt,
        model,
        arrived=exchange.arrived,
        most=most_tokens(body, "max_tokens") if most is None else most,
        parallel=read(body, "parallel_tool_calls", bool, True),
    )
    wants_usage = read(options or {}, "include_usage", bool, False)
    completion = _Completion(model, generation, prompt_tokens(prompt), tells_usage=wants_usage)
    parts = generation.parts()
    if not streamed:
        return await exchange.reply(completion.whole([part async for part in parts]))
    first = await anext(parts, None)  # before the answer begins: what fails here is told with a status
    async with exchange.events() as events:
        try:
            async for chunk in completion.chunks(first, parts):
                await events.event(chunk)
            await events.event("[DONE]")
        except BrainError as error:
            await events.event(error_body(as_told(error)))
    return events.response


class _Completion:
    """One completion under way. prompt: tokens."""

    def __init__(self, model: str, generation: Generation, prompt: int, *, tells_usage: bool) -> None:
        self._base = {
            "id": f"chatcmpl-{uuid.uuid4().hex[:24]}",
            "created": int(time.time()),
            "model": model,
            "service_tier": "default",
            "system_fingerprint": "fp_emulated",
        }
        self._generation = generation
        self._prompt = prompt
        self._tells_usage = tells_usage
        self._calls = 0

    async def chunks(self, first: Part | None, rest: AsyncIterator[Part]) -> AsyncIterator[dict[str, object]]:
        """The whole answer in the chunks that the API makes of it. Raises BrainError."""
        yield self._chunk({"role": "assistant", "content": "", "refusal": None})
        part = first
        while part is not None:
            for delta in self._deltas(part):
                yield self._chunk(delta)
            part = await anext(rest, None)
        yield self._chunk({}, finish=self._finish)
        if self._tells_usage:
            yield {**self._base, "object": "chat.completion.chunk", "choices": [], "usage": self._usage()}

    def whole(self, parts: list[Part]) -> dict[str, object]:
        """The answer in one piece."""
        text = "".join(part for part in parts if isinstance(part, str))
        calls = [part for part in parts if isinstance(part, ToolCall)]
        self._calls = len(calls)
        message: dict[str, object] = {"role": "assistant", "content": text or None, "refusal": None, "annotations": []}
        if calls:
            message["tool_calls"] = [_call(call, arguments_text(call)) for call in calls]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish}
        return {**self._base, "object": "chat.completion", "choices": [choice], "usage": self._usage()}

    @property
    def _finish(self) -> str:
        if self._generation.cut:
            return "length"
        return "tool_calls" if self._calls else "stop"

    def _deltas(self, part: Part) -> Iterator[Mapping[str, object]]:
        if isinstance(part, str):
            yield {"content": part}
            return
        index, self._calls = self._calls, self._calls + 1
        yield {"tool_calls": [{"index": index, **_call(part, "")}]}
        text = arguments_text(part)
        for start in range(0, len(text), _ARGUMENT_CHARACTERS):
            function = {"arguments": text[start : start + _ARGUMENT_CHARACTERS]}
            yield {"tool_calls": [{"index": index, "function": function}]}

    def _chunk(self, delta: Mapping[str, object], finish: str | None = None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._tells_usage else {}
        return {**self._base, "object": "chat.completion.chunk", "choices": [choice], **usage}

    def _usage(self) -> dict[str, object]:
        written = self._generation.tokens
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


def _call(call: ToolCall, arguments: str) -> dict[str, object]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}
