"""PersonaAgent: runs one persona in a call, and hands the caller over to the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING, Any

from livekit.agents import Agent, FlushSentinel, ModelSettings, RunContext, ToolError, function_tool, tts
from livekit.agents.llm import ChatChunk, ChatContext, Tool, Toolset
from livekit.agents.types import TimedString

from story.core.intended import Intended
from story.core.personas import END, Exit, Persona, Value
from story.core.turns import turn_handling

if TYPE_CHECKING:
    from story.core.call import Call
    from story.core.live import LiveStack

GREETING = "Begin your part of the conversation now, in one or two short sentences."
APOLOGY = "I'm sorry, something went wrong on my side and I have to end our call here. Goodbye."
RESUMED = "Answer what the caller said last."


class PersonaAgent(Agent):
    """One persona's part of a call.

    A persona of your own subclasses this, adds `@function_tool` methods, and reads `self.call.data` (what the
    personas before it gathered). A tool leads on with ``return await self.hand_over(context, "persona")``, or ends
    the call with ``return await self.end_call(context, "what to say last")``.
    """

    def __init__(
        self,
        key: str,
        call: Call,
        stack: LiveStack,
        *,
        chat_ctx: ChatContext | None = None,
        resumed: bool = False,
    ) -> None:
        self.key = key
        self.call = call
        self.stack = stack
        self.persona: Persona = call.chain.personas[key]
        self._resumed = resumed
        self._opening = ""
        self._silent = False
        self.intended = Intended()
        self.left = False  # it has handed over, or has said goodbye
        tools: list[Tool | Toolset] = [self._exit_tool(exit_) for exit_ in self.persona.then]
        audio = call.audio
        super().__init__(
            id=key,
            instructions=self.persona.filled(self.persona.instructions, call.data),
            chat_ctx=chat_ctx or ChatContext.empty(),
            tools=tools,
            # None, not left out: a realtime persona must not inherit (and pay for) a second recogniser.
            stt=stack.stt if audio else None,
            llm=stack.llm,
            tts=stack.tts if audio else None,
            vad=stack.vad if audio else None,
            turn_handling=turn_handling(stack, audio=audio),
        )

    async def on_enter(self) -> None:
        """Say the first words of this part."""
        self.call.entered(self)
        if self._resumed:
            self.session.generate_reply(instructions=RESUMED)
            return
        data, persona = self.call.data, self.persona
        greeting = persona.filled(persona.greeting or "", data)
        if persona.opening is None:
            greeting = greeting or GREETING
        elif self.stack.realtime:
            greeting = f'Say: "{persona.filled(persona.opening, data)}" {greeting}'
        else:
            self._opening = persona.filled(persona.opening, data)
            greeting = f'You have just said: "{self._opening}" Go on from there. {greeting}' if greeting else ""
        self._silent = not greeting
        # A first word is no answer: no tool may end this part before the caller has said anything.
        self.session.generate_reply(instructions=greeting or GREETING, tool_choice="none")

    async def llm_node(
        self, chat_ctx: ChatContext, tools: list[Tool], model_settings: ModelSettings
    ) -> AsyncIterator[ChatChunk | str | FlushSentinel]:
        """What the persona says: its opening first, so that its voice begins while its model thinks of the rest."""
        written = self.intended.begin()
        opening, self._opening = self._opening, ""
        if opening:
            written.append(f"{opening} ")
            yield f"{opening} "
            yield FlushSentinel()
        silent, self._silent = self._silent, False
        if silent:  # the opening is all there is to say
            return
        reply = Agent.default.llm_node(self, chat_ctx, tools, model_settings)
        async for chunk in reply:
            written.append(_text(chunk))
            yield chunk

    async def transcription_node(
        self, text: AsyncIterable[str | TimedString], model_settings: ModelSettings
    ) -> AsyncIterator[str | TimedString]:
        """The words of what is said. What a realtime model writes comes by here alone."""
        written = self.intended.begin() if self.stack.realtime else []
        async for part in text:
            written.append(part)
            yield part

    async def hand_over(self, context: RunContext[Any], to: str) -> PersonaAgent | None:
        """Lead the caller on to persona `to`: return the result from the tool, alone.

        None means there is nothing to hand over: another tool of the same turn already did, or the caller spoke
        on and is to be heard first.
        """
        if self.left or not self._hold(context):
            return None
        self.left = True
        return self.call.next_agent(self, to)

    async def end_call(self, context: RunContext[Any], goodbye: str, closing: str | None = None) -> None:
        """Have the persona say a last, uninterruptible goodbye, then end the call.

        goodbye: tells it what to say. closing: the very words instead, where its voice can speak given words.
        """
        if not self.left:
            self.left = True
            self.call.finish(goodbye, closing=closing)

    @staticmethod
    def _hold(context: RunContext[Any]) -> bool:
        """Keep the turn from being interrupted while it hands over; False where it already was.

        An interrupted turn's handoff is dropped by the session, so it must not count as done here either.
        """
        try:
            context.disallow_interruptions()
        except RuntimeError:
            return False
        return True

    def _exit_tool(self, exit_: Exit) -> Tool:
        arguments = self.persona.arguments(exit_)
        schema: dict[str, object] = {
            "name": exit_.tool,
            "description": exit_.description,
            "parameters": {
                "type": "object",
                "properties": {
                    name: {"type": gather.type, "description": gather.description} for name, gather in arguments.items()
                },
                "required": [name for name, gather in arguments.items() if not gather.optional],
                "additionalProperties": False,
            },
        }

        async def leave(raw_arguments: dict[str, object], context: RunContext[Any]) -> PersonaAgent | None:
            if self.left:
                return None
            values = self._checked(exit_, raw_arguments)
            if exit_.next == END:
                self.call.gather(values)
                data, closing = self.call.data, exit_.closing
                words = self.persona.filled(closing, data) if closing else None
                await self.end_call(context, self.persona.filled(exit_.goodbye, data), words)
                return None
            if not self._hold(context):
                return None
            self.call.gather(values)
            return await self.hand_over(context, exit_.next)

        return function_tool(leave, raw_schema=schema)

    def _checked(self, exit_: Exit, given: dict[str, object]) -> dict[str, Value]:
        """The arguments of the tool, each of its type. What is wrong goes back to the model, which asks again."""
        values: dict[str, Value] = {}
        for name, gather in self.persona.arguments(exit_).items():
            value = given.get(name)
            if isinstance(value, str):
                value = value.strip()
            if value in (None, "") and gather.optional:
                continue
            if not gather.accepts(value):
                raise ToolError(f"{name} is missing or no {gather.type}: ask the caller for it ({gather.description})")
            assert isinstance(value, str | int | float | bool)
            values[name] = value
        return values


def _text(chunk: ChatChunk | str | FlushSentinel) -> str:
    """The words in a part of what an llm_node yields."""
    if isinstance(chunk, ChatChunk):
        return (chunk.delta.content if chunk.delta else None) or ""
    return chunk if isinstance(chunk, str) else ""


class Apology(Agent):
    """Speaks one sentence with a voice of the call; needs no other model."""

    def __init__(self, voice: tts.TTS[Any]) -> None:
        super().__init__(id="apology", instructions="", stt=None, llm=None, tts=voice, vad=None)
        self.said = asyncio.Event()

    async def on_enter(self) -> None:
        await self.session.say(APOLOGY, allow_interruptions=False)
        self.said.set()
