"""Numbers that must lie within limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from story.emulator.fields import optional, read
from story.emulator.vendor import VendorError


def number_within(data: Mapping[str, object], name: str, default: float, low: float, high: float) -> float:
    """The number `name`; `default` where it is missing. Raises VendorError(400) outside of `low` to `high`."""
    value = read(data, name, float, default)
    if low <= value <= high:
        return value
    if value < low:
        message = (
            f"Invalid '{name}': decimal below minimum value. Expected a value >= {low:g}, but got {value:g} instead."
        )
        raise VendorError(400, message, "decimal_below_min_value", param=name)
    message = f"Invalid '{name}': decimal above maximum value. Expected a value <= {high:g}, but got {value:g} instead."
    raise VendorError(400, message, "decimal_above_max_value", param=name)


def most_tokens(data: Mapping[str, object], name: str, low: int = 1) -> int | None:
    """How many tokens an answer may have, None for any number. Raises VendorError(400) below `low`."""
    value = optional(data, name, int)
    if value is not None and value < low:
        message = f"Invalid '{name}': integer below minimum value. Expected a value >= {low}, but got {value} instead."
        raise VendorError(400, message, "integer_below_min_value", param=name)
    return value


def check_sampling(data: Mapping[str, object]) -> None:
    """The parameters of chance mean nothing here but must be right all the same. Raises VendorError(400)."""
    number_within(data, "temperature", 1.0, 0, 2)
    number_within(data, "top_p", 1.0, 0, 1)
    number_within(data, "frequency_penalty", 0.0, -2, 2)
    number_within(data, "presence_penalty", 0.0, -2, 2)


def integer_within(data: Mapping[str, object], name: str, low: int, high: int) -> int | None:
    """The integer `name`, None where it is missing. Raises VendorError(400) outside of `low` to `high`."""
    value = most_tokens(data, name, low)
    if value is not None and value > high:
        message = f"Invalid '{name}': integer above maximum value. Expected a value <= {high}, but got {value} instead."
        raise VendorError(400, message, "integer_above_max_value", param=name)
    return value


def refuse_unemulated(data: Mapping[str, object], names: Iterable[str]) -> None:
    """Parameters that would change the answer but can't here. Raises VendorError(400) for one that is set."""
    for name in names:
        if data.get(name) not in (None, False, [], {}):
            message = f"Unsupported parameter: '{name}' is not emulated."
            raise VendorError(400, message, "unsupported_parameter", param=name)
