"""Callers whose lines are spoken by a voice."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from story.bench.ear import speech
from story.bench.scenarios import load_scenarios
from story.bench.speaking import FOLDER, place, spoken, spread, unspoken, voice_of
from story.bench.store import Results
from story.bench.words import words
from story.transports.sound import SAMPLE_RATE, read_wav
from tests.bench.running import story

HERE = Path(__file__).parent
CALLERS = HERE / "spoken_callers.toml"
CALL = [
    "--stt", "deepgram", "--llm", "gpt4o-mini", "--tts", "cartesia", "--warm-up", "0", "--scenarios", str(CALLERS),
    "--chain", str(HERE / "door.toml"), "--emulate", "--brain", str(HERE / "door_script.toml"), "--profile", "baseline",
]  # fmt: skip


def test_who_speaks() -> None:
    (john,) = load_scenarios(CALLERS)
    assert voice_of(john, None) == "local"
    assert voice_of(replace(john, voice="cartesia"), None) == "cartesia"
    assert voice_of(replace(john, voice="cartesia"), "elevenlabs") == "elevenlabs"


def test_each_text_is_spoken_once_by_each_voice(tmp_path: Path) -> None:
    (john,) = load_scenarios(CALLERS)
    twice = [john, replace(john, name="jack"), replace(john, voice="cartesia")]
    texts = [line.text for line in john.lines]
    assert unspoken(twice, None) == {"local": texts, "cartesia": texts}
    assert len({place(tmp_path, voice, text) for voice in ("local", "cartesia") for text in texts}) == 4
    assert spoken(twice, None, tmp_path) == tuple(twice), "nothing was spoken yet"
    assert john.seconds == pytest.approx(10 / 3.5), "by its words"


def test_words_are_spread_over_the_sound() -> None:
    times = spread("I am Johnny.", 1.0, 2.4)
    assert [word for word, _, _ in times] == ["I", "am", "Johnny."]
    assert times[0][1] == 1.0 and times[-1][2] == pytest.approx(2.4)
    assert all(earlier[2] == later[1] for earlier, later in pairwise(times))
    assert times[2][2] - times[2][1] == pytest.approx(4 * (times[0][2] - times[0][1]), abs=0.01)


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.weights("hibari")
def test_a_call_with_a_voice_and_once_more_with_the_same_sound(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert story(*CALL, "--out", str(run)) == 0
    with Results.open(run) as results:
        (held,) = results.all()
    assert (held.outcome.status, held.outcome.errors, held.outcome.words) == ("ok", 0, 12), held.outcome.reason
    assert held.outcome.facts == {"name": True} and words(held.outcome.heard) == words(load_scenarios(CALLERS)[0].text)
    sounds = {path: path.read_bytes() for path in (run / FOLDER).iterdir()}
    assert len(sounds) == 2
    for path in sounds:
        sound = read_wav(path)
        onset, end = speech(sound)
        assert 0.4 < end - onset < 5 and onset <= 0.06 and len(sound) / SAMPLE_RATE - end <= 0.06
    with sqlite3.connect(run / "results.sqlite") as database:
        database.execute("DELETE FROM cells")
    before = {path: path.stat().st_mtime_ns for path in sounds}
    assert story("--resume", str(run)) == 0
    assert {path: path.stat().st_mtime_ns for path in (run / FOLDER).iterdir()} == before
    with Results.open(run) as results:
        assert [result.outcome.status for result in results.all()] == ["ok"]


@pytest.mark.slow
def test_a_line_that_can_not_be_spoken_ends_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    fault = ["--speech", "local", "--caller-voice", "elevenlabs", "--fault", "elevenlabs/tts status=401"]
    assert story(*CALL, *fault, "--out", str(run)) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and "can't speak \"Sure, I'm John.\"" in told[1] and f"--resume {run}" in told[1]
    with Results.open(run) as results:
        assert results.all() == []
    assert not list(run.glob(f"{FOLDER}/*"))


@pytest.mark.parametrize(
    ("voice", "message"),
    [
        (
            "cartesa",
            "the voice of the callers, cartesa, can't be had: unknown model 'cartesa' (did you mean cartesia?)",
        ),
        ("local:nobody", "unknown voice 'nobody'"),
        ("cartesia", "cartesia is emulated, and hums: add --speech local"),
    ],
)
def test_a_voice_that_can_not_be_had(
    voice: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert story(*CALL, "--caller-voice", voice, "--out", str(tmp_path / "run")) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1 and not (tmp_path / "run").exists()


def test_a_plan_speaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert story(*CALL, "--dry-run") == 0
    assert "1 calls: 1 stacks, 1 times with john" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_models_that_hear_nobody_need_no_voice(capsys: pytest.CaptureFixture[str]) -> None:
    assert story("llm", "gpt4o-mini", "--caller-voice", "local", "--emulate") == 2
    assert "llm gets their words" in capsys.readouterr().err


@pytest.mark.full
@pytest.mark.timeout(400)
@pytest.mark.weights("hibari")
def test_callers_with_second_thoughts(tmp_path: Path) -> None:
    run = tmp_path / "run"
    models = [*CALL[:8], "--emulate", "--profile", "baseline", "--scenario", "maria", "--concurrency", "1"]
    assert story(*models, "--disturb", "wrong-name+change-of-mind+silence=4", "--out", str(run)) == 0
    with Results.open(run) as results:
        plain, worse = (result.outcome for result in results.all())
    assert (worse.status, worse.facts) == ("ok", {"name": True, "location": True}), worse.reason
    assert "no, sorry, it's Maria" in worse.heard and len(worse.turns) == 4
    assert worse.dead_air >= 4 > plain.dead_air


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.weights("hibari")
def test_a_wrong_name_that_is_believed_is_a_wrong_fact(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert story(*CALL, "--disturb", "wrong-name", "--out", str(run)) == 0
    with Results.open(run) as results:
        found = {result.scenario: result.outcome.facts for result in results.all()}
    assert found == {"john": {"name": True}, "john~wrong-name": {"name": False}}, (
        "the script of the door knows no better"
    )
