"""Checks of nested JSON that name the field at fault by its whole path, as OpenAI does: `session.tools[2].name`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from story.emulator.vendor import VendorError

Kind = TypeVar("Kind")
Check = Callable[[object, str], None]
"""Takes a value that is there and not null, and its path. Raises VendorError(400)."""


@dataclass(frozen=True)
class Table:
    """An object of these fields alone, null standing for one that is left out. required: those that must be there."""

    fields: Mapping[str, Check]
    required: tuple[str, ...] = ()

    def __call__(self, value: object, path: str) -> None:
        table = _a(dict, value, path)
        for name in table:
            if name not in self.fields:
                where = _under(path, name)
                raise VendorError(400, f"Unknown parameter: '{where}'.", "unknown_parameter", param=where)
        for name in self.required:
            if table.get(name) is None:
                where = _under(path, name)
                message = f"Missing required parameter: '{where}'."
                raise VendorError(400, message, "missing_required_parameter", param=where)
        for name, check in self.fields.items():
            if table.get(name) is not None:
                check(table[name], _under(path, name))


@dataclass(frozen=True)
class Variants:
    """An object that is one of several, told apart by its field `tag`."""

    tag: str
    variants: Mapping[str, Check]

    def __call__(self, value: object, path: str) -> None:
        table, where = _a(dict, value, path), _under(path, self.tag)
        if table.get(self.tag) is None:
            message = f"Missing required parameter: '{where}'."
            raise VendorError(400, message, "missing_required_parameter", param=where)
        OneOf(tuple(self.variants))(table[self.tag], where)
        self.variants[str(table[self.tag])](value, path)


@dataclass(frozen=True)
class OneOf:
    """One of these values."""

    values: tuple[object, ...]

    def __call__(self, value: object, path: str) -> None:
        if not any(value == known and type(value) is type(known) for known in self.values):
            known = ", ".join(f"'{known}'" for known in self.values)
            message = f"Invalid value: '{value}'. Supported values are: {known}."
            raise VendorError(400, message, "invalid_value", param=path)


@dataclass(frozen=True)
class Text:
    """A string. longest: characters."""

    longest: int | None = None

    def __call__(self, value: object, path: str) -> None:
        text = _a(str, value, path)
        if self.longest is not None and len(text) > self.longest:
            message = (
                f"Invalid '{path}': string too long. Expected a string with maximum length {self.longest}, "
                f"but got a string with length {len(text)} instead."
            )
            raise VendorError(400, message, "string_above_max_length", param=path)


@dataclass(frozen=True)
class Number:
    """A number within limits. whole: an integer."""

    low: float = 0
    high: float = float("inf")
    whole: bool = False

    def __call__(self, value: object, path: str) -> None:
        number = _a(int, value, path) if self.whole or isinstance(value, int) else _a(float, value, path)
        kind = "integer" if self.whole else "decimal"
        if number < self.low:
            end = f"below minimum value. Expected a value >= {self.low:g}, but got {number} instead."
            raise VendorError(400, f"Invalid '{path}': {kind} {end}", f"{kind}_below_min_value", param=path)
        if number > self.high:
            end = f"above maximum value. Expected a value <= {self.high:g}, but got {number} instead."
            raise VendorError(400, f"Invalid '{path}': {kind} {end}", f"{kind}_above_max_value", param=path)


@dataclass(frozen=True)
class Items:
    """An array."""

    check: Check

    def __call__(self, value: object, path: str) -> None:
        for index, item in enumerate(_a(list, value, path)):
            self.check(item, f"{path}[{index}]")


@dataclass(frozen=True)
class Pairs:
    """An object of up to `most` names and texts. longest_name, longest: characters."""

    most: int = 16
    longest_name: int = 64
    longest: int = 512

    def __call__(self, value: object, path: str) -> None:
        pairs = _a(dict, value, path)
        if len(pairs) > self.most:
            message = f"Invalid '{path}': too many properties. Expected an object with at most {self.most} properties."
            raise VendorError(400, message, "object_above_max_properties", param=path)
        for name, text in pairs.items():
            Text(self.longest_name)(name, path)
            Text(self.longest)(text, _under(path, name))


@dataclass(frozen=True)
class Either:
    """`plain` for what is no object, `table` for what is."""

    plain: Check
    table: Check

    def __call__(self, value: object, path: str) -> None:
        (self.table if isinstance(value, dict) else self.plain)(value, path)


def mapping(value: object, path: str) -> None:
    """An object of any fields."""
    _a(dict, value, path)


def truth(value: object, path: str) -> None:
    """A boolean."""
    _a(bool, value, path)


def unemulated(value: object, path: str) -> None:
    """Something that the vendor takes, but nothing here could act on."""
    if value not in (False, [], {}):
        message = f"Unsupported parameter: '{path}' is not emulated."
        raise VendorError(400, message, "unsupported_parameter", param=path)


def anything(value: object, path: str) -> None:
    """What makes no difference here, whatever it is."""


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_NAMES: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def _a(kind: type[Kind], value: object, path: str) -> Kind:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        message = f"Invalid type for '{path}': expected {_NAMES[kind]}, but got {_NAMES[type(value)]} instead."
        raise VendorError(400, message, "invalid_type", param=path)
    return value
