"""What an emulated model knows and does, whichever vendor's protocol asks for it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Who = Literal["system", "caller", "agent", "tool"]


@dataclass(frozen=True)
class Tool:
    """A function that the model may call. parameters: its JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class ToolCall:
    """The model calls a function. id: of the call, at most 32 characters."""

    name: str
    arguments: Mapping[str, object]
    id: str = field(default_factory=lambda: f"call_{uuid.uuid4().hex[:24]}")


@dataclass(frozen=True)
class Said:
    """One entry of a conversation. who "tool": the result of the call `call_id`; calls: what the agent called."""

    who: Who
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None


@dataclass(frozen=True)
class Prompt:
    """What a language model is asked. tool_choice: "auto", "none", "required", or the name of a tool."""

    said: Sequence[Said]
    tools: Sequence[Tool] = ()
    tool_choice: str = "auto"

    @property
    def instructions(self) -> str:
        """All that the system says, joined."""
        return "\n".join(said.text for said in self.said if said.who == "system")

    @property
    def caller(self) -> tuple[str, ...]:
        """What the caller has said, in order."""
        return tuple(said.text for said in self.said if said.who == "caller")

    def answers_tool(self) -> bool:
        """Whether the last thing that happened is a tool's result."""
        for said in reversed(self.said):
            if said.who == "tool":
                return True
            if said.who in ("caller", "agent"):
                return False
        return False


class Brain(Protocol):
    """Thinks of an answer."""

    def answer(self, prompt: Prompt) -> AsyncIterator[str | ToolCall]:
        """Pieces of text, a word or so each with the space before it, and calls; a call may follow text.

        Raises BrainError where it can't.
        """
        ...

    async def aclose(self) -> None: ...


class Voice(Protocol):
    """Speaks."""

    def speak(self, text: str, *, voice: str | None = None) -> AsyncIterator[bytes]:
        """Sound of `text`, s16le mono at 24000 Hz, in stretches. voice: the vendor's name for it; a hint."""
        ...

    async def aclose(self) -> None: ...


class BrainError(Exception):
    """An emulated model can't answer: its own models are missing, or failed. The endpoint tells it as the vendor would
    tell an internal error (status 500)."""


SPEECH_RATE = 24_000
"""Hz of what a Voice makes."""
