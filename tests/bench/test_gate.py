"""Limits that a run has to keep: each figure, what was not seen, and prices that gate nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from story.bench.gate import LIMITS, judge
from story.bench.outcome import FAILED, OK, UNBUILT, Outcome, TurnFigures
from story.bench.store import Result, Results
from story.bench.summary import StackFigures, summarise
from story.core.errors import ConfigError
from tests.bench.running import story

STACK = "deepgram+gpt4o-mini"


def call(number: int = 1, scenario: str = "maria", **values: object) -> Result:
    """A call of a minute for a cent, with two turns, of which the second broke in."""
    turns = (TurnFigures(1, 0.0, 1.0, 0.8), TurnFigures(2, 5.0, 6.0, 1.0, barged=True, broke_in=True, stopped=0.4))
    known: dict[str, object] = {
        "ended": "finished", "turns": turns, "handoff_gaps": (1.2,), "words": 100, "errors": 4, "cost": 0.01,
        "duration": 60.0, "facts": {"name": True, "location": False}, "spoken_words": 50, "misheard": 1,
    }  # fmt: skip
    return Result(STACK, scenario, number, Outcome(**{"status": OK, **known, **values}))  # type: ignore[arg-type]


def figures(*calls: Result) -> list[StackFigures]:
    return summarise(calls)


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("p50", 0.9, "900 ms"), ("p90", 0.98, "980 ms"), ("p95", 0.99, "990 ms"), ("p99", 0.998, "998 ms"),
        ("handoff", 1.2, "1200 ms"), ("barge_in", 0.4, "400 ms"), ("wer", 0.04, "4%"), ("intelligibility", 0.02, "2%"),
        ("failures", 0.5, "50%"), ("facts", 0.5, "50%"), ("cost", 0.01, "$0.0100"),
    ],
)  # fmt: skip
def test_each_limit(name: str, value: float, found: str) -> None:
    run = figures(call(), call(2, status=FAILED, kind="tts", turns=(), handoff_gaps=()))
    better = -1e-6 if name == "facts" else 1e-6
    (kept,), (broken,) = (judge(run, {name: value + off}) for off in (better, -better))
    assert kept.passed and kept.found == found and not broken.passed


def test_every_limit_is_tested() -> None:
    (of_each,) = (mark.args[1] for mark in test_each_limit.pytestmark)  # type: ignore[attr-defined]
    assert [name for name, _, _ in of_each] == list(LIMITS)


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_what_was_not_seen_is_not_kept(name: str) -> None:
    nothing = call(turns=(), handoff_gaps=(), words=0, cost=None, facts={}, spoken_words=0, status=FAILED, kind="tts")
    (verdict,) = judge(figures(nothing), {name: 0.0 if name in ("facts", "failures") else 1e9})
    assert not verdict.passed and verdict.found == ("100%" if name == "failures" else "-")


def test_a_stack_that_was_not_built() -> None:
    (verdict,) = judge(figures(call(status=UNBUILT, reason="no key")), {"p95": 5.0})
    assert not verdict.passed and verdict.found == "no (no key)"


def test_what_could_be_built_once_and_then_no_more_has_failed() -> None:
    (one,) = figures(call(), call(2, status=UNBUILT, kind="stack", reason="no key"))
    assert (one.ok, one.calls, one.failures) == (1, 2, {"stack": 1})


def test_an_assumed_price_gates_nothing_and_has_a_star(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = figures(call(), call(2, assumed=True))
    with pytest.raises(ConfigError, match="a price is assumed, and gates nothing"):
        judge(run, {"cost": 1.0})
    assert judge(run, {"p95": 5.0})[0].passed
    with Results.create(tmp_path, {}) as results:
        results.add(call(assumed=True))
    assert story("gate", str(tmp_path), "--cost", "$0.02") == 2
    assert "a price is assumed" in capsys.readouterr().err
    assert story("report", str(tmp_path)) == 0
    told = capsys.readouterr().out
    assert "$0.0100*" in told and "* with a price that no source gives" in told


def test_a_cost_that_has_a_source(tmp_path: Path) -> None:
    with Results.create(tmp_path, {}) as results:
        results.add(call())
        results.add(call(2, duration=30.0, cost=0.005))
    assert story("gate", str(tmp_path), "--cost", "0.0101") == 0
    assert story("gate", str(tmp_path), "--cost", "$0.0099") == 1


def test_a_minute_without_all_its_prices_costs_nothing_known() -> None:
    (one,) = figures(call(), call(2, cost=None, unpriced=("acme/one",)))
    assert one.cost_a_minute is None and one.unpriced == ("acme/one",)


def test_harder_calls_are_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    harder = call(scenario="maria~noise=0", errors=50)
    (one,) = figures(call(), harder)
    assert one.calls == 1 and one.wer == 0.04
    with Results.create(tmp_path, {}) as results:
        results.add(call())
        results.add(harder)
    assert story("gate", str(tmp_path), "--wer", "5%") == 0
    assert story("gate", str(tmp_path), "--wer", "5%", "--by-scenario", "--stack", STACK) == 1
    capsys.readouterr()
    assert story("report", str(tmp_path)) == 0
    told = capsys.readouterr().out
    assert "1 harder calls are not in these figures" in told
    assert story("report", str(tmp_path), "--by-scenario") == 0
    told = capsys.readouterr().out
    assert "noise=0" in told and "harder calls" not in told
    page = tmp_path / "report.html"
    assert story("report", str(tmp_path), "--html", str(page)) == 0
    assert "maria~noise=0" not in page.read_text(encoding="utf-8")
    assert "but for 1 harder calls" in capsys.readouterr().err
    assert story("report", str(tmp_path), "--html", str(page), "--by-scenario") == 0
    assert f"{STACK} (maria~noise=0)" in page.read_text(encoding="utf-8")
