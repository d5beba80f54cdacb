"""Scripts: what is answered when. The form of the TOML is in docs/emulator-script.md."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from story.core.nearest import did_you_mean
from story.core.toml import TomlFile, read_toml

_REPLY_KEYS = (
    "when",
    "instructions",
    "offered",
    "known",
    "unknown",
    "after",
    "say",
    "call",
    "arguments",
)


@dataclass(frozen=True)
class Reply:
    """One answer and its conditions; None or empty: no condition.

    when: found in what the caller said last. instructions: found in what the system says. offered: tools that the
    model may call. known, unknown: facts. after: the tool whose result is answered.
    say: what is said, one after the other as the conversation goes on. call, arguments: the tool that is called.
    """

    when: re.Pattern[str] | None = None
    instructions: re.Pattern[str] | None = None
    offered: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    after: str | None = None
    say: tuple[str, ...] = ()
    call: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)

    @property
    def needs(self) -> frozenset[str]:
        """The facts that stand in what it says and calls with."""
        return frozenset(name for text in (*self.say, *texts_in(self.arguments)) for name in fields_of(text))


@dataclass(frozen=True)
class Script:
    """Replies in order of preference. facts, told: name -> patterns whose first group is the fact, in what the caller
    says, and in the instructions. lines: what the caller says where nobody listens."""

    replies: tuple[Reply, ...]
    facts: Mapping[str, tuple[re.Pattern[str], ...]] = field(default_factory=dict)
    told: Mapping[str, tuple[re.Pattern[str], ...]] = field(default_factory=dict)
    lines: tuple[str, ...] = ()


def fields_of(text: str) -> list[str]:
    """The names in braces. Raises ValueError for braces that don't match, or hold more than a name."""
    names = []
    for _, name, width, conversion in string.Formatter().parse(text):
        if width or conversion:
            raise ValueError(f"{text!r} has more than the name of a fact in them")
        names += [name] if name is not None else []
    return names


def texts_in(value: object) -> Iterator[str]:
    """All texts in the arguments of a call, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for inner in value.values() for text in texts_in(inner))
    elif isinstance(value, list):
        yield from (text for inner in value for text in texts_in(inner))


def load_script(path: Path) -> Script:
    """Read a script.

    Raises:
        ConfigError: it can't be read, or means nothing; with file, line and key.
    """
    toml = read_toml(path)
    known = ("lines", "facts", "facts_in_instructions", "replies")
    for name in toml.data:
        if name not in known:
            raise toml.error((name,), f"unknown key {name!r}{did_you_mean(name, known, otherwise=_one_of(known))}")
    facts, told = _facts(toml, "facts"), _facts(toml, "facts_in_instructions")
    replies = toml.data.get("replies")
    if replies and not isinstance(replies, list):
        raise toml.error(("replies",), "is a list of tables: write [[replies]]")
    if not isinstance(replies, list) or not replies:
        raise toml.error(("replies",), "is missing: a script needs at least one [[replies]]")
    names = {*facts, *told}
    read = tuple(_reply(toml, index, reply, names) for index, reply in enumerate(replies))
    lines = _texts(toml, ("lines",), toml.data.get("lines", []))
    if not all(line.strip() for line in lines):
        raise toml.error(("lines",), "has a line that says nothing")
    return Script(read, facts, told, lines)


def _facts(toml: TomlFile, table: str) -> dict[str, tuple[re.Pattern[str], ...]]:
    given = toml.data.get(table, {})
    if not isinstance(given, dict):
        raise toml.error((table,), "is a table of facts, each with a list of patterns")
    found: dict[str, tuple[re.Pattern[str], ...]] = {}
    for name, patterns in given.items():
        keys = (table, name)
        if not name.isidentifier():
            raise toml.error(keys, f"the name of a fact is one word of letters, digits and _, not {name!r}")
        found[name] = tuple(_pattern(toml, keys, text, flags=re.NOFLAG) for text in _texts(toml, keys, patterns))
        if not found[name]:
            raise toml.error(keys, "has no pattern")
        for pattern in found[name]:
            if pattern.groups == 0:
                raise toml.error(keys, f"{pattern.pattern!r} has no group: put the fact into parentheses")
    return found


def _reply(toml: TomlFile, index: int, given: object, facts: set[str]) -> Reply:
    keys: tuple[str, ...] = ("replies", str(index))
    if not isinstance(given, dict):
        raise toml.error(keys, "is a table")
    for name in given:
        if name not in _REPLY_KEYS:
            hint = did_you_mean(name, _REPLY_KEYS, otherwise=_one_of(_REPLY_KEYS))
            raise toml.error((*keys, name), f"unknown key {name!r}{hint}")
    lists = {name: _texts(toml, (*keys, name), given.get(name, [])) for name in ("offered", "known", "unknown", "say")}
    texts = {name: _text(toml, (*keys, name), given[name]) for name in ("after", "call") if name in given}
    patterns = {
        name: _pattern(toml, (*keys, name), _text(toml, (*keys, name), given[name]), flags=re.IGNORECASE)
        for name in ("when", "instructions")
        if name in given
    }
    arguments = given.get("arguments", {})
    if not isinstance(arguments, dict):
        raise toml.error((*keys, "arguments"), "is a table")
    if "arguments" in given and "call" not in given:
        raise toml.error((*keys, "arguments"), "belongs to a call: say which with call = ...")
    if not lists["say"] and "call" not in given:
        raise toml.error(keys, "neither says nor calls anything: give it say or call")
    for name in ("known", "unknown"):
        _check_facts(toml, (*keys, name), lists[name], facts)
    try:
        reply = Reply(**lists, **texts, **patterns, arguments=arguments)  # type: ignore[arg-type]
        needed = reply.needs
    except ValueError as error:
        raise toml.error(keys, f"its braces don't match: {error}") from None
    try:
        json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError):
        raise toml.error((*keys, "arguments"), "holds what JSON has no form for: a date, a time, nan or inf") from None
    _check_facts(toml, keys, needed, facts)
    return reply


def _check_facts(toml: TomlFile, keys: tuple[str, ...], names: Iterable[str], facts: set[str]) -> None:
    for name in names:
        if name not in facts:
            hint = did_you_mean(name, facts, otherwise=_one_of(sorted(facts)))
            raise toml.error(keys, f"there is no fact {name!r}{hint}")


def _pattern(toml: TomlFile, keys: tuple[str, ...], text: str, *, flags: re.RegexFlag) -> re.Pattern[str]:
    try:
        return re.compile(text, flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise toml.error(keys, f"{text!r} is no regular expression: {error}") from None


def _texts(toml: TomlFile, keys: tuple[str, ...], value: object) -> tuple[str, ...]:
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise toml.error(keys, "is a text or a list of texts")
    return tuple(items)


def _text(toml: TomlFile, keys: tuple[str, ...], value: object) -> str:
    if not isinstance(value, str):
        raise toml.error(keys, "is a text")
    return value


def _one_of(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f"; one of {listed}" if listed else ""
