"""A whole run against emulated vendors, short calls only, and what the reports make of it."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from story.bench.calibration import calibrate
from story.bench.outcome import FAILED, OK, Outcome
from story.bench.request import Request
from story.bench.store import Result, Results
from story.core.errors import ConfigError, WeightsError
from story.transports.sound import SAMPLE_RATE, read_wav
from tests.bench.running import story

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
PIPELINE = "stt=deepgram+llm=gpt4o-mini+tts=cartesia"
DOOR = [
    "--chain", str(HERE / "door.toml"), "--scenarios", str(HERE / "door_callers.json"),
    "--emulate", "--brain", str(HERE / "door_script.toml"), "--profile", "baseline",
]  # fmt: skip
CALL = ["--stt", "deepgram", "--llm", "gpt4o-mini", "--tts", "cartesia", "--warm-up", "0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run: a stack, one that can't be built, and one whose recogniser can't be reached."""
    folder = tmp_path_factory.mktemp("bench") / "run"
    fault = ["--fault", "elevenlabs/scribe-realtime status=500"]
    stacks = ["--stacks", "nope+gpt4o-mini", "elevenlabs+gpt4o-mini+cartesia"]
    assert story(*CALL, *stacks, *DOOR, *fault, "--record", "--out", str(folder)) == 0
    return folder


def outcomes_of(run: Path) -> list[dict]:
    with Results.open(run) as results:
        return [result.outcome.as_dict() for result in results.all()]


def outcomes(run: Path) -> dict[str, dict]:
    with Results.open(run) as results:
        return {result.stack: result.outcome.as_dict() for result in results.all()}


def test_a_call_is_measured(run: Path) -> None:
    call = outcomes(run)[PIPELINE]
    assert call["status"] == "ok" and call["ended"] == "finished", call["reason"]
    assert call["facts"] == {"name": True} and call["handoffs_right"] is True
    assert (call["errors"], call["words"]) == (0, 12)
    first, last = call["turns"]
    assert first["handoff"] and call["handoff_gaps"] == (pytest.approx(first["latency"], abs=0.02),)
    for turn in (first, last):
        assert sum(turn["stages"].values()) == pytest.approx(turn["latency"], abs=0.002)
        assert turn["latency"] >= 0.25 + 0.09, "the vendors alone take longer"
        assert turn["final"] >= 0.25 and not turn["premature"]
        assert turn["latency"] <= turn["first_word"] < turn["latency"] + 2
        for role, least in (("llm", 0.35), ("tts", 0.09)):
            # on a machine that is busy, a model may tell so late when it was asked that its answer seems to be another
            assert turn[role] is None or turn[role] >= least
    assert call["opening"] == "Who is it?"
    assert [(turn["said"], turn["heard"], turn["reply"]) for turn in (first, last)] == [
        ("Sure, I'm John.", "Sure, I'm John.", "Come in, John."),
        ("No more, thanks. That's all for today.", "No more, thanks. That's all for today.", "Goodbye."),
    ]
    assert call["cost"] > 0 and set(call["cost_by"]) >= {"door stt", "door llm", "door tts", "host stt"}
    assert (run / "recordings" / call["recording"]).stat().st_size > 100_000


def test_stacks_that_do_not_work_are_rows_with_their_reason(run: Path) -> None:
    found = outcomes(run)
    assert found["nope+gpt4o-mini"]["status"] == "unbuilt"
    assert "unknown model 'nope'" in found["nope+gpt4o-mini"]["reason"]
    broken = found["elevenlabs+gpt4o-mini+cartesia"]
    assert (broken["status"], broken["kind"]) == ("failed", "stt") and broken["reason"]


