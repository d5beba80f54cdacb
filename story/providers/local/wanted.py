"""What a tool wants from a caller, read from its JSON schema."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from livekit.agents import llm
from livekit.agents.llm.utils import build_legacy_openai_schema

Kind = str  # "string", "integer", "number", "boolean", "array"


@dataclass(frozen=True)
class Argument:
    """One argument. `choices`: the values of an enumeration, as text."""

    name: str
    description: str
    kind: Kind = "string"
    required: bool = True
    choices: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.name.replace("_", " ")

    def phrase(self, whose: str = "your") -> str:
        """How to speak of it: "your name" to the caller, "the caller's name" (`whose`) to the model."""
        text = re.sub(r"\s*[.(].*$", "", self.description.strip()) or self.label
        owner = r"(?:the )?(?:user|caller|customer|person|guest|client|patient)"
        text = re.sub(rf"^(?:the |an? )?(.+?) of {owner}$", rf"{whose} \1", text, flags=re.IGNORECASE)
        text = re.sub(rf"^{owner}'s ", f"{whose} ", text, flags=re.IGNORECASE)
        if len(text.split()) > 8:
            text = f"{whose} {self.label}"
        if not re.match(rf"(?:{whose}|the|an?|how|what|which|where|when|whether|if)\b", text, re.IGNORECASE):
            text = f"{whose} {text}" if text == self.label else f"the {text}"
        return text[0].lower() + text[1:]


@dataclass(frozen=True)
class Wanted:
    """A tool: what it is for and what the caller must say before it is called."""

    tool: str
    description: str
    arguments: tuple[Argument, ...] = ()

    @property
    def required(self) -> tuple[Argument, ...]:
        return tuple(argument for argument in self.arguments if argument.required)


def wanted(tool: llm.Tool) -> Wanted | None:
    """What `tool` wants; None for a tool that the model's provider would run itself."""
    if isinstance(tool, llm.RawFunctionTool):
        schema: Mapping[str, object] = tool.info.raw_schema
    elif isinstance(tool, llm.FunctionTool):
        schema = build_legacy_openai_schema(tool, internally_tagged=True)
    else:
        return None
    return from_schema(schema)


def from_schema(schema: Mapping[str, object]) -> Wanted:
    """What a tool with this function schema (name, description, parameters) wants."""
    parameters = _table(schema.get("parameters"))
    definitions = _table(parameters.get("$defs"))
    required = parameters.get("required")
    names = {str(name) for name in required} if isinstance(required, Sequence) else set()
    arguments = tuple(
        _argument(name, _resolved(_table(value), definitions), name in names)
        for name, value in _table(parameters.get("properties")).items()
    )
    return Wanted(str(schema.get("name", "")), _one_line(schema.get("description")), arguments)


def _argument(name: str, schema: Mapping[str, object], required: bool) -> Argument:
    choices = schema.get("enum")
    kind = schema.get("type", "string")
    if isinstance(kind, Sequence) and not isinstance(kind, str):
        kind = next((entry for entry in kind if entry != "null"), "string")
    return Argument(
        name=name,
        description=_one_line(schema.get("description")),
        kind=str(kind),
        required=required,
        choices=tuple(str(choice) for choice in choices) if isinstance(choices, Sequence) else (),
    )


def _resolved(schema: Mapping[str, object], definitions: Mapping[str, object]) -> Mapping[str, object]:
    """`schema` with its reference and its "or null" followed."""
    options = schema.get("anyOf") or schema.get("allOf")
    if isinstance(options, Sequence):
        chosen = next((_table(o) for o in options if _table(o).get("type") != "null"), {})
        return {**_resolved(chosen, definitions), **{k: v for k, v in schema.items() if k not in ("anyOf", "allOf")}}
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return {**_table(definitions.get(reference.rpartition("/")[2])), **schema}
    return schema


def _table(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _one_line(value: object) -> str:
    return " ".join(str(value or "").split())
