"""A caller's turn is read by the LLM while it is still being spoken, where the LLM can do that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from livekit.agents import AgentSession, UserInputTranscribedEvent
from livekit.agents.llm import Tool

from story.core.warmup import SupportsPrefetch

if TYPE_CHECKING:
    from story.core.call import Call


class ReadAhead:
    """Hands what was heard so far to the LLM of the persona that has the word; stops as soon as a turn is complete."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._heard: list[str] = []
        self._task: asyncio.Task[None] | None = None

    def follow(self, session: AgentSession[Call]) -> None:
        session.on("user_input_transcribed", self._on_transcribed)
        session.on("conversation_item_added", lambda _: self._heard.clear())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _on_transcribed(self, event: UserInputTranscribedEvent) -> None:
        self.stop()
        if event.is_final:
            self._heard.append(event.transcript.strip())
            return
        agent = self._call.agent
        models = agent.stack.models if agent is not None else ()
        model = next((model for model in models if isinstance(model, SupportsPrefetch)), None)
        if agent is None or model is None or agent.left:
            return
        context = agent.chat_ctx.copy()
        context.add_message(role="user", content=" ".join([*self._heard, event.transcript]).strip())
        tools = [tool for tool in agent.tools if isinstance(tool, Tool)]
        self._task = asyncio.create_task(model.prefetch(context, tools))
