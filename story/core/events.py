"""What a call tells while it happens: typed events, one JSON object a line with `--json`.

Every event has `type`, `call` (id), `t` (seconds since the call started) and `persona` (None outside one).
Times and latencies are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events."""

    type: ClassVar[str]
    recorded: ClassVar[bool] = True
    renamed: ClassVar[Mapping[str, str]] = {}

    call: str
    t: float
    persona: str | None = None

    def as_dict(self) -> dict[str, object]:
        """The event as JSON-ready values, `type` first."""
        values = {self.renamed.get(f.name, f.name): getattr(self, f.name) for f in fields(self)}
        return {"type": self.type, **values, "t": round(self.t, 3)}


@dataclass(frozen=True, kw_only=True)
class CallStarted(Event):
    type = "call_started"
    chain: str
    transport: str
    stacks: Mapping[str, str]
    version: str


@dataclass(frozen=True, kw_only=True)
class StateChanged(Event):
    """agent: listening, thinking, speaking; caller: speaking, silent, away."""

    type = "state"
    recorded = False
    agent: str
    caller: str


@dataclass(frozen=True, kw_only=True)
class Partial(Event):
    """`text` is all that `who` (caller or agent) has said in this turn so far."""

    type = "partial"
    recorded = False
    who: str
    text: str


@dataclass(frozen=True, kw_only=True)
class UserTurn(Event):
    type = "user_turn"
    text: str
    language: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AgentTurn(Event):
    """`text` is what was heard: an interrupted turn ends where its sound ended.

    unheard: how an interrupted one would have gone on, as far as the model had written it.
    """

    type = "agent_turn"
    text: str
    interrupted: bool = False
    unheard: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ToolCall(Event):
    type = "tool_call"
    name: str
    arguments: Mapping[str, object]
    result: str | None = None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Handoff(Event):
    """Comes at the next persona's first sound. `gap`: seconds from the caller's last word to that sound."""

    type = "handoff"
    renamed = {"from_": "from"}  # noqa: RUF012
    from_: str
    to: str
    gap: float | None = None


@dataclass(frozen=True, kw_only=True)
class Fallback(Event):
    type = "fallback"
    renamed = {"from_": "from"}  # noqa: RUF012
    role: str
    from_: str
    to: str
    why: str


@dataclass(frozen=True, kw_only=True)
class CallFault(Event):
    """Something went wrong in a provider or in our own code; the call may go on (`recoverable`)."""

    type = "error"
    where: str
    provider: str | None
    message: str
    recoverable: bool


@dataclass(frozen=True, kw_only=True)
class CallEnded(Event):
    """reason: finished, caller_left, caller_silent, time_limit, error, shutdown, lost."""

    type = "call_ended"
    reason: str
    data: Mapping[str, object]
    usage: Mapping[str, object]
    cost: float | None = None
    duration: float
