"""What differs between two runs, and whether it is more than chance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from story.bench.outcome import OK, UNBUILT, Outcome
from story.bench.statistics import Difference, Groups, difference, holm
from story.bench.store import Result
from story.bench.summary import latencies, of_turns, shown
from story.bench.terminal import milliseconds, per_cent
from story.core.errors import ConfigError

SURE = 0.05
_CONDITIONS = ("chain", "emulate", "seed", "caller_voice", "component", "max_duration")
"""What a request says of how its calls are, besides how they are held."""


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


def compare(before: Sequence[Result], after: Sequence[Result], *, by_scenario: bool = False) -> list[Change]:
    """The stacks that both runs have, figure by figure, by the scenarios that both held with them; by_scenario: each
    of those by itself.

    Raises:
        ConfigError: they have none in common.
    """
    both = _held(before) & _held(after)
    first, second = (
        _by_stack(shown([one for one in results if (one.stack, one.scenario) in both], by_scenario=by_scenario))
        for results in (before, after)
    )
    common = [stack for stack in first if stack in second]
    if not common:
        raise ConfigError("the runs have no stack in common that was held in both with the same scenario")
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


def left_out(before: Sequence[Result], after: Sequence[Result]) -> tuple[list[str], list[str]]:
    """What only the one run has, and what only the other: stacks, scenarios, and scenarios of one stack."""
    return _only(before, after), _only(after, before)


def _only(results: Iterable[Result], others: Sequence[Result]) -> list[str]:
    there = _held(others)
    stacks, scenarios = {stack for stack, _ in there}, {scenario for _, scenario in there}
    names: dict[str, None] = {}
    for one in results:
        if one.outcome.status == UNBUILT or (one.stack, one.scenario) in there:
            continue
        of_both = f"{one.stack} / {one.scenario}" if one.scenario in scenarios else one.scenario
        names[of_both if one.stack in stacks else one.stack] = None
    return list(names)


def _held(results: Iterable[Result]) -> set[tuple[str, str]]:
    return {(one.stack, one.scenario) for one in results if one.outcome.status != UNBUILT}


def differing(
    before: Mapping[str, Any], after: Mapping[str, Any], names: tuple[str, str] = ("in A", "in B")
) -> list[str]:
    """What else is not the same in two runs, in words. before, after: what their results keep of them."""
    one, other = _conditions(before), _conditions(after)
    first, second = names
    return [
        f"{name}: {one.get(name)} {first}, {other.get(name)} {second}"
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name)
    ]


def _conditions(about: Mapping[str, Any]) -> dict[str, Any]:
    request, machine = about.get("request", {}), about.get("machine", {})
    found = {name: request.get(name) for name in _CONDITIONS}
    return {
        **found,
        **{name: value for name, value in machine.items() if name != "packages"},
        **machine.get("packages", {}),
    }
