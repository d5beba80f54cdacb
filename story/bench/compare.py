"""What differs between two runs, and whether it is more than chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from story.bench.outcome import OK, UNBUILT, Outcome
from story.bench.statistics import Difference, Groups, difference, holm
from story.bench.store import Result
from story.bench.summary import latencies, of_turns
from story.bench.terminal import milliseconds, per_cent
from story.core.errors import ConfigError

SURE = 0.05


@dataclass(frozen=True)
class Change:
    """A figure of a stack before and after. chance: how likely so large a change is where nothing differs, all changes
    looked at together. rate: it is a share, not seconds. less_is_better: of the figure."""

    stack: str
    figure: str
    before: float
    after: float
    change: float
    low: float
    high: float
    chance: float
    rate: bool = False
    less_is_better: bool = True

    @property
    def significant(self) -> bool:
        return self.chance < SURE

    @property
    def worse(self) -> bool:
        return (self.change > 0) == self.less_is_better

    def told(self, value: float, *, signed: bool = False) -> str:
        text = per_cent(value) if self.rate else milliseconds(value)
        return f"+{text}" if signed and value > 0 else text

    def told_range(self) -> str:
        return f"{self.told(self.low, signed=True)} to {self.told(self.high, signed=True)}"


@dataclass(frozen=True)
class _Figure:
    """share: the percentile that is compared, None for the mean."""

    name: str
    groups: Callable[[Sequence[Outcome]], Groups]
    share: int | None
    rate: bool = False
    less_is_better: bool = True


_FIGURES = (
    _Figure("p50", latencies, 50),
    _Figure("p95", latencies, 95),
    _Figure("handoff", lambda held: [one.handoff_gaps for one in held], 50),
    _Figure("barge-in", lambda held: of_turns(held, lambda turn: turn.stopped), 50),
    _Figure("wer", lambda held: [[one.errors / one.words] for one in held if one.words], None, rate=True),
    _Figure(
        "intelligibility",
        lambda held: [[one.misheard / one.spoken_words] for one in held if one.spoken_words],
        None,
        rate=True,
    ),
    _Figure("failed", lambda held: [[float(one.status != OK)] for one in held], None, rate=True),
    _Figure(
        "facts",
        lambda held: [[float(all(one.facts.values()))] for one in held if one.facts],
        None,
        rate=True,
        less_is_better=False,
    ),
)


def compare(before: Sequence[Result], after: Sequence[Result]) -> list[Change]:
    """The stacks that both runs have, figure by figure.

    Raises:
        ConfigError: they have none in common.
    """
    first, second = _by_stack(before), _by_stack(after)
    common = [stack for stack in first if stack in second]
    if not common:
        raise ConfigError("the runs have no stack in common that was held in both")
    changes: list[Change] = []
    for stack in common:
        for figure in _FIGURES:
            found = difference(figure.groups(first[stack]), figure.groups(second[stack]), share=figure.share)
            if found is not None and (found.before or found.after):
                changes.append(_change(stack, figure, found))
    chances = holm([change.chance for change in changes])
    return [replace(change, chance=chance) for change, chance in zip(changes, chances, strict=True)]


def _change(stack: str, figure: _Figure, found: Difference) -> Change:
    return Change(
        stack, figure.name, found.before, found.after, found.change.value, found.change.low, found.change.high,
        found.chance, figure.rate, figure.less_is_better,
    )  # fmt: skip


def _by_stack(results: Sequence[Result]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for result in results:
        if result.outcome.status != UNBUILT:
            found.setdefault(result.stack, []).append(result.outcome)
    return found
