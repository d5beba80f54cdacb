"""Reading the parameters of an address."""

from __future__ import annotations

import math
from collections.abc import Mapping

from story.emulator.vendor import VendorError

INVALID = "invalid_parameter"
"""Code of the errors; vendors put it into their own words."""

Query = Mapping[str, str]


def number(query: Query, name: str, default: float, low: float, high: float) -> float:
    """A number from `low` to `high`; `default` where it isn't given. Raises VendorError (400)."""
    text = query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise VendorError(400, f"{name} must be a number from {low:g} to {high:g}", INVALID, param=name)
    return value


def whole(query: Query, name: str, default: int | None, low: int, high: int) -> int:
    """A whole number from `low` to `high`; `default` where it isn't given. None: it must be given.

    Raises:
        VendorError: 400.
    """
    if name not in query and default is None:
        raise VendorError(400, f"{name} is required", INVALID, param=name)
    value = number(query, name, low if default is None else default, low, high)
    if value != int(value):
        raise VendorError(400, f"{name} must be a whole number", INVALID, param=name)
    return int(value)
