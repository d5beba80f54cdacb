"""Decides whether a caller's turn calls a tool.

This model calls no tool unasked, and invents arguments where it is made to. So a constrained pass reads each turn of
the caller: a tool's arguments may only be stretches of what the caller said, and a tool without arguments needs
words of the caller that ask for it. What was found in earlier turns stays known; what is said later wins.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from story.providers.local import quote, slots
from story.providers.local.completion import Counts, Engine, Request
from story.providers.local.history import History
from story.providers.local.prompt import Turn
from story.providers.local.slots import Value
from story.providers.local.wanted import Argument, Wanted

_NOTES_TOKENS = 48

Found = TypeVar("Found")


@dataclass(frozen=True)
class Call:
    """A tool to call, with arguments that the caller gave."""

    tool: str
    arguments: Mapping[str, Value]


@dataclass(frozen=True)
class Decision:
    """`call`, or how to reply: `notes` say, for each of the caller's turns by index, what was known and missing.

    question: what must still be asked ("" if nothing is missing).
    """

    call: Call | None = None
    notes: Mapping[int, str] = field(default_factory=dict)
    question: str = ""
    counts: Counts = field(default_factory=Counts)

    def noted(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        """`turns` with their notes."""
        return tuple(replace(turn, note=self.notes.get(index, "") or _wish(turn)) for index, turn in enumerate(turns))


class _Memory(Generic[Found]):
    """What was found in the latest few hundred lines: the same words are never read twice."""

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._found: OrderedDict[tuple[str, ...], Found] = OrderedDict()

    def __contains__(self, key: tuple[str, ...]) -> bool:
        return key in self._found

    def __getitem__(self, key: tuple[str, ...]) -> Found:
        return self._found[key]

    def __setitem__(self, key: tuple[str, ...], found: Found) -> None:
        self._found[key] = found
        if len(self._found) > self._size:
            self._found.popitem(last=False)


class Harness:
    """The passes over an engine, and what they found."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._noted: _Memory[dict[str, Value]] = _Memory()
        self._quoted: _Memory[str | None] = _Memory()

    async def prefill(self, tools: Sequence[Wanted]) -> None:
        """Read what the passes for `tools` begin with. Raises EngineError."""
        for tool in tools:
            await self._engine.read_ahead(_head(tool))

    async def decide(self, tools: Sequence[Wanted], talk: History) -> Decision:
        """What to do about the caller's last turn. Raises EngineError."""
        counts = Counts()
        notes: dict[int, str] = {}
        question = ""
        several = len([tool for tool in tools if tool.required]) > 1
        for tool in tools:
            if not tool.required:
                words, used = await self._quote(tool, talk.said)
                counts += used
                if words is not None:
                    return Decision(Call(tool.tool, {}), counts=counts)
                continue
            states, used = await self.follow(tool, talk.turns)
            counts += used
            for index, known in states.items():
                notes.setdefault(index, _note(tool, known))
            known = _latest(states)
            lacking = slots.missing(tool, known)
            if lacking or not talk.said or _was_called(tool, known, talk):
                question = question or _question(lacking)
                continue
            if several:
                # Where facts alone don't tell which tool is meant, the caller must also have asked for this one.
                words, used = await self._quote(tool, talk.caller)
                counts += used
                if words is None:
                    continue
            return Decision(Call(tool.tool, known), counts=counts)
        return Decision(notes=notes, question=question, counts=counts)

    async def follow(self, tool: Wanted, turns: Sequence[Turn]) -> tuple[dict[int, dict[str, Value]], Counts]:
        """What was known of the arguments of `tool` after each of the caller's turns, by index."""
        states: dict[int, dict[str, Value]] = {}
        counts = Counts()
        for index, turn in enumerate(turns):
            if turn.speaker == "caller":
                known = _latest(states)
                found, used = await self._find(tool, _asked(tool, known, turns[:index]), turn.text)
                counts += used
                states[index] = known | found
        return states, counts

    async def _find(self, tool: Wanted, asked: Sequence[Argument], said: str) -> tuple[dict[str, Value], Counts]:
        head, tail = _head(tool), slots.tail(tool, asked, said)
        if (head, tail) in self._noted:
            return self._noted[head, tail], Counts()
        grammar = slots.grammar(tool, said)
        notes, counts = "", Counts()
        if grammar:
            request = await self._request(head, tail, max_tokens=_NOTES_TOKENS)
            notes, counts = await self._engine.text(replace(request, grammar=grammar, stop=("\n",)))
        found = slots.read(tool, notes, said)
        self._noted[head, tail] = found
        return found, counts

    async def _quote(self, tool: Wanted, said: str) -> tuple[str | None, Counts]:
        head, tail = quote.head(tool), quote.tail(said)
        if not quote.could_ask(said):
            return None, Counts()
        if (head, tail) in self._quoted:
            return self._quoted[head, tail], Counts()
        words: str | None = None
        first, counts = await self._engine.first(await self._request(head, tail, max_tokens=1))
        if quote.asks(first):
            request = await self._request(head, tail + quote.TO_QUOTE, max_tokens=_NOTES_TOKENS)
            noted, used = await self._engine.text(replace(request, grammar=quote.grammar(said), stop=("\n",)))
            words, counts = quote.read(tool, noted, said), counts + used
        self._quoted[head, tail] = words
        return words, counts

    async def _request(self, head: str, tail: str, *, max_tokens: int) -> Request:
        slot = (await self._engine.slots()).register(head)
        return Request(head + tail, slot, max_tokens=max_tokens)


def _head(tool: Wanted) -> str:
    return slots.head(tool) if tool.required else quote.head(tool)


def _wish(turn: Turn) -> str:
    """Reminds the model of a wish: it likes to apologise for one instead of granting it."""
    return "do what the caller wants now" if turn.speaker == "caller" and quote.wishes(turn.text) else ""


def _asked(tool: Wanted, known: Mapping[str, Value], before: Sequence[Turn]) -> tuple[Argument, ...]:
    """What the caller was asked for: what the agent's last question names, else all that is missing."""
    lacking = slots.missing(tool, known)
    asked = before[-1].text.lower() if before and before[-1].speaker == "agent" else ""
    named = tuple(argument for argument in lacking if re.search(rf"\b{re.escape(argument.label.lower())}\b", asked))
    return named if len(named) == 1 and "?" in asked else lacking


def _latest(states: Mapping[int, dict[str, Value]]) -> dict[str, Value]:
    return states[max(states)] if states else {}


def _note(tool: Wanted, known: Mapping[str, Value]) -> str:
    told = ", ".join(f"{item.label} {known[item.name]}" for item in tool.arguments if item.name in known)
    ask = " and ".join(argument.phrase("the caller's") for argument in slots.missing(tool, known))
    return "; ".join(
        filter(None, (f"known: {told}" if told else "", f"answer briefly, then ask for {ask}" if ask else ""))
    )


def _question(lacking: Sequence[Argument]) -> str:
    if not lacking:
        return ""
    *rest, last = (argument.phrase() for argument in lacking)
    listed = f"{', '.join(rest)} and {last}" if rest else last
    return f"Could you tell me {listed}?"


def _was_called(tool: Wanted, known: Mapping[str, Value], talk: History) -> bool:
    return any(made.tool == tool.tool and _same(made.arguments, known) for made in talk.calls)


def _same(arguments: str, known: Mapping[str, Value]) -> bool:
    try:
        return bool(json.loads(arguments or "{}") == dict(known))
    except ValueError:
        return False
