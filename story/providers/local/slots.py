"""The constrained pass that fills a tool's arguments with a caller's own words.

The notes name the words before the argument they belong to: asked the other way round ("name=..."), this model finds
something for every argument there is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from story.providers.local import grounding
from story.providers.local.prompt import clean
from story.providers.local.wanted import Argument, Wanted

Value = str | int | float | bool | list[str]

NONE = "none"

_RULES = (
    "Notes of phone calls. For every line of the caller, note the wanted facts that the caller states in that line, "
    "each in the caller's own words with the name of the fact in brackets. Note none if the line states none of "
    "them, is a question, or talks of something else."
)
# Of other trades than a persona's, and no word of them can be copied: the grammar allows the caller's words alone.
_EXAMPLES = (
    (
        "drink (what to drink), cup (size of the cup)",
        (
            ("drink and cup", "Uh, a small latte would be great.", "latte (drink), small (cup)"),
            ("cup", "Good morning! Are you open today?", NONE),
            ("cup", "The biggest one you have.", "biggest one (cup)"),
            ("drink", "Do you also have tea?", NONE),
        ),
    ),
    (
        "pet (name of the pet), breed (breed of the pet), vet (the vet's name)",
        (
            ("pet, breed and vet", "It's about my dog, a poodle called Biscuit.", "poodle (breed), Biscuit (pet)"),
            ("vet", "Why do you want to know that?", NONE),
            ("vet", "Weber.", "Weber (vet)"),
            ("vet", "I'm so worried about her.", NONE),
            ("vet", "No, sorry, her name is Lady Grey.", "Lady Grey (pet)"),
        ),
    ),
)
# What tells nobody anything, whatever is wanted: shown with the tool's own facts, which have no other example.
_IDLE = ("Hello?", "Can you hear me?", "How are you doing today?", "Why do you ask?", "I'm fine, thank you.")

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_NUMBERS = {word: number for number, word in enumerate(_UNITS.split())} | {"a": 1, "an": 1}
_NUMBERS |= {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_YES = frozenset(["yes", "yeah", "yep", "yup", "sure", "please", "right", "correct", "true", "definitely", "okay"])
_NO = frozenset(["no", "nope", "nah", "not", "never", "don't", "doesn't", "isn't", "won't", "without", "wrong"])


def head(tool: Wanted) -> str:
    """The part of the pass's prompt that does not depend on the caller."""
    parts = [_RULES, "\n"]
    for facts, lines in _EXAMPLES:
        parts.append(f"\nWanted: {facts}\n")
        parts += (f"{_line(asked, said)} {notes}\n" for asked, said, notes in lines)
    parts.append(f"\nWanted: {clean(', '.join(_fact(argument) for argument in tool.arguments))}\n")
    parts += (f"{_line(_listed(tool.arguments), said)} {NONE}\n" for said in _IDLE)
    return "".join(parts)


def tail(tool: Wanted, asked: Sequence[Argument], said: str) -> str:
    """The caller's line, after having been asked for `asked`; what comes next are the notes on it."""
    return _line(_listed(asked or tool.arguments), flat(said))


def flat(said: str) -> str:
    """`said` on one line."""
    return " ".join(clean(said).split())


def _line(asked: str, said: str) -> str:
    return f"Asked: {asked}\nCaller: {said}\nNotes:"


def _listed(arguments: Iterable[Argument]) -> str:
    *rest, last = (argument.label for argument in arguments)
    return f"{', '.join(rest)} and {last}" if rest else last


def _fact(argument: Argument) -> str:
    about = argument.description
    if argument.choices:
        about += f"{': ' if about else ''}{' or '.join(argument.choices)}"
    elif argument.kind == "boolean":
        about += f"{': ' if about else ''}yes or no"
    return f"{argument.name} ({about})" if about else argument.name


def grammar(tool: Wanted, said: str) -> str:
    """GBNF for the notes: stretches of what was said, each with the argument it is; or "none"."""
    spans = grounding.span_rules(said, "w")
    if not spans:
        return ""
    items: list[str] = []
    free: list[str] = []
    for argument in tool.arguments:
        name = json.dumps(f" ({argument.name})")
        if argument.choices:
            items.append(f"({' | '.join(map(json.dumps, argument.choices))}) {name}")
        elif argument.kind == "boolean":
            items.append(f'("yes" | "no") {name}')
        else:
            free.append(name)
    if free:
        items.append(f"w ({' | '.join(free)})")
    more = ""
    for _ in tool.arguments[1:]:
        more = f'(", " item {more})?'
    # The notes' own line end, as in the examples: the end of the text is unlikely here, and the model would note on.
    return f'root ::= (" {NONE}" | " " item {more}) "\\n"\nitem ::= {" | ".join(items)}\n{spans}'


def read(tool: Wanted, notes: str, said: str) -> dict[str, Value]:
    """The values in `notes` that are grounded in `said`; the same words can't be two of them."""
    values: dict[str, Value] = {}
    taken: set[str] = set()
    for match in re.finditer(r"(.+?) \((\w+)\)(?:, |$)", notes.strip()):
        text, name = match.groups()
        argument = next((argument for argument in tool.arguments if argument.name == name), None)
        if argument is None or name in values:
            continue
        value = _value(argument, text, said)
        heard = set(grounding.normal(text).split())
        if value is None or (isinstance(value, str) and heard & taken and len(tool.arguments) > 1):
            continue
        values[name] = value
        taken |= heard
    return values


def _value(argument: Argument, text: str, said: str) -> Value | None:
    if argument.choices:
        return text if grounding.occurs(text.replace("_", " "), said) else None
    if argument.kind == "boolean":
        heard = set(grounding.normal(said).split())
        return text == "yes" if heard & (_YES if text == "yes" else _NO) else None
    if argument.kind in ("integer", "number"):
        number = _number(text)
        return int(number) if number is not None and argument.kind == "integer" else number
    if not grounding.is_said(text, said):
        return None
    if argument.kind == "array":
        return [item.strip() for item in re.split(r",\s*(?:and\s+)?|\s+and\s+", text) if item.strip()]
    return text


def _number(text: str) -> float | None:
    digits = re.search(r"\d+(?:[.,]\d+)?", text)
    if digits:
        return float(digits.group().replace(",", "."))
    values = [_NUMBERS[word] for word in re.split(r"[\s-]+", text.lower()) if word in _NUMBERS]
    return float(sum(values)) if values else None


def missing(tool: Wanted, known: Mapping[str, Value]) -> tuple[Argument, ...]:
    """The arguments that must still be learnt."""
    return tuple(argument for argument in tool.required if argument.name not in known)
