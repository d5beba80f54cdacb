"""Reading fields of JSON that comes from outside."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeVar

from story.emulator.vendor import VendorError

Value = TypeVar("Value")


def read(data: Mapping[str, object], name: str, kind: type[Value], default: Value | None = None) -> Value:
    """The field `name`, which must be a `kind`; `default` where it is missing or null.

    Raises:
        VendorError: 400, naming the field.
    """
    value = data.get(name)
    if value is None:
        if default is None:
            message = f"Missing required parameter: '{name}'."
            raise VendorError(400, message, "missing_required_parameter", param=name)
        return default
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        with suppress(OverflowError):  # too large: no number to us
            value = float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        message = f"Invalid type for '{name}': expected {_NAMES.get(kind, kind.__name__)}."
        raise VendorError(400, message, "invalid_type", param=name)
    return value


def optional(data: Mapping[str, object], name: str, kind: type[Value]) -> Value | None:
    """The field `name`, None where it is missing or null. Raises VendorError(400) where it is of another kind."""
    return None if data.get(name) is None else read(data, name, kind)


def sound(data: Mapping[str, object], name: str) -> bytes:
    """A field with sound in base64; b"" where it is missing. Raises VendorError(400)."""
    text = read(data, name, str, "")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise VendorError(400, f"Invalid '{name}': expected base64 audio.", "invalid_value", param=name) from None


def objects(data: Mapping[str, object], name: str) -> list[dict[str, object]]:
    """A field with a list of objects; [] where it is missing. Raises VendorError(400)."""
    items = read(data, name, list, [])
    if not all(isinstance(item, dict) for item in items):
        message = f"Invalid type for '{name}': expected an array of objects."
        raise VendorError(400, message, "invalid_type", param=name)
    return items


_NAMES = {str: "a string", int: "an integer", float: "a number", bool: "a boolean", list: "an array", dict: "an object"}
