"""Callers who say something and take it back: what they say is written anew, and a voice has to speak it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from story.bench.words import missing
from story.core.errors import ConfigError

if TYPE_CHECKING:
    from story.bench.scenarios import Line

NAMES = ("Peter", "Laura", "Daniel", "Sophie", "Martin", "Julia", "Thomas", "Helen")
CHANGES = (
    "I think I would like to stop now, no, wait, please go on.",
    "That's all for today, no, wait, I changed my mind, please go on.",
    "I have to go soon, or no, wait, please keep going.",
)
"""An agent that ends the call on the first half of these was too quick."""


def with_a_wrong_name(name: str, lines: Sequence[Line], facts: Mapping[str, str], seed: int) -> tuple[Line, ...]:
    """The lines of the scenario `name`, in the first of which that has the caller's name another one is put right.

    Raises:
        ConfigError: its caller says no name.
    """
    right = facts.get("name")
    number = next((n for n, line in enumerate(lines) if right and not missing([right], line.text)), None)
    if right is None or number is None or right not in lines[number].text:
        raise ConfigError(f"wrong-name: the caller of {name} says no name that is among the facts as `name`")
    others = [other for other in NAMES if other != right]
    wrong = others[int(np.random.default_rng(seed).integers(len(others)))]
    text = lines[number].text.replace(right, f"{wrong}, no, sorry, it's {right}", 1)
    return tuple(_written(line, text if n == number else line.text) for n, line in enumerate(lines))


def with_a_change_of_mind(name: str, lines: Sequence[Line], seed: int) -> tuple[Line, ...]:
    """The lines of the scenario `name`, before the last of which the caller is about to leave, and stays.

    Raises:
        ConfigError: it has a single line.
    """
    if len(lines) < 2:
        raise ConfigError(f"change-of-mind: the caller of {name} has to have two turns at least")
    change = CHANGES[int(np.random.default_rng(seed).integers(len(CHANGES)))]
    written = [_written(line, line.text) for line in lines]
    return (*written[:-1], replace(written[-1], text=change, barge_in=None), written[-1])


def _written(line: Line, text: str) -> Line:
    """One that has to be spoken: a caller has the same voice all through a call."""
    return replace(line, sound=None, text=text, words=(), scripted=True)
