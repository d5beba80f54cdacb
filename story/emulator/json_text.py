"""JSON as vendors take and send it."""

from __future__ import annotations

import json
import math
from typing import NoReturn


def load_json(text: str | bytes) -> object:
    """What `text` says, which must be JSON to the letter: UTF-8, without halves of characters, its numbers finite.

    Those Python lets pass, and could not send back.

    Raises:
        ValueError: it is no such JSON, or nested too deep.
    """
    decoded = text.decode() if isinstance(text, bytes) else text
    try:
        data: object = _DECODER.decode(decoded)
        if "\\u" in decoded:
            dump_json(data).encode()
    except RecursionError:
        raise ValueError("nested too deep") from None
    return data


def dump_json(data: object) -> str:
    """`data` in as few characters as can be."""
    return _ENCODER.encode(data)


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


# Made once: json.loads and json.dumps make theirs for every message.
_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
