"""LocalLLM: a small language model on this machine, as livekit-agents asks for one."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from livekit.agents import APIConnectionError, APIStatusError, llm
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, APIConnectOptions, NotGivenOr
from livekit.agents.utils import aio

from story.core.errors import StoryError
from story.providers.local import process, prompt, quote
from story.providers.local.completion import Connect, Counts, Engine, EngineError, Request
from story.providers.local.harness import Call, Decision, Harness
from story.providers.local.history import History, history
from story.providers.local.prompt import Prompt
from story.providers.local.speech import Speech, sayable
from story.providers.local.wanted import Wanted, wanted

logger = logging.getLogger("story.local")

MODEL = "qwen2.5-coder-1.5b"
PROVIDER = "local"
SENTENCES = 4
"""How many sentences a reply may have, before its question."""
PROMPT_TOKENS = 1600
"""How long a prompt may get; with the slots there are, all personas of a call fit the engine's memory."""

GRANTED = "Of course!"
"""How a reply to a wish begins: left to itself, this model likes to apologise for one instead of granting it."""

NOTHING_TO_SAY = "Shall I go on?"

_FAREWELL = re.compile(r"\b(?:goodbye|good-bye|farewell|ask nothing)\b")
_QUESTION = (
    'root ::= " " ("What" | "Where" | "Who" | "How" | "Which" | "Why" | "Do you" | "Does" | "Should" | "Shall" | '
    '"Would you" | "Will" | "Can" | "Is" | "Are") " " [^.?!"()*#<>\\n\\[\\]]{8,80} "?"'
)


async def _connect() -> process.Endpoint:
    return await process.connect(MODEL)


class LocalLLM(llm.LLM[str]):
    """Qwen2.5-Coder-1.5B-Instruct in the model process of this machine.

    The model calls no tool of its own accord, so each turn of the caller goes through a constrained pass first,
    which may only copy the caller's words (see `harness`).

    temperature: 0 always tells the same story. max_words: where a reply ends, at the next end of a sentence.
    connect: how to reach the engine; for tests.
    """

    def __init__(
        self,
        *,
        model: str = MODEL,
        temperature: float = 0.6,
        max_words: int = 75,
        seed: int | None = None,
        connect: Connect | None = None,
    ) -> None:
        super().__init__()
        self._model = model
        self._engine = Engine(connect or _connect)
        self._temperature = temperature
        self._max_words = max_words
        self._seed = seed
        self._harness = Harness(self._engine)

    @property
    def model(self) -> str:
        return self._model

    @property
    def provider(self) -> str:
        return PROVIDER

    end_of_turn_delay = 0.8
    """Seconds; about what the pass over the caller's words and a first sentence take on two cores."""

    async def warm_up(self) -> None:
        """Have the weights loaded. Raises StoryError."""
        await self._engine.open()

    async def prefill(self, instructions: str, tools: Sequence[llm.Tool]) -> None:
        """Read a persona's instructions (up to what depends on the caller) and tools ahead of its first turn."""
        try:
            await self._engine.read_ahead(prompt.head(instructions))
            await self._harness.prefill(_wanted(tools))
        except EngineError as error:
            raise StoryError(str(error)) from error

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        usable = _usable(_wanted(tools or []), tool_choice or "auto")
        return _Stream(self, chat_ctx=chat_ctx, tools=tools or [], wanted=usable, conn_options=conn_options)

    async def aclose(self) -> None:
        await super().aclose()
        await self._engine.aclose()


