"""Figures: how they are made of many values, and how they read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.web_calls.caller import Turn


@dataclass
class Found:
    """What a part of the benchmark found of one server. lines: to be read; data: to be kept; summary: name -> text."""

    lines: list[str] = field(default_factory=list)
    data: dict[str, object] = field(default_factory=dict)
    summary: dict[str, str] = field(default_factory=dict)

    def tell(self, name: str, text: str, *, summary: bool = True) -> None:
        """A line; with `summary` it stands in the table at the end as well."""
        self.lines.append(f"{name:<38} {text}")
        if summary:
            self.summary[name] = text


def milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def percentile(values: Sequence[float], share: float) -> float | None:
    return float(np.percentile(np.asarray(values), share)) if len(values) else None


def known(values: Sequence[float | None]) -> list[float]:
    """Those that there are."""
    return [value for value in values if value is not None]


def spread(values: Sequence[float | None], less: float = 0.0) -> str:
    """p50 and p95 in ms, less what others took, and of how many."""
    there = [value - less for value in known(values)]
    missing = len(values) - len(there)
    told = f"p50 {milliseconds(percentile(there, 50)):>5}  p95 {milliseconds(percentile(there, 95)):>5} ms"
    return f"{told}  n {len(there)}" + (f", {missing} missing" if missing else "")


def short(values: Sequence[float | None], less: float = 0.0) -> str:
    there = [value - less for value in known(values)]
    return f"{milliseconds(percentile(there, 50))}/{milliseconds(percentile(there, 95))}"


def rate(hits: int, of: int) -> str:
    return f"{hits} of {of}"


def rows(turns: Sequence[Turn]) -> list[dict[str, object]]:
    """Turns as JSON data."""
    return [
        {
            "utterance": turn.utterance,
            "onset": turn.said.onset,
            "end": turn.said.end,
            "answer": turn.answer,
            "latency": turn.latency,
        }
        for turn in turns
    ]
