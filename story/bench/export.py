"""A run as data: JSON of the figures and of every call, CSV with a line for each turn of the caller."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from story.bench.outcome import TurnFigures
from story.bench.store import Result
from story.bench.summary import STAGES, StackFigures

_PLAIN = tuple(f.name for f in fields(TurnFigures) if f.name not in ("stages", "log"))

_CALL = ("stack", "scenario", "repetition", "held", "status", "kind", "held_again")


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
    """One line a turn; a call without any has one line all the same. held: how the calls were."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_CALL, *_PLAIN, *(f"stage_{s}" for s in STAGES)])
    for result in results:
        outcome = result.outcome
        call = [*result.key, held, outcome.status, outcome.kind, outcome.held_again]
        for turn in outcome.turns:
            plain = [getattr(turn, name) for name in _PLAIN]
            writer.writerow([*call, *plain, *(turn.stages.get(stage) for stage in STAGES)])
        if not outcome.turns:
            writer.writerow([*call, *[None] * (len(_PLAIN) + len(STAGES))])
    return out.getvalue()
