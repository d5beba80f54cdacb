"""Decides whether a caller's turn calls a tool.

This model calls no tool unasked, and invents arguments where it is made to. So a constrained pass reads each turn of
the caller: a tool's arguments may only be stretches of what the caller said, and a tool without arguments needs
words of the caller that ask for it. What was found in earlier turns stays known; what is said later wins.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from story.providers.local import quote, slots
from story.providers.local.completion import Counts, Engine, Request
from story.providers.local.history import History
from story.providers.local.prompt import Turn
from story.providers.local.slots import Value
from story.providers.local.wanted import Argument, Wanted

_REMEMBERED = 256
_NOTES_TOKENS = 60


@dataclass(frozen=True)
class Call:
    """A tool to call, with arguments that the caller gave."""

    tool: str
    arguments: Mapping[str, Value]


@dataclass(frozen=True)
class Decision:
    """`call`, or how to reply: `notes` say, for each of the caller's turns by index, what was known and missing.

    question: what must still be asked for ("" if nothing).
    """

    call: Call | None = None
    notes: Mapping[int, str] = field(default_factory=dict)
    question: str = ""
    counts: Counts = field(default_factory=Counts)

    def noted(self, turns: Sequence[Turn]) -> tuple[Turn, ...]:
        return tuple(replace(turn, note=self.notes.get(index, "")) for index, turn in enumerate(turns))


class Harness:
    """The passes, and what they found: the same words are never read twice."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._found: OrderedDict[tuple[str, str, str], dict[str, Value]] = OrderedDict()
        self._quoted: OrderedDict[tuple[str, str], str | None] = OrderedDict()

    async def prefill(self, tools: Sequence[Wanted]) -> None:
        """Read what the passes for `tools` begin with."""
        for tool in tools:
            await self._engine.read_ahead(slots.head(tool) if tool.required else quote.head(tool))

    async def decide(self, tools: Sequence[Wanted], talk: History) -> Decision:
        """What to do about the caller's last turn. Raises EngineError."""
        counts = Counts()
        notes: dict[int, str] = {}
        question = ""
        for tool in tools:
            if not tool.required:
                if talk.said:
                    words, used = await self._quote(tool, talk.said)
                    counts += used
                    if words is not None:
                        return Decision(Call(tool.tool, {}), counts=counts)
                continue
            known: dict[str, Value] = {}
            for index, turn in enumerate(talk.turns):
                if turn.speaker != "caller":
                    continue
                lacking = slots.missing(tool, known)
                found, used = await self._find(tool, lacking, turn.text)
                counts += used
                known |= found
                notes.setdefault(index, _note(tool, known))
            lacking = slots.missing(tool, known)
            if not lacking and talk.said and not _was_called(tool, known, talk):
                return Decision(Call(tool.tool, known), counts=counts)
            question = question or _question(lacking)
        return Decision(notes=notes, question=question, counts=counts)

    async def _find(self, tool: Wanted, lacking: Sequence[Argument], said: str) -> tuple[dict[str, Value], Counts]:
        asked = lacking[0].label if len(lacking) == 1 else ""
        key = (tool.tool, asked, said)
        if key in self._found:
            return self._found[key], Counts()
        notes, counts = await self._read(slots.head(tool), slots.tail(asked, said), slots.grammar(tool, said))
        found = slots.read(tool, notes, said)
        _remember(self._found, key, found)
        return found, counts

    async def _quote(self, tool: Wanted, said: str) -> tuple[str | None, Counts]:
        key = (tool.tool, said)
        if key in self._quoted:
            return self._quoted[key], Counts()
        answer, counts = await self._read(quote.head(tool), quote.tail(said), quote.grammar(said))
        words = quote.read(answer, said)
        _remember(self._quoted, key, words)
        return words, counts

    async def _read(self, head: str, tail: str, grammar: str) -> tuple[str, Counts]:
        if not grammar:
            return "", Counts()
        slot = (await self._engine.slots()).register(head)
        return await self._engine.text(Request(head + tail, slot, max_tokens=_NOTES_TOKENS, grammar=grammar))


def _remember(memory: OrderedDict, key: object, value: object) -> None:  # type: ignore[type-arg]
    memory[key] = value
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _note(tool: Wanted, known: Mapping[str, Value]) -> str:
    lacking = slots.missing(tool, known)
    told = "; ".join(
        f"{argument.label}: {known[argument.name]}" for argument in tool.arguments if argument.name in known
    )
    ask = " and ".join(argument.phrase for argument in lacking)
    return ". ".join(filter(None, (f"Known: {told}" if told else "", f"Answer, then ask for {ask}" if ask else "")))


def _question(lacking: Sequence[Argument]) -> str:
    if not lacking:
        return ""
    phrases = [argument.phrase for argument in lacking]
    listed = phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
    return f"Could you tell me {listed}?"


def _was_called(tool: Wanted, known: Mapping[str, Value], talk: History) -> bool:
    return any(made.tool == tool.tool and _same(made.arguments, known) for made in talk.calls)


def _same(arguments: str, known: Mapping[str, Value]) -> bool:
    try:
        return bool(json.loads(arguments or "{}") == dict(known))
    except ValueError:
        return False
