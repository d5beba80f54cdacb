"""The benchmark's own test: latencies that were injected into emulated vendors have to be found back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from story.bench.outcome import OK
from story.bench.store import Result
from story.core.errors import ConfigError

SHARE, SECONDS = 0.05, 0.010
"""By no more than this share, or these seconds where they are more, may what is found be off."""
_MEASURED = {"stt": "final", "llm": "llm", "tts": "tts"}


@dataclass(frozen=True)
class Stage:
    """Of one role of one stack, medians in seconds over `count` turns.

    given: the latency that was injected. log: what the vendor's log says that it took. measured: what the benchmark
    found. way: of that, the plugin's share: its chunking, its connection, its decoding.
    """

    stack: str
    role: str
    count: int
    given: float
    log: float
    measured: float
    way: float

    @property
    def rest(self) -> float:
        """What is measured, without the plugin's share."""
        return self.measured - self.way

    @property
    def found(self) -> bool:
        return abs(self.rest - self.given) <= max(SHARE * self.given, SECONDS)


def calibrate(results: Sequence[Result]) -> list[Stage]:
    """Stage by stage of each stack.

    Raises:
        ConfigError: the vendors were not emulated, or nothing was measured.
    """
    turns: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}
    for result in results:
        if result.outcome.status != OK:
            continue
        for turn in result.outcome.turns:
            for role, name in _MEASURED.items():
                measured, log = getattr(turn, name), turn.log
                if measured is not None and f"{role}_given" in log:
                    row = (log[f"{role}_given"], log[role], measured, log[f"{role}_way"])
                    turns.setdefault((result.stack, role), []).append(row)
    if not turns:
        raise ConfigError("no call of this run went to emulated vendors: run it with --emulate --profile baseline")
    found: list[Stage] = []
    for (stack, role), rows in turns.items():
        found.append(Stage(stack, role, len(rows), *(median(column) for column in zip(*rows, strict=True))))
    return found
