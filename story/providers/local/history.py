"""What livekit's chat context holds, as this model is told it: instructions, turns, and what it is to do now."""

from __future__ import annotations

import json
from dataclasses import dataclass

from livekit.agents import llm

from story.providers.local.prompt import Turn, conversation


@dataclass(frozen=True)
class Made:
    """A tool call that was made."""

    tool: str
    arguments: str


@dataclass(frozen=True)
class History:
    """instructions: all system text before the conversation. now: system text after it. calls: tools called so far.

    answered: the caller has not spoken since the agent last did, or a tool was called since.
    """

    instructions: str
    turns: tuple[Turn, ...]
    now: str
    calls: tuple[Made, ...]
    answered: bool

    @property
    def said(self) -> str:
        """The caller's last turn, if it is the one to be answered."""
        return "" if self.answered or not self.turns else self.turns[-1].text

    @property
    def caller(self) -> str:
        """All that the caller has said."""
        return " ".join(turn.text for turn in self.turns if turn.speaker == "caller")


def history(context: llm.ChatContext) -> History:
    """Read `context`."""
    before: list[str] = []
    now: list[str] = []
    turns: list[Turn] = []
    calls: list[Made] = []
    answered = True
    for item in context.items:
        if item.type == "message":
            text = (item.text_content or "").strip()
            if not text:
                continue
            if item.role in ("system", "developer"):
                (now if turns else before).append(text)
            elif item.role == "user":
                turns.append(Turn("caller", text))
                answered = False
            else:
                turns.append(Turn("agent", text))
                now.clear()
                answered = True
        elif item.type == "function_call":
            calls.append(Made(item.name, item.arguments))
            answered = True
        elif item.type == "function_call_output" and item.output:
            now.append(f"{'Problem' if item.is_error else 'Result'} of {item.name}: {_plain(item.output)}")
    # Without a conversation there is nothing to keep the instructions apart from: the last ones are for now.
    if not turns and len(before) > 1:
        now = [before.pop()]
    return History("\n".join(before), conversation(turns), "\n".join(now), tuple(calls), answered)


def _plain(output: str) -> str:
    try:
        value = json.loads(output)
    except ValueError:
        return output
    return value if isinstance(value, str) else output
