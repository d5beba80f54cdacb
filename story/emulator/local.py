"""This machine's own models (the stack `local`) as the minds of emulated vendors, built when they are first needed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from typing import TYPE_CHECKING

from story.core.errors import StoryError
from story.core.plugins import Plugins
from story.core.registry import Role
from story.core.settings import Settings
from story.emulator.brain import SPEECH_RATE, BrainError, Prompt, Said, ToolCall

if TYPE_CHECKING:
    from livekit.agents.llm import ChatContext, ChatRole, RawFunctionTool

    from story.core.live import LiveStack
    from story.emulator.brain import Tool

STACK = "local"


class LocalModels:
    """One role of the on-device stack, built once."""

    def __init__(self, role: Role, plugins: Plugins, settings: Settings) -> None:
        self._role = role
        self._plugins = plugins
        self._settings = settings
        self._lock = asyncio.Lock()
        self._stack: LiveStack | None = None

    async def stack(self) -> LiveStack:
        """The stack with the model of that role. Raises BrainError."""
        async with self._lock:
            if self._stack is None:
                self._stack = await self._built()
            return self._stack

    async def aclose(self) -> None:
        if self._stack is not None:
            await self._stack.aclose()

    async def _built(self) -> LiveStack:
        from story.core.live import build
        from story.core.resolve import resolve
        from story.core.warmup import warm_up

        registry = self._plugins.registry
        try:
            stack = await build(resolve(STACK, registry), registry, self._settings, roles={self._role})
            await warm_up(stack.models)
        except StoryError as error:
            raise BrainError(f"the on-device {self._role} can't be used: {error}") from error
        return stack


class LocalBrain:
    """Answers with the on-device language model."""

    def __init__(self, plugins: Plugins, settings: Settings) -> None:
        self._models = LocalModels(Role.LLM, plugins, settings)

    async def answer(self, prompt: Prompt) -> AsyncIterator[str | ToolCall]:
        from livekit.agents import APIError, llm

        model = (await self._models.stack()).llm
        if not isinstance(model, llm.LLM):
            raise BrainError("the on-device stack has no language model")
        choice: llm.ToolChoice = "auto"
        if prompt.tool_choice in ("none", "required", "auto"):
            choice = prompt.tool_choice  # type: ignore[assignment]
        else:
            choice = {"type": "function", "function": {"name": prompt.tool_choice}}
        offered = [_function(tool) for tool in prompt.tools]
        try:
            async with model.chat(chat_ctx=_context(prompt), tools=list(offered), tool_choice=choice) as stream:
                async for chunk in stream:
                    if chunk.delta is None:
                        continue
                    if chunk.delta.content:
                        yield chunk.delta.content
                    for call in chunk.delta.tool_calls:
                        yield ToolCall(call.name, json.loads(call.arguments or "{}"))
        except APIError as error:
            raise BrainError(str(error)) from error

    async def aclose(self) -> None:
        await self._models.aclose()


class LocalVoice:
    """Speaks with the on-device voice, whatever voice is asked for."""

    def __init__(self, plugins: Plugins, settings: Settings) -> None:
        self._models = LocalModels(Role.TTS, plugins, settings)

    async def speak(self, text: str, *, voice: str | None = None) -> AsyncIterator[bytes]:
        from livekit.agents import APIError

        from story.emulator.audio import resample

        speaking = (await self._models.stack()).tts
        if speaking is None:
            raise BrainError("the on-device stack has no voice")
        try:
            async with aclosing(speaking.synthesize(text)) as stream:
                async for event in stream:
                    yield resample(bytes(event.frame.data), event.frame.sample_rate, SPEECH_RATE)
        except APIError as error:
            raise BrainError(str(error)) from error

    async def aclose(self) -> None:
        await self._models.aclose()


def _context(prompt: Prompt) -> ChatContext:
    from livekit.agents.llm import ChatContext, FunctionCall, FunctionCallOutput

    context = ChatContext.empty()
    names: dict[str, str] = {}
    for said in prompt.said:
        if said.who == "tool":
            call_id = said.call_id or ""
            output = FunctionCallOutput(call_id=call_id, name=names.get(call_id, ""), output=said.text, is_error=False)
            context.items.append(output)
            continue
        if said.text:
            context.add_message(role=_role(said), content=said.text)
        for call in said.calls:
            names[call.id] = call.name
            arguments = json.dumps(dict(call.arguments))
            context.items.append(FunctionCall(call_id=call.id, name=call.name, arguments=arguments))
    return context


def _role(said: Said) -> ChatRole:
    if said.who == "system":
        return "system"
    return "user" if said.who == "caller" else "assistant"


def _function(tool: Tool) -> RawFunctionTool[..., Awaitable[None]]:
    from livekit.agents import function_tool

    async def call(raw_arguments: dict[str, object]) -> None:
        """Never called: the client of the emulated vendor runs its own tools."""

    parameters = dict(tool.parameters) or {"type": "object", "properties": {}}
    return function_tool(
        call, raw_schema={"name": tool.name, "description": tool.description, "parameters": parameters}
    )
