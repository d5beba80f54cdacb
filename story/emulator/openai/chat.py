"""POST /v1/chat/completions (https://platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from story.emulator.brain import ToolCall
from story.emulator.exchange import Exchange, until
from story.emulator.fields import read
from story.emulator.latency import Stage
from story.emulator.openai.conversation import from_messages, prompt_tokens, tokens

_ARGUMENT_CHARACTERS = 8
"""In one delta of a call's arguments."""


async def chat(exchange: Exchange) -> web.StreamResponse:
    """Answer a chat completion, streamed or whole."""
    body = await exchange.json()
    model = read(body, "model", str)
    prompt = from_messages(body)
    answer = exchange.emulation.brain.answer(prompt)
    made = _Completion(model, prompt_tokens(prompt))
    if not read(body, "stream", bool, False):
        parts = [part async for part in answer]
        await until(
            exchange.due("llm", model)
            + exchange.emulation.latencies.draw("openai", "llm", model, Stage.TOKEN) * len(parts)
        )
        return await exchange.reply(made.whole(parts))
    wants_usage = read(read(body, "stream_options", dict, {}), "include_usage", bool, False)
    due = exchange.due("llm", model)
    first = await anext(answer, None)  # before the answer begins: what fails here is told with a status
    await until(due)
    async with exchange.events() as events:
        await events.event(made.chunk({"role": "assistant", "content": "", "refusal": None}))
        async for part in _after(first, answer):
            for delta in made.deltas(part):
                await events.event(made.chunk(delta))
            due += exchange.emulation.latencies.draw("openai", "llm", model, Stage.TOKEN)
            await until(due)
        await events.event(made.chunk({}, finish=made.finish))
        if wants_usage:
            await events.event(made.usage_chunk())
        await events.event("[DONE]")
    return events.response


async def _after(first: str | ToolCall | None, rest: AsyncIterator[str | ToolCall]) -> AsyncIterator[str | ToolCall]:
    if first is not None:
        yield first
    async for part in rest:
        yield part


class _Completion:
    """One completion under way."""

    def __init__(self, model: str, prompt: int) -> None:
        self._base = {
            "id": f"chatcmpl-{uuid.uuid4().hex[:24]}",
            "created": int(time.time()),
            "model": model,
            "service_tier": "default",
            "system_fingerprint": "fp_emulated",
        }
        self._prompt = prompt
        self._completion = 0
        self._calls = 0

    @property
    def finish(self) -> str:
        return "tool_calls" if self._calls else "stop"

    def deltas(self, part: str | ToolCall) -> list[Mapping[str, object]]:
        """A part of the answer as the deltas that the API makes of it."""
        if isinstance(part, str):
            self._completion += tokens(part)
            return [{"content": part}]
        index, self._calls = self._calls, self._calls + 1
        text = json.dumps(dict(part.arguments))
        self._completion += tokens(part.name + text)
        function = {"name": part.name, "arguments": ""}
        call = {"index": index, "id": part.id, "type": "function", "function": function}
        pieces = [text[at : at + _ARGUMENT_CHARACTERS] for at in range(0, len(text), _ARGUMENT_CHARACTERS)]
        return [
            {"tool_calls": [call]},
            *({"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces),
        ]

    def chunk(self, delta: Mapping[str, object], finish: str | None = None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**self._base, "object": "chat.completion.chunk", "choices": [choice], "usage": None}

    def usage_chunk(self) -> dict[str, object]:
        return {**self._base, "object": "chat.completion.chunk", "choices": [], "usage": self._usage()}

    def whole(self, parts: list[str | ToolCall]) -> dict[str, object]:
        """The answer in one piece."""
        for part in parts:
            self.deltas(part)
        text = "".join(part for part in parts if isinstance(part, str))
        message: dict[str, object] = {"role": "assistant", "content": text or None, "refusal": None, "annotations": []}
        if calls := [part for part in parts if isinstance(part, ToolCall)]:
            message["tool_calls"] = [
                {
                    "id": c.id,
                    "type": "function",
                    "function": {"name": c.name, "arguments": json.dumps(dict(c.arguments))},
                }
                for c in calls
            ]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish}
        return {**self._base, "object": "chat.completion", "choices": [choice], "usage": self._usage()}

    def _usage(self) -> dict[str, object]:
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": self._completion,
            "total_tokens": self._prompt + self._completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }
