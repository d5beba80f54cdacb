"""A run as data: JSON of the figures and of every call, CSV with a line for each turn of the caller."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from story.bench.outcome import Outcome, TurnFigures
from story.bench.store import Result
from story.bench.summary import STAGES, StackFigures

_PLAIN = tuple(f.name for f in fields(TurnFigures) if f.name not in ("stages", "log"))

_CALL = ("stack", "scenario", "repetition", "held", "status", "kind", "held_again")

_OF_CALL = (
    "duration", "greeting", "words", "errors", "names", "spoken_words", "misheard", "handoffs_right", "early_handoffs",
    "interruptions", "words_cut", "asides", "false_yields", "retries", "fallbacks", "dead_air", "talk_over", "cost",
    "assumed", "lag",
)  # fmt: skip
"""Figures of a call, which are on each of its lines; by the names of `Outcome`."""
_COUNTED = ("facts", "facts_right", "names_unheard", "faults", "retried")
"""The same, counted."""


def as_json(about: dict[str, Any], figures: Sequence[StackFigures], results: Sequence[Result]) -> str:
    """The whole run."""
    calls = [
        {
            "stack": result.stack,
            "scenario": result.scenario,
            "repetition": result.repetition,
            **result.outcome.as_dict(),
        }
        for result in results
    ]
    return json.dumps({"run": about, "stacks": [asdict(one) for one in figures], "calls": calls}, ensure_ascii=False)


def as_csv(results: Sequence[Result], held: str = "") -> str:
    """One line a turn, with the figures of its call; a call without any has one line all the same. held: how the calls
    were."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_CALL, *_PLAIN, *(f"stage_{s}" for s in STAGES), *_OF_CALL, *_COUNTED])
    for result in results:
        outcome = result.outcome
        call = [*result.key, held, outcome.status, outcome.kind, outcome.held_again]
        whole = _whole(outcome)
        for turn in outcome.turns:
            plain = [getattr(turn, name) for name in _PLAIN]
            writer.writerow([*call, *plain, *(turn.stages.get(stage) for stage in STAGES), *whole])
        if not outcome.turns:
            writer.writerow([*call, *[None] * (len(_PLAIN) + len(STAGES)), *whole])
    return out.getvalue()


def _whole(outcome: Outcome) -> list[object]:
    """The figures of a call as a whole."""
    counted = [len(outcome.facts), sum(outcome.facts.values()), len(outcome.unheard)]
    kinds = [" ".join(f"{kind}={count}" for kind, count in by.items()) for by in (outcome.faults, outcome.retried)]
    return [*(getattr(outcome, name) for name in _OF_CALL), *counted, *kinds]
