"""The constrained pass that fills a tool's arguments with a caller's own words."""

from __future__ import annotations

import re
from collections.abc import Mapping

from story.providers.local import grounding
from story.providers.local.prompt import clean
from story.providers.local.wanted import Argument, Wanted

Value = str | int | float | bool | list[str]

_SYSTEM = (
    "You take notes during phone calls. From the caller's line you copy the wanted facts, word for word, as "
    "key=value. Only what the caller says in that line counts. Write - if the line states none of the wanted facts."
)
# From other trades than a persona's, and no word of them can be copied: the grammar allows the caller's words alone.
_SHOTS = (
    (
        "drink (what to drink), cup (size of the cup)",
        (
            ("", "Uh, a small latte would be great.", "drink=latte; cup=small"),
            ("", "Good morning! Are you open today?", "-"),
            ("cup", "The biggest one you have, please.", "cup=biggest one"),
            ("", "Do you also have tea?", "-"),
        ),
    ),
    (
        "pet (name of the pet), breed (breed of the pet), vet (the vet's name)",
        (
            ("", "It's about my dog. He's a poodle and he's called Biscuit.", "pet=Biscuit; breed=poodle"),
            ("vet", "Why do you want to know that?", "-"),
            ("vet", "Weber.", "vet=Weber"),
            ("", "No, sorry, her name is Lady Grey.", "pet=Lady Grey"),
        ),
    ),
)
_NUMBERS = dict(
    zip(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ],
        range(21),
        strict=True,
    )
) | {"a": 1, "an": 1, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_YES = frozenset(
    [
        "yes",
        "yeah",
        "yep",
        "yup",
        "sure",
        "please",
        "right",
        "correct",
        "true",
        "definitely",
        "absolutely",
        "okay",
        "ok",
        "course",
    ]
)
_NO = frozenset(
    ["no", "nope", "nah", "not", "never", "don't", "doesn't", "isn't", "won't", "without", "false", "negative"]
)


def head(tool: Wanted) -> str:
    """The part of the pass's prompt that does not depend on the caller."""
    parts = [f"<|im_start|>system\n{_SYSTEM}<|im_end|>"]
    for facts, lines in _SHOTS:
        for asked, said, notes in lines:
            parts.append(f"\n<|im_start|>user\nWanted: {facts}\n{line(asked, said)}{notes}<|im_end|>")
    facts = ", ".join(_fact(argument) for argument in tool.arguments)
    parts.append(f"\n<|im_start|>user\nWanted: {facts}\n")
    return "".join(parts)


def line(asked: str, said: str) -> str:
    """The caller's line, and what they had been asked for."""
    about = f"({asked}) " if asked else ""
    return f"{about}Caller: {said}<|im_end|>\n<|im_start|>assistant\n"


def tail(asked: str, said: str) -> str:
    return line(asked, clean(said).strip())


def _fact(argument: Argument) -> str:
    about = argument.description
    if argument.choices:
        about += f"{': ' if about else ''}{' or '.join(argument.choices)}"
    elif argument.kind == "boolean":
        about += f"{': ' if about else ''}true or false"
    return f"{argument.name} ({about})" if about else argument.name


def grammar(tool: Wanted, said: str) -> str:
    """GBNF for the notes: pairs of an argument's name and a stretch of what was said, or "-"."""
    spans = grounding.span_rules(said, "w")
    pairs = []
    rules = []
    for index, argument in enumerate(tool.arguments):
        if argument.choices:
            value = "(" + " | ".join(_literal(choice) for choice in argument.choices) + ")"
        elif argument.kind == "boolean":
            value = '("true" | "false")'
        elif spans:
            value = "w"
        else:
            continue
        rules.append(f"p{index} ::= {_literal(argument.name + '=')} {value}")
        pairs.append(f"p{index}")
    if not pairs:
        return ""
    # Each argument once, in the order of the tool: without that the model goes on noting.
    ways = [" ".join([pair, *(f'("; " {later})?' for later in pairs[at + 1 :])]) for at, pair in enumerate(pairs)]
    return "\n".join([f'root ::= "-" | {" | ".join(ways)}', *rules, spans])


def read(tool: Wanted, notes: str, said: str) -> dict[str, Value]:
    """The grounded values in `notes`, which were taken from `said`."""
    values: dict[str, Value] = {}
    for pair in notes.strip().split("; "):
        name, _, text = pair.partition("=")
        argument = next((argument for argument in tool.arguments if argument.name == name.strip()), None)
        if argument is None:
            continue
        value = _value(argument, text.strip(), said)
        if value is not None:
            values[argument.name] = value
    return values


def _value(argument: Argument, text: str, said: str) -> Value | None:
    if argument.choices:
        return text if _choice_is_said(text, said) else None
    if argument.kind == "boolean":
        heard = set(grounding.normal(said).split())
        return text == "true" if heard & (_YES if text == "true" else _NO) else None
    if argument.kind in ("integer", "number"):
        number = _number(text)
        return int(number) if number is not None and argument.kind == "integer" else number
    if not grounding.is_said(text, said):
        return None
    if argument.kind == "array":
        return [item.strip() for item in re.split(r",\s*(?:and\s+)?|\s+and\s+", text) if item.strip()]
    return text


def _choice_is_said(choice: str, said: str) -> bool:
    heard = f" {grounding.normal(said)} "
    return f" {grounding.normal(choice.replace('_', ' '))} " in heard


def _number(text: str) -> float | None:
    digits = re.search(r"\d+(?:[.,]\d+)?", text)
    if digits:
        return float(digits.group().replace(",", "."))
    values = [_NUMBERS[word] for word in re.split(r"[\s-]+", text.lower()) if word in _NUMBERS]
    return float(sum(values)) if values else None


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def missing(tool: Wanted, known: Mapping[str, Value]) -> tuple[Argument, ...]:
    return tuple(argument for argument in tool.required if argument.name not in known)