def test_the_report_fits_a_terminal(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for options in ([], ["--spread"]):
        assert story("report", str(run), *options) == 0
        told = capsys.readouterr().out
        assert max(len(line) for line in told.splitlines()) <= 80
        assert "stt=deepgram" in told
    assert story("report", str(run)) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "can't be built: unknown model 'nope'" in told and "failed: 1 stt" in told


def test_the_report_as_data(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert story("report", str(run), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    price = told["run"]["prices"]["openai llm gpt-4o-mini"]
    assert price["units"]["input_mtok"] > 0 and price["source"] and price["date"]
    assert told["run"]["machine"]["packages"]["livekit-agents"] and told["run"]["request"]["seed"] == 0
    assert [stack["stack"] for stack in told["stacks"] if stack["ok"]] == [PIPELINE]
    assert story("report", str(run), "--csv") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["number"] for row in rows if row["stack"] == PIPELINE] == ["1", "2"]
    assert {row["status"] for row in rows} == {"ok", "failed", "unbuilt"}


def test_the_page_asks_for_nothing(run: Path) -> None:
    assert story("report", str(run), "--html", str(run / "report.html")) == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 3 and page.count("<svg") == page.count("<summary>Data</summary>")
    assert not re.search(r'src="http|<link|<script|@import|url\(', page) and "prefers-color-scheme: dark" in page
    assert 'src="recordings/' in page


@pytest.mark.parametrize(("role", "least"), [("llm", 0.35), ("tts", 0.09)])
def test_a_model_alone(role: str, least: float, tmp_path: Path) -> None:
    models = {"llm": "gpt4o-mini,nope", "tts": "cartesia,elevenlabs"}[role]
    callers = [*DOOR[2:4], "--warm-up", "0", "--emulate", "--profile", "baseline"]
    assert story(role, models, *callers, "--out", str(tmp_path / "run")) == 0
    found = outcomes(tmp_path / "run")
    assert {name: one["status"] for name, one in found.items()} == {
        f"{role}={name}": "unbuilt" if name == "nope" else "ok" for name in models.split(",")
    }
    for one in found.values():
        assert all(turn["latency"] == turn[role] >= least for turn in one["turns"])
        assert one["status"] != "ok" or (len(one["turns"]) == 2 and one["cost"] > 0)


def test_a_realtime_model_alone(tmp_path: Path) -> None:
    callers = [*DOOR[2:4], "--warm-up", "0", "--emulate", "--profile", "baseline"]
    assert story("realtime", "openai-realtime,nope", *callers, "--out", str(tmp_path / "run")) == 0
    found = outcomes(tmp_path / "run")
    assert found["realtime=nope"]["status"] == "unbuilt"
    one = found["realtime=openai-realtime"]
    assert (one["status"], one["errors"], one["words"]) == ("ok", 0, 12), one
    assert len(one["turns"]) == 2 and one["cost"] > 0
    assert all(turn["latency"] == turn["realtime"] and not turn["premature"] for turn in one["turns"])


@pytest.mark.long
def test_a_realtime_model_that_fails(tmp_path: Path) -> None:
    callers = [*DOOR[2:4], "--warm-up", "0", "--emulate", "--fault", "openai/realtime status=401"]
    assert story("realtime", "openai-realtime", *callers, "--out", str(tmp_path / "run")) == 1
    (one,) = outcomes_of(tmp_path / "run")
    assert (one["status"], one["kind"]) == ("failed", "realtime") and one["reason"]


@pytest.mark.long
def test_a_recogniser_alone(tmp_path: Path) -> None:
    callers = [*DOOR[2:4], "--warm-up", "0", "--emulate", "--profile", "baseline"]
    assert story("stt", "deepgram,flux,cartesia,elevenlabs", *callers, "--out", str(tmp_path / "run")) == 0
    for one in outcomes(tmp_path / "run").values():
        assert (one["status"], one["errors"], one["words"]) == ("ok", 0, 12), one
        assert all(turn["final"] >= 0.25 for turn in one["turns"])


def test_a_slow_recogniser_alone_is_heard_to_the_end_of_a_line_with_a_pause(tmp_path: Path) -> None:
    sound = read_wav(HERE.parent / "callers/john/turn5.wav")
    pause = np.zeros(round(1.5 * SAMPLE_RATE), np.int16)
    at = round(1.15 * SAMPLE_RATE)
    with wave.open(str(tmp_path / "paused.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(np.concatenate([sound[:at], pause, sound[at:]]).tobytes())
    words = [["No", 0.0, 0.38], ["more,", 0.38, 0.66], ["thanks.", 0.66, 1.0]]
    words += [["That's", 2.8, 3.06], ["all", 3.06, 3.26], ["for", 3.26, 3.42], ["today.", 3.42, 3.7]]
    turn = {"file": "paused.wav", "text": "No more, thanks. That's all for today.", "words": words}
    (tmp_path / "callers.json").write_text(json.dumps({"john": {"facts": {"when": "today"}, "turns": [turn]}}))
    (tmp_path / "slow.toml").write_text('fixed = true\n["*".stt."*"]\nfirst = 1.2\n')
    options = ["--scenarios", str(tmp_path / "callers.json"), "--profile", str(tmp_path / "slow.toml")]
    assert story("stt", "deepgram", *options, "--emulate", "--warm-up", "0", "--out", str(tmp_path / "run")) == 0
    (one,) = outcomes_of(tmp_path / "run")
    assert (one["errors"], one["words"], one["names"], one["unheard"]) == (0, 8, 1, ()), one["heard"]
    assert one["turns"][0]["final"] >= 1.2 and not one["turns"][0]["premature"]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (["--p95", "5s", "--wer", "5%", "--facts", "100%", "--failures", "0"], 0),
        (["--p95", "100ms"], 1),
        (["--barge-in", "400ms"], 1),  # nobody broke in, so nothing shows that it is kept
        (["--p95", "soon"], 2),
        ([], 2),
    ],
)
def test_the_gate(run: Path, limits: Sequence[str], code: int) -> None:
    assert story("gate", str(run), "--stack", PIPELINE, *limits) == code


def test_a_stack_that_was_not_built_passes_no_gate(run: Path) -> None:
    assert story("gate", str(run), "--p95", "5s") == 1


def test_a_run_does_not_differ_from_itself(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert story("diff", str(run), str(run), "--json") == 0
    changes = json.loads(capsys.readouterr().out)
    assert {change["figure"] for change in changes} >= {"p50", "p95", "handoff"}
    assert not any(change["significant"] or change["change"] for change in changes)


def test_it_goes_on_with_the_calls_that_are_missing(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "results.sqlite").write_bytes((run / "results.sqlite").read_bytes())
    with sqlite3.connect(copy / "results.sqlite") as database:
        database.execute("DELETE FROM cells WHERE stack = ?", ("nope+gpt4o-mini",))
    before = outcomes(copy)
    assert story("--resume", str(copy)) == 0
    after = outcomes(copy)
    assert after.pop("nope+gpt4o-mini")["status"] == "unbuilt" and after == before


@pytest.mark.long
def test_calls_that_a_vendor_made_fail_are_held_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    fault = ["--fault", "elevenlabs/scribe-realtime status=500"]
    stack = ["--stacks", "elevenlabs+gpt4o-mini+cartesia", "--warm-up", "0", "--retry", "1"]
    assert story(*stack, *DOOR, *fault, "--out", str(folder)) == 1
    told = capsys.readouterr()
    assert "[1/1]" in told.err and "[2/2]" in told.err
    assert "calls that failed were held again 1 times" in " ".join(told.out.split())
    assert [(one["status"], one["held_again"]) for one in outcomes_of(folder)] == [("failed", 1)]
    assert story("--resume", str(folder)) == 1, "nothing is missing"
    with sqlite3.connect(folder / "results.sqlite") as database:  # the vendor is well again
        ((text,),) = database.execute("SELECT value FROM about WHERE name = 'request'").fetchall()
        request = json.loads(text)
        request["emulate"]["faults"] = []
        database.execute("UPDATE about SET value = ? WHERE name = 'request'", (json.dumps(request),))
    assert story("--resume", str(folder), "--retry-failed") == 0
    assert [(one["status"], one["held_again"]) for one in outcomes_of(folder)] == [("ok", 2)]


@pytest.mark.long
@pytest.mark.parametrize(
    "stop, interrupts",
    [(signal.SIGINT, signal.SIG_DFL), (signal.SIGTERM, signal.SIG_DFL), (signal.SIGTERM, signal.SIG_IGN)],
    ids=["Ctrl-C", "told to stop", "told to stop in a script's background"],
)
def test_what_is_done_when_it_is_stopped_is_kept(
    stop: signal.Signals, interrupts: signal.Handlers, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "story",
        "bench",
        *CALL,
        *DOOR,
        "-n",
        "3",
        "--concurrency",
        "1",
        "--record",
        "--out",
        str(folder),
    ]
    before = signal.signal(signal.SIGINT, interrupts)  # what a process that is started now has at first
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=tmp_path)
    signal.signal(signal.SIGINT, before)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("[1/3]"):
            while not list(folder.glob("recordings/.*.part")):  # the second call is being held
                time.sleep(0.05)
            process.send_signal(stop)
            break
    told = process.stderr.read()
    assert process.wait(timeout=30) == 130
    assert "stopped; the 1 calls that had ended are kept" in told and "Traceback" not in told
    assert len(outcomes_of(folder)) == 1 and not list(folder.glob("recordings/.*"))
    assert story("--resume", str(folder)) == 0
    assert [outcome["status"] for outcome in outcomes_of(folder)] == ["ok"] * 3


def test_two_at_a_time_on_one_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Results.open(run) as results, results.locked():
        assert story("--resume", str(run)) == 2
    assert "another `story bench` is writing" in capsys.readouterr().err


def test_each_answer_is_compared_with_what_was_injected(run: Path) -> None:
    with Results.open(run) as results:
        try:
            stages = {stage.role: stage for stage in calibrate(results.all()).stages}
        except ConfigError as error:
            pytest.skip(str(error))  # this machine was busy
    given = {"stt": 0.25, "llm": 0.35, "tts": 0.09}
    assert "stt" in stages and set(stages) <= {*given, "ear"} and len(stages) >= 3
    assert all(
        stages[role].given == seconds <= stages[role].measured for role, seconds in given.items() if role in stages
    )


@pytest.mark.full
@pytest.mark.timeout(400)
@pytest.mark.weights("moonshine-tiny-en")
def test_harder_calls(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    worse = ["--disturb", "mm-hm=2", "--disturb", "interrupt=3", "--disturb", "noise=30+narrow+loss=2%"]
    options = ["--scenario", "maria", "--emulate", "--profile", "baseline", "--concurrency", "2"]
    assert story(*CALL, *options, *worse, "--out", str(folder)) == 0
    with Results.open(folder) as results:
        found = {result.scenario: result.outcome for result in results.all()}
    assert set(found) == {"maria", "maria~mm-hm=2", "maria~interrupt=3", "maria~noise=30+narrow+loss=2%"}
    assert found["maria"].asides == 0 and found["maria~mm-hm=2"].asides >= 2
    assert [turn.broke_in for turn in found["maria~interrupt=3"].turns] == [False, True, True]
    assert all(outcome.ended for outcome in found.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is nothing to compare"),
        (["--stt", "deepgram", "--exclude", "stt=deepgram"], "the rules leave no stack"),
        (["--stt", "deepgram", "--exclude", "stt=deepgrm"], "did you mean deepgram?"),
        (["--stt", "deepgram", "--exclude", "sst=deepgram"], "did you mean stt?"),
        (["--stt", "deepgram", "--scenario", "mara"], "unknown scenario 'mara' (did you mean maria?)"),
        (["--stt", "deepgram", "--scenarios", "none.json"], "none.json: no such file"),
        (["--stt", "deepgram", "--profile", "baseline"], "add --emulate"),
        (["--stt", "deepgram", "--disturb", "nois=10"], "unknown disturbance 'nois' (did you mean noise?)"),
        (["--stt", "deepgram", "--transport", "wbe"], "unknown transport 'wbe' (did you mean web?)"),
        (["--matrix", "none.toml"], "none.toml: no such file"),
        (["--resume", "nowhere"], "holds no run"),
        (["--stt", "deepgram", "--retry-failed"], "name it with --resume RUN"),
        (["report", "nowhere"], "holds no run"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert story(*arguments) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1


def test_a_plan_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert story("--emulate", "--stt", "deepgram,nope", "--llm", "gpt4o-mini", "--tts", "cartesia", "--dry-run") == 0
    told = capsys.readouterr().out
    assert "3 calls: 1 stacks, 1 times with maria, olivia, john" in told and "about $" in told
    assert "stt=nope+llm=gpt4o-mini+tts=cartesia: can't be built: unknown model 'nope'" in told
    assert list(tmp_path.iterdir()) == []


def test_a_stack_whose_weights_can_not_be_had_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fetch(*_: object, **__: object) -> None:
        raise WeightsError("hibari can't be fetched: no network")

    monkeypatch.setattr("story.bench.running.fetch", fetch)
    assert story("--stacks", "local", "--scenario", "maria", "--out", str(tmp_path / "run")) == 1
    assert "local can't be built: hibari can't be fetched: no network" in capsys.readouterr().err
    assert [(one["status"], one["kind"]) for one in outcomes_of(tmp_path / "run")] == [("unbuilt", "stack")]


def test_a_disk_without_room_for_a_recording_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr("story.transports.sound.shutil.disk_usage", lambda _: free)
    run = tmp_path / "run"
    assert story(*CALL, *DOOR, "--record", "--out", str(run)) == 2
    told = capsys.readouterr().err
    assert "MB free in" in told and f"go on with: story bench --resume {run}" in told and told.count("\n") == 1
    assert outcomes_of(run) == []


def test_the_plan_of_a_run_that_goes_on_is_of_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = Request((PIPELINE,), ("maria", "john"), repetitions=2, emulate={})
    with Results.create(tmp_path, {"request": request.as_dict()}) as results:
        for cell in [("maria", 1), ("john", 1), ("maria", 2)]:
            results.add(Result(PIPELINE, *cell, Outcome(FAILED if cell == ("maria", 2) else OK)))
    plans = []
    for options in ([], ["--retry-failed"]):
        assert story("--resume", str(tmp_path), "--dry-run", *options) == 0
        plans.append(capsys.readouterr().out)
    assert "4 calls: 1 stacks, 2 times with maria, john, in process; 3 of them are there already" in plans[0]
    assert "2 of them are there already" in plans[1]
    john, both = (float(plan.split(": $")[1].split()[0]) for plan in plans)
    assert 0 < john < both


@pytest.mark.parametrize(("role", "models"), [("stt", "deepgram"), ("tts", "cartesia,elevenlabs"), ("llm", "nope")])
def test_the_plan_of_models_alone(
    role: str, models: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    prices = tmp_path / "prices.toml"
    prices.write_text("[cartesia.tts.'*']\nkchars = 1000\n")
    options = ["--emulate", "--scenario", "maria", "--max-cost", "1", "--retry", "1", "--prices", str(prices)]
    assert story(role, models, *options, "--dry-run") == 0
    told = capsys.readouterr().out
    assert f"{models.count(',') + (models != 'nope')} calls" in told and list(tmp_path.iterdir()) == [prices]
    assert "can't be built" in told if models == "nope" else "about $" in told
    assert ("tts=cartesia: $680" in told) == (role == "tts")


def test_a_run_that_goes_on_under_other_conditions_says_so(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "results.sqlite").write_bytes((run / "results.sqlite").read_bytes())
    with Results.open(copy) as results:
        now = results.about["machine"]
        results.note("machine", {**now, "cores": 96, "packages": {**now["packages"], "livekit-agents": "1.0.0"}})
    assert story("--resume", str(copy)) == 0
    told = capsys.readouterr().err
    assert f"cores: 96 before, {now['cores']} now; livekit-agents: 1.0.0 before" in told
    assert story("--resume", str(copy)) == 0
    told = capsys.readouterr()
    assert "before" not in told.err and "not all on one machine with the same versions" in " ".join(told.out.split())
    with Results.open(copy) as results:
        assert results.about["machine"]["cores"] == 96 and results.about["resumed"] == [now]


def test_a_results_file_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.sqlite").write_bytes(b"no database at all" * 100)
    assert story("report", str(tmp_path)) == 2
    assert "it is no results file, or damaged" in capsys.readouterr().err