class _Stream(llm.LLMStream):
    """One reply: a tool call, or speech."""

    def __init__(
        self,
        model: LocalLLM,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        wanted: tuple[Wanted, ...],
        conn_options: APIConnectOptions,
    ) -> None:
        super().__init__(model, chat_ctx=chat_ctx, tools=tools, conn_options=conn_options)
        self._model = model
        self._wanted = wanted
        self._id = f"local-{uuid.uuid4().hex[:12]}"

    async def _run(self) -> None:
        try:
            counts = await self._answer(history(self._chat_ctx))
        except EngineError as error:
            if error.status is None:
                raise APIConnectionError(str(error)) from error
            raise APIStatusError(str(error), status_code=error.status) from error
        self._event_ch.send_nowait(llm.ChatChunk(id=self._id, usage=_usage(counts)))

    async def _answer(self, talk: History) -> Counts:
        deciding = asyncio.create_task(self._model._harness.decide(self._wanted, talk))
        try:
            if any(tool.required for tool in self._wanted):
                # What the reply asks for depends on what the caller is found to have said.
                decision = await deciding
                if decision.call is not None:
                    self._call(decision.call)
                    return decision.counts
                asked = Prompt(talk.instructions, decision.noted(talk.turns), talk.now)
                return decision.counts + await self._speak(asked, decision.question)
            # Otherwise the reply is begun while the engine decides, and dropped if a tool is called instead.
            granting = not talk.now and quote.wishes(talk.said)
            asked = Prompt(talk.instructions, Decision().noted(talk.turns), talk.now, GRANTED if granting else "")
            counts = await self._speak(asked, "", deciding)
            return counts + (await deciding).counts
        finally:
            await aio.cancel_and_wait(deciding)

    async def _speak(self, asked: Prompt, question: str, deciding: asyncio.Task[Decision] | None = None) -> Counts:
        """Say the model's reply; `question` follows if it asks nothing. `deciding` may yet call a tool instead."""
        model = self._model
        text = prompt.render(replace(prompt.fit(asked, PROMPT_TOKENS), opening=""))
        request = Request(
            text + asked.opening,
            (await model._engine.slots()).slot(text, prompt.head(asked.instructions)),
            max_tokens=2 * model._max_words + 30,
            stop=prompt.CONTROL_TOKENS,
            temperature=model._temperature,
            seed=model._seed,
        )
        speech = Speech(words=model._max_words, sentences=SENTENCES, until_question=not asked.now)
        completion = model._engine.complete(request)
        opening = asked.opening
        async with aclosing(completion.pieces) as pieces:
            async for piece in pieces:
                if deciding is not None:
                    call = (await deciding).call
                    deciding = None
                    if call is not None:
                        self._call(call)
                        return completion.counts
                self._say(speech.push(opening + piece))
                opening = ""
                if speech.done:
                    break
        self._say(speech.finish())
        counts = completion.counts
        if speech.asks or not self._tools or _FAREWELL.search(asked.now.lower()):
            return counts
        if question:
            self._say(f" {question}" if speech.said.strip() else question)
            return counts
        # As long as there are tools, the caller is expected to answer: this model forgets to ask now and then.
        last = replace(request, prompt=f"{text}{speech.said.strip()}", grammar=_QUESTION, max_tokens=40)
        more, used = await model._engine.text(last)
        asks = sayable(more) if more.endswith("?") else ""
        # Now and then it has nothing to say at all; a caller must never wait for nothing.
        self._say(asks or ("" if speech.said.strip() else NOTHING_TO_SAY))
        return counts + used

    def _say(self, text: str) -> None:
        if text:
            self._event_ch.send_nowait(
                llm.ChatChunk(id=self._id, delta=llm.ChoiceDelta(role="assistant", content=text))
            )

    def _call(self, call: Call) -> None:
        made = llm.FunctionToolCall(
            name=call.tool, arguments=json.dumps(call.arguments), call_id=f"call_{uuid.uuid4().hex[:12]}"
        )
        self._event_ch.send_nowait(
            llm.ChatChunk(id=self._id, delta=llm.ChoiceDelta(role="assistant", tool_calls=[made]))
        )


def _wanted(tools: Sequence[llm.Tool]) -> tuple[Wanted, ...]:
    return tuple(found for tool in tools if (found := wanted(tool)) is not None)


def _usable(tools: tuple[Wanted, ...], choice: llm.ToolChoice) -> tuple[Wanted, ...]:
    if choice == "none":
        return ()
    if isinstance(choice, dict):
        return tuple(tool for tool in tools if tool.tool == choice["function"]["name"])
    return tools


def _usage(counts: Counts) -> llm.CompletionUsage:
    prompt_tokens = counts.read + counts.cached
    return llm.CompletionUsage(
        completion_tokens=counts.written,
        prompt_tokens=prompt_tokens,
        prompt_cached_tokens=counts.cached,
        total_tokens=prompt_tokens + counts.written,
    )
