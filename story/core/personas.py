"""Personas and chains: who speaks in a call, what each gathers from the caller, and who comes next."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from story.core.errors import ConfigError
from story.core.nearest import did_you_mean
from story.core.toml import TomlFile, read_toml

END = "end"
"""The `next` of the persona that ends the call."""

RESERVED_TOOLS = frozenset({"auto", "none", "required"})
"""Names that mean something else where a model is told which tool to use."""

Value = str | int | float | bool
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Gather(_Table):
    """One thing a persona learns from the caller: an argument of its tool, then a field of the call's data."""

    description: Text
    type: Literal["string", "integer", "number", "boolean"] = "string"
    optional: bool = False

    def accepts(self, value: object) -> bool:
        """Whether `value` (an argument as the model gave it) is of this type."""
        match self.type:
            case "string":
                return isinstance(value, str) and bool(value.strip())
            case "integer":
                return isinstance(value, int) and not isinstance(value, bool)
            case "number":
                return isinstance(value, int | float) and not isinstance(value, bool)
            case "boolean":
                return isinstance(value, bool)


class Exit(_Table):
    """A way out of a persona: the tool its model calls, and where that leads.

    needs: which of the things the persona gathers are arguments of the tool (all of them, unless told).
    goodbye: for an exit that ends the call, what the persona is told to say last ({fields} are filled in).
    closing: the very words instead, where its voice can speak given words (a realtime model is told to say them).
    """

    tool: Name
    description: Text
    next: Name
    needs: list[Name] | None = None
    goodbye: Text = "Say goodbye to the caller in one short, warm sentence. Ask nothing."
    closing: Text | None = None

    @field_validator("tool")
    @classmethod
    def _not_reserved(cls, tool: str) -> str:
        if tool in RESERVED_TOOLS:
            raise ValueError(f"{tool!r} is a reserved tool name; choose another")
        return tool


class Silence(_Table):
    """What happens when the caller says nothing: after `ask_after` seconds without a sound from either side the
    persona asks whether they are still there; after as long again it says goodbye and the call ends."""

    ask_after: float = Field(default=8.0, gt=0, le=600)
    ask: Text = "The caller has been silent. Ask in one short sentence whether they are still there."
    goodbye: Text = "The caller seems to have gone. Say a short, friendly goodbye. Ask nothing."


class Persona(_Table):
    """Who speaks for a part of the call.

    name: what it calls itself. instructions: what its model is told; {field} is filled with what was gathered before.
    opening: the words its part begins with, said at once. greeting: what it is told to say then; without an opening,
    what it is told to begin with. stack, fallback_stack: stack specs.
    gathers: what it learns. then: its way out, or several. silence: false switches the question off.
    carry_context: it is given the conversation so far. agent: a Python persona (hook `story_personas`).
    leads_to: where a Python persona's own tools may lead, besides `then`.
    """

    name: Text
    instructions: Text
    opening: Text | None = None
    greeting: Text | None = None
    stack: Text | None = None
    fallback_stack: Text | None = None
    gathers: dict[Name, Gather] = {}
    then: list[Exit] = []
    silence: Silence | None = Silence()
    carry_context: bool = False
    agent: Text | None = None
    leads_to: list[Name] = []

    @field_validator("then", mode="before")
    @classmethod
    def _one_or_many(cls, then: object) -> object:
        return [then] if isinstance(then, dict) else then

    @field_validator("silence", mode="before")
    @classmethod
    def _false_is_none(cls, silence: object) -> object:
        return None if silence is False else silence

    @property
    def nexts(self) -> tuple[str, ...]:
        """Where this persona can lead, in the order it is written."""
        return (*(exit_.next for exit_ in self.then), *self.leads_to)

    @property
    def fixed_instructions(self) -> str:
        """The instructions up to the first {field}: the part that is the same for every caller."""
        for literal, field, _, _ in string.Formatter().parse(self.instructions):
            if field is not None:
                return literal
        return self.instructions

    def arguments(self, exit_: Exit) -> dict[str, Gather]:
        """What the tool of `exit_` takes."""
        return {name: g for name, g in self.gathers.items() if exit_.needs is None or name in exit_.needs}

    def filled(self, text: str, data: Mapping[str, Value]) -> str:
        """`text` with its {fields} filled in; one that was optional and not given reads "unknown"."""
        return string.Formatter().vformat(text, (), _Unknown(data))


class _Unknown(dict[str, Value]):
    def __missing__(self, key: str) -> str:
        return "unknown"


class Chain(_Table):
    """The personas of one conversation, and where it starts."""

    start: Name
    default_stack: Text | None = None
    personas: Annotated[dict[Name, Persona], Field(min_length=1)]

    @property
    def first(self) -> Persona:
        return self.personas[self.start]


def load_chain(path: Path) -> Chain:
    """Read a chain from TOML and check it as a whole.

    Raises:
        ConfigError: with file, line and key.
    """
    file = read_toml(path)
    try:
        chain = Chain.model_validate(file.data)
    except ValidationError as error:
        raise _first_error(file, error) from None
    for keys, message in _faults(chain):
        raise file.error(keys, message)
    return chain


