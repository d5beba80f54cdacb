"""Whole calls on scripted models, for the tests of transports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from livekit.agents import inference, llm

from story.core import events
from story.core.call import Call
from story.core.live import LiveStack
from story.core.personas import load_chain
from tests.fakes import LoudnessSTT, ScriptedLLM, ToneTTS, Tool, last_user

CHAIN = Path(__file__).parents[1] / "core" / "two_personas.toml"
CALLERS = Path(__file__).parents[1] / "callers"
GREETING = "Hello, who are you?"
STORY = "Once upon a time. What then?"
GOODBYE = "Goodbye, Maria!"


def script(chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
    """Both personas of the chain: hands over to the story at "Maria", says goodbye at "stop"."""
    said = last_user(chat_ctx)
    asked = [m.text_content or "" for m in chat_ctx.messages() if m.role in ("system", "developer")]
    if any("Say goodbye to Maria" in text for text in asked):
        return GOODBYE
    if choice != "none" and "stop" in said and tools[0].id == "story_finished":
        return Tool("story_finished", {})
    if choice != "none" and "Maria" in said and tools[0].id == "information_gathered":
        return ["Nice.", Tool("information_gathered", {"name": "Maria", "location": "Lisbon"})]
    return STORY if any("Tell a story" in text for text in asked) else GREETING


@dataclass
class Outcome:
    ended: events.CallEnded
    events: list[events.Event] = field(default_factory=list)

    def of(self, kind: type[events.Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def said(self) -> list[tuple[str | None, str, bool]]:
        return [(turn.persona, turn.text, turn.interrupted) for turn in self.of(events.AgentTurn)]


def make_call(
    transport: Any, *, hears: Sequence[str] = (), script: Callable[..., Any] = script
) -> tuple[Call, list[events.Event]]:
    """A call of the two personas on one stack; `hears` is what the recogniser makes of the caller's loud stretches."""
    chain = load_chain(CHAIN)
    models: dict[str, Any] = {}
    if transport.audio:
        models = {"stt": LoudnessSTT(hears), "tts": ToneTTS(), "vad": inference.VAD()}
    stack = LiveStack(llm=ScriptedLLM(script), **models)
    call = Call(chain, transport, dict.fromkeys(chain.personas, stack), specs=dict.fromkeys(chain.personas, "fake"))
    seen: list[events.Event] = []
    call.subscribe(seen.append)
    return call, seen


async def hold(transport: Any, *, agent_turns: int | None = None, **options: Any) -> Outcome:
    """Run such a call to its end; the caller hangs up after `agent_turns`, if it lasts so long."""
    call, seen = make_call(transport, **options)

    def count(event: events.Event) -> None:
        if sum(isinstance(e, events.AgentTurn) for e in seen) == agent_turns:
            call.hang_up()

    call.subscribe(count)
    return Outcome(await asyncio.wait_for(call.run(), 60), seen)
