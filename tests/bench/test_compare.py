"""Two runs that differ: in their figures, and in what they have."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from story.bench.compare import compare, differing, left_out
from story.bench.outcome import FAILED, OK, UNBUILT, Outcome, TurnFigures
from story.bench.store import Result, Results
from story.core.errors import ConfigError
from tests.bench.running import story


def calls(
    stack: str, scenario: str = "maria", *, latency: float = 0.8, errors: int = 2, failed: int = 0, count: int = 12
) -> list[Result]:
    """Calls alike but for a few milliseconds; the last of them failed."""
    return [
        Result(
            stack, scenario, number,
            Outcome(
                FAILED if number > count - failed else OK, turns=(TurnFigures(1, 0.0, 1.0, latency + number / 1000),),
                words=100, errors=errors, facts={"name": True},
            ),
        )
        for number in range(1, count + 1)
    ]  # fmt: skip


def test_what_is_slower_or_worse_for_sure() -> None:
    found = {one.figure: one for one in compare(calls("a"), calls("a", latency=1.1, errors=9, failed=11))}
    assert found["p50"].significant and found["p50"].worse and found["p50"].told(found["p50"].change) == "300"
    assert found["wer"].significant and found["wer"].worse and found["wer"].told_range().startswith("+7%")
    assert found["failed"].significant and found["failed"].worse
    assert not found["facts"].significant
    better = {one.figure: one for one in compare(calls("a", latency=1.1), calls("a"))}
    assert better["p50"].significant and not better["p50"].worse


def test_what_only_one_of_them_has_is_left_out_and_told() -> None:
    before = [*calls("a"), *calls("b"), *calls("a", "olivia", latency=9.0), *calls("a", "john"), *calls("b", "john")]
    after = [*calls("a"), *calls("b"), *calls("c"), *calls("b", "john")]
    after += [Result("d", "maria", 1, Outcome(UNBUILT))]
    assert left_out(before, after) == (["olivia", "a / john"], ["c"])
    found = compare(before, after)
    assert {one.stack for one in found} == {"a", "b"}
    assert all(one.change == 0 for one in found), "what is slower with olivia is no change"


def test_harder_calls_are_compared_by_scenario() -> None:
    before, after = ([*calls("a"), *calls("a", "maria~narrow", latency=slow)] for slow in (1.0, 1.5))
    assert all(one.change == 0 for one in compare(before, after))
    found = {one.stack: one for one in compare(before, after, by_scenario=True) if one.figure == "p50"}
    assert found["a (maria)"].change == 0 and found["a (maria~narrow)"].change == pytest.approx(0.5)


@pytest.mark.parametrize(
    "after",
    [calls("b"), calls("a", "john"), [Result("a", "maria", 1, Outcome(UNBUILT))]],
    ids=["stack", "scenario", "built"],
)
def test_runs_that_have_nothing_in_common(after: Sequence[Result]) -> None:
    with pytest.raises(ConfigError, match="no stack in common"):
        compare(calls("a"), after)


def test_other_conditions_are_told() -> None:
    one = {"request": {"chain": "x", "seed": 0, "stacks": ["a"]}, "machine": {"cores": 2, "packages": {"av": "1"}}}
    other = {"request": {"chain": "x", "seed": 1, "stacks": ["b"]}, "machine": {"cores": 4, "packages": {"av": "2"}}}
    assert differing(one, one) == []
    assert differing(one, other) == ["seed: 0 in A, 1 in B", "cores: 2 in A, 4 in B", "av: 1 in A, 2 in B"]


def test_diff_of_two_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed, results in (("a", 0, [*calls("x"), *calls("y")]), ("b", 1, calls("x", latency=1.1))):
        with Results.create(tmp_path / name, {"request": {"seed": seed}}) as kept:
            for result in results:
                kept.add(result)
    assert story("diff", str(tmp_path / "a"), str(tmp_path / "b")) == 0
    told = capsys.readouterr()
    assert "+300" in told.out and "differ for sure" in told.out
    assert told.err.splitlines() == ["left out, as only A has it: y", "seed: 0 in A, 1 in B"]
    assert story("diff", str(tmp_path / "a"), str(tmp_path / "b"), "--json") == 0
    changes = {one["figure"]: one for one in json.loads(capsys.readouterr().out)}
    assert changes["p50"]["significant"] and changes["p50"]["change"] == pytest.approx(0.3)