def _first_error(file: TomlFile, error: ValidationError) -> ConfigError:
    problem = error.errors()[0]
    keys = [key for key in problem["loc"] if isinstance(key, str) and key != "[key]"]
    message = str(problem["msg"]).removeprefix("Value error, ")
    match problem["type"]:
        case "extra_forbidden":
            message = f"unknown key{_did_you_mean(str(keys[-1]), _known_keys(keys))}"
        case "missing":
            message = "is missing"
        case "string_pattern_mismatch":
            message = f"{problem['input']!r} is no name: use small letters, digits and _, starting with a letter"
        case "string_too_short":
            message = "is empty"
        case "model_type" | "dict_type" | "model_attributes_type":
            message = "is a table"
        case "string_type":
            message = 'is text, in quotes: "..."'
        case "bool_type":
            message = "is true or false"
    return file.error(keys, message)


def _known_keys(keys: Sequence[str]) -> list[str]:
    inner: dict[str, type[_Table]] = {"gathers": Gather, "then": Exit, "silence": Silence}
    if keys[0] != "personas" or len(keys) <= 2:
        return list(Chain.model_fields)
    return list((inner.get(keys[2], Persona) if len(keys) > 3 else Persona).model_fields)


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    return did_you_mean(name, known, otherwise=f" (known: {', '.join(known)})" if known else "")


def _faults(chain: Chain) -> Iterator[tuple[list[str], str]]:
    """What is wrong with a chain whose every value is right by itself."""
    names = list(chain.personas)
    if END in chain.personas:
        yield ["personas", END], f"{END!r} is reserved: it is the `next` that ends the call"
    if chain.start not in chain.personas:
        yield ["start"], f"there is no persona {chain.start!r}{_did_you_mean(chain.start, names)}"
    for name, persona in chain.personas.items():
        place: list[str] = ["personas", name]
        if not persona.nexts and persona.agent is None:
            yield place, "has no `then`: say with which tool it ends, and who is next"
        for target in persona.nexts:
            if target != END and target not in chain.personas:
                key = [*place, "then", "next"] if target in {e.next for e in persona.then} else [*place, "leads_to"]
                yield key, f"there is no persona {target!r}{_did_you_mean(target, [*names, END])}"
        for exit_ in persona.then:
            for need in exit_.needs or ():
                if need not in persona.gathers:
                    yield (
                        [*place, "then", "needs"],
                        f"{need!r} is not in gathers{_did_you_mean(need, list(persona.gathers))}",
                    )
        tools = [exit_.tool for exit_ in persona.then]
        for tool in {tool for tool in tools if tools.count(tool) > 1}:
            yield [*place, "then", "tool"], f"two exits have the tool {tool!r}"
    yield from _path_faults(chain)
    yield from _field_faults(chain)


def _path_faults(chain: Chain) -> Iterator[tuple[list[str], str]]:
    reached, todo = set[str](), [chain.start]
    while todo:
        name = todo.pop()
        if name not in reached and name != END:
            reached.add(name)
            todo.extend(chain.personas[name].nexts)
    for name in chain.personas:
        if name not in reached:
            yield ["personas", name], f"no persona leads to {name!r}, and it is not the start"

    def ends(persona: Persona) -> bool:
        return END in persona.nexts or (persona.agent is not None and not persona.nexts)

    ending = {name for name, persona in chain.personas.items() if ends(persona)}
    while more := {n for n, p in chain.personas.items() if n not in ending and ending.intersection(p.nexts)}:
        ending |= more
    for name in chain.personas:
        if name not in ending:
            yield ["personas", name], f"the call can't end from here: no `next` leads to {END!r}"


def _field_faults(chain: Chain) -> Iterator[tuple[list[str], str]]:
    known = _known_fields(chain)
    for name, persona in chain.personas.items():
        place: list[str] = ["personas", name]
        texts: list[tuple[list[str], str, set[str]]] = [
            ([*place, "instructions"], persona.instructions, known[name]),
            ([*place, "opening"], persona.opening or "", known[name]),
            ([*place, "greeting"], persona.greeting or "", known[name]),
            ([*place, "silence", "ask"], persona.silence.ask if persona.silence else "", known[name]),
            ([*place, "silence", "goodbye"], persona.silence.goodbye if persona.silence else "", known[name]),
            *(
                ([*place, "then", key], text, known[name] | set(persona.arguments(exit_)))
                for exit_ in persona.then
                for key, text in (("goodbye", exit_.goodbye), ("closing", exit_.closing or ""))
            ),
        ]
        for key, text, fields in texts:
            try:
                parts = [(field, spec or how) for _, field, spec, how in string.Formatter().parse(text)]
            except ValueError as error:
                yield key, f"{error} (write {{{{ and }}}} for braces that are no field)"
                continue
            for field, formatting in parts:
                if field is None:
                    continue
                if formatting:  # what formats a number would fail on a word, and only once the call is there
                    yield key, f"{{{field}}} can't be formatted ({formatting}): write {{{field}}} alone"
                elif not field.isidentifier():
                    yield key, f"{{{field}}} is no field: write {{name}}, or {{{{ and }}}} for plain braces"
                elif field not in fields:
                    hint = _did_you_mean(field, sorted(fields)) if fields else ""
                    yield key, f"{{{field}}} is used before any persona has gathered it{hint}"


def _known_fields(chain: Chain) -> Mapping[str, set[str]]:
    """For each persona, the fields that were gathered on every way to it."""
    every = {field for persona in chain.personas.values() for field in persona.gathers}
    known = {name: set() if name == chain.start else set(every) for name in chain.personas}
    changed = True
    while changed:
        changed = False
        for name, persona in chain.personas.items():
            ways = [(exit_.next, set(persona.arguments(exit_))) for exit_ in persona.then]
            for target, gathered in (*ways, *((target, set[str]()) for target in persona.leads_to)):
                after = known[name] | gathered
                if target in known and not known[target] <= after:
                    known[target] &= after
                    changed = True
    return known
