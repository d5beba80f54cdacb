"""The results file: what is finished is there, whatever happens after."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from story.bench.outcome import Outcome, TurnFigures
from story.bench.store import Result, Results, ResultsError
from story.core.errors import ConfigError

TURN = TurnFigures(1, 1.0, 2.0, 0.8, stages={"stt": 0.3}, log={"stt": 0.25})
OUTCOME = Outcome("ok", turns=(TURN,), handoff_gaps=(0.9,), facts={"name": True}, unheard=("Oslo",), cost=0.01)


def result(number: int, outcome: Outcome = OUTCOME) -> Result:
    return Result("deepgram", "maria", number, outcome)


def test_a_result_comes_back_as_it_was(tmp_path: Path) -> None:
    with Results.create(tmp_path / "run", {"request": {"seed": 1}}) as results:
        results.add(result(1))
        with Results.open(tmp_path / "run") as reader:  # while the run goes on
            assert reader.all() == [result(1)]
            assert reader.about["request"] == {"seed": 1} and reader.about["started"]
    with Results.open(tmp_path / "run" / "results.sqlite") as reader:
        assert reader.all() == [result(1)]


def test_results_of_another_version() -> None:
    data = {**OUTCOME.as_dict(), "later": 1, "turns": [{**OUTCOME.as_dict()["turns"][0], "later": 2}]}
    assert Outcome.from_dict(data) == OUTCOME


def test_a_full_disk_costs_no_result_that_was_there(tmp_path: Path) -> None:
    with Results.create(tmp_path, {}) as results:
        results.add(result(1))
        (pages,) = results._database.execute("PRAGMA page_count").fetchone()
        results._database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(ResultsError, match="the disk is full: the cells that were finished before are kept"):
            results.add(result(2, Outcome("ok", heard="word " * 20_000)))
    with Results.open(tmp_path) as reader:
        assert reader.all() == [result(1)]


def test_one_run_a_folder(tmp_path: Path) -> None:
    Results.create(tmp_path, {}).close()
    with pytest.raises(ConfigError, match="holds a run already: go on with --resume"):
        Results.create(tmp_path, {})


def test_a_process_that_dies_lets_go_of_the_run(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from story.bench.store import Results\n"
        "with Results.open(Path(sys.argv[1])).locked(): os._exit(1)"
    )
    with Results.create(tmp_path, {}) as results:
        subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
        with results.locked(), pytest.raises(ResultsError, match="another `story bench`"), results.locked():
            pass


def test_a_folder_that_can_not_be_locked(tmp_path: Path) -> None:
    with Results.create(tmp_path, {}) as results:
        (tmp_path / ".lock").mkdir()
        with pytest.raises(ResultsError, match=r"\.lock can't be used: unable to open database file"), results.locked():
            pass


@pytest.mark.parametrize("text", [b"", b"no database" * 500, b"SQLite format 3\0" + b"x" * 5000])
def test_a_file_that_is_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "results.sqlite").write_bytes(text)
    with pytest.raises(ResultsError, match=r"can't be|another version"):
        Results.open(tmp_path)
