"""Calls of a benchmark over the transports that callers come in by."""

from __future__ import annotations

import csv
import json
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from story.bench.store import Results
from story.bench.transports.coded import as_coded
from story.bench.transports.earpiece import PILE_SECONDS, Earpiece
from story.emulator.ears import Clip, ClipEars, Lines
from story.emulator.ears.matching import LEAST_FRAMES
from story.emulator.hearing import LOUD
from story.transports.livekit import dev_server
from story.transports.sound import SAMPLE_RATE, Samples, read_wav
from tests.bench.running import story

HERE = Path(__file__).parent
CALLERS = HERE.parent / "callers"
CALL = ["--stt", "deepgram", "--llm", "gpt4o-mini", "--tts", "cartesia", "--emulate", "--profile", "baseline"]
LINES = [
    ("john/turn2.wav", "Sure, I'm John.", [["Sure,", 0.0, 0.4], ["I'm", 0.62, 0.76], ["John.", 0.76, 0.92]]),
    (
        "barge/turn4.wav",
        "I am done, goodbye.",
        [["I", 0.0, 0.24], ["am", 0.24, 0.44], ["done,", 0.44, 0.7], ["goodbye.", 0.78, 0.98]],
    ),
]
FRAME = SAMPLE_RATE // 50
TONE = np.full(FRAME, 3000, np.int16)


class Ear:
    """An earpiece on a clock of its own."""

    def __init__(self, delay: float) -> None:
        self.time = 100.0
        self.piece = Earpiece(delay, clock=lambda: self.time)

    def push(self, samples: Samples, at: float) -> None:
        self.time = 100.0 + at
        self.piece.push(samples)

    def pull(self, at: float) -> Samples:
        return self.piece.pull(FRAME, 100.0 + at)


def test_sound_is_heard_when_it_is_due_to_the_sample() -> None:
    ear = Ear(delay=0.04)
    ear.push(TONE, at=0.005)
    ear.push(TONE, at=0.025)
    heard = np.concatenate([ear.pull(tick * 0.02) for tick in range(6)])
    assert np.flatnonzero(heard).tolist() == list(range(round(0.045 * SAMPLE_RATE), round(0.085 * SAMPLE_RATE)))


def test_sound_after_a_silence_is_held_again() -> None:
    ear = Ear(delay=0.04)
    ear.push(TONE, at=0.0)
    assert not ear.pull(0.02).any() and ear.pull(0.04).all() and not ear.pull(0.06).any()
    ear.push(TONE, at=0.07)
    assert not ear.pull(0.08).any()
    assert np.flatnonzero(ear.pull(0.1))[0] == FRAME // 2


def test_what_has_piled_up_is_made_good_in_silences_alone() -> None:
    ear = Ear(delay=0.02)
    most = round((0.02 + PILE_SECONDS) / 0.02)
    for _ in range(most + 3):
        ear.push(TONE, at=0.0)
    for _ in range(10):
        ear.push(TONE * 0, at=0.0)
    heard = np.concatenate([ear.pull(0.02 + tick * 0.02) for tick in range(30)])
    assert np.count_nonzero(heard) == (most + 3) * FRAME, "nothing that was said is left out"
    ear.push(TONE, at=1.0)
    for _ in range(10):
        ear.push(TONE * 0, at=1.0)
    ear.push(TONE, at=1.0)
    assert [bool(ear.pull(1.02 + tick * 0.02).any()) for tick in range(14)].count(True) == 2


@pytest.mark.parametrize("milliseconds", [0, 3.7, 5])
def test_emulated_recognisers_know_a_short_recording_after_opus_wherever_it_begins(milliseconds: float) -> None:
    clip = Clip("john", (), read_wav(CALLERS / "john/turn2.wav").tobytes(), SAMPLE_RATE)
    coded = as_coded(clip)
    sound = np.pad(np.frombuffer(coded[0].pcm, np.int16), (round(milliseconds * SAMPLE_RATE / 1000), 0))
    loud = replace(clip, pcm=sound.tobytes()).at(16_000).loudness
    begun = int(np.flatnonzero(loud > LOUD)[0])
    heard = loud[begun : begun + LEAST_FRAMES + 3]
    assert ClipEars(coded, unknown=Lines([])).find(heard, 16_000) is not None
    assert ClipEars([clip], unknown=Lines([])).find(heard, 16_000) is None, "there is no need for it"


@pytest.fixture
def door(tmp_path: Path) -> list[str]:
    """A short call of which no line has a pause in it, at which a recogniser might take it to be over."""
    script = (HERE / "door_script.toml").read_text().replace('"no more"', '"goodbye"')
    (tmp_path / "script.toml").write_text(script)
    turns = [{"file": str(CALLERS / name), "text": text, "words": words} for name, text, words in LINES]
    caller = {"facts": {"name": "John"}, "handoffs": [["door", "host"]], "turns": turns}
    (tmp_path / "callers.json").write_text(json.dumps({"john": caller}))
    brain = ["--brain", str(tmp_path / "script.toml")]
    return [*CALL, *brain, "--chain", str(HERE / "door.toml"), "--scenarios", str(tmp_path / "callers.json")]


def held(run: Path) -> dict[str, Any]:
    """The one call of a run."""
    with Results.open(run) as results:
        (result,) = results.all()
        return result.outcome.as_dict()


def check_call(call: dict[str, Any], *, line: float) -> None:
    """That it went as such a call has to. line: the least seconds that its connection takes."""
    assert call["status"] == "ok" and call["ended"] == "finished", call["reason"]
    assert call["facts"] == {"name": True} and call["handoffs_right"] is True
    assert (call["errors"], call["words"]) == (0, 8), call["heard"]
    first, last = call["turns"]
    assert first["handoff"] and call["handoff_gaps"] == (pytest.approx(first["latency"], abs=0.02),)
    for turn in (first, last):
        assert sum(turn["stages"].values()) == pytest.approx(turn["latency"], abs=0.002)
        assert 0.25 + 0.09 + line <= turn["latency"] < 5, "the vendors alone take longer, and no call so long"
        assert turn["stages"]["line"] >= line and not turn["premature"]
    assert first["onset"] > call["greeting"] > 0


@pytest.mark.long
@pytest.mark.slow
def test_a_call_over_webrtc_and_what_tells_of_it(
    door: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    assert story(*door, "--transport", "web", "--warm-up", "0", "--record", "--out", str(run)) == 0
    assert "held over web" in capsys.readouterr().out.replace("\n", " ")
    check_call(held(run), line=0.04)
    sound = np.frombuffer((run / "recordings" / held(run)["recording"]).read_bytes()[44:], "<i2").reshape(-1, 2)
    assert (np.abs(sound).max(axis=0) > 3000).all(), "both sides"

    with sqlite3.connect(run / "results.sqlite") as database:
        database.execute("DELETE FROM cells")
    assert story("--resume", str(run)) == 0
    check_call(held(run), line=0.04)
    capsys.readouterr()
    assert story("report", str(run), "--csv") == 0
    assert {row["held"] for row in csv.DictReader(capsys.readouterr().out.splitlines())} == {"over web"}

    assert story(*door, "--warm-up", "0", "--out", str(other)) == 0
    capsys.readouterr()
    assert story("diff", str(other), str(run)) == 0
    assert "The calls of A were held in process, those of B over web." in capsys.readouterr().out


@pytest.mark.slow
def test_ends_that_do_not_find_each_other_fail_their_call(
    door: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("story.bench.transports.web.CONNECT_SECONDS", 0.0)
    assert story(*door, "--transport", "web", "--warm-up", "0", "--out", str(tmp_path / "run")) == 1
    call = held(tmp_path / "run")
    assert (call["status"], call["kind"]) == ("failed", "transport")
    assert call["reason"].startswith("no WebRTC connection within")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.livekit
def test_a_call_in_a_room(door: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert story(*door, "--transport", "livekit", "--warm-up", "0", "--out", str(run)) == 0
    check_call(held(run), line=0.02)


@pytest.mark.full
def test_a_harder_call_over_webrtc(door: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    worse = ["--disturb", "mm-hm=0.5", "--disturb", "interrupt=0.3", "--concurrency", "1"]
    assert story(*door, *worse, "--transport", "web", "--warm-up", "0", "--out", str(run)) == 0
    with Results.open(run) as results:
        found = {result.scenario: result.outcome for result in results.all()}
    assert set(found) == {"john", "john~mm-hm=0.5", "john~interrupt=0.3"}
    assert found["john"].asides == 0 and found["john~mm-hm=0.5"].asides >= 1
    assert [turn.broke_in for turn in found["john~interrupt=0.3"].turns] == [False, True]


def test_a_livekit_server_that_does_not_answer(
    door: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (
        ("URL", "ws://127.0.0.1:1"),
        ("API_KEY", "key"),
        ("API_SECRET", "a secret that no server has, long enough"),
    ):
        monkeypatch.setenv(f"LIVEKIT_{name}", value)
    assert story(*door, "--transport", "livekit", "--out", str(tmp_path / "run")) == 2
    told = capsys.readouterr().err
    assert "no LiveKit server answers at ws://127.0.0.1:1" in told and told.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_no_livekit_server_at_all(
    door: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dev_server, "find_server", lambda: None)
    assert story(*door, "--transport", "livekit", "--out", str(tmp_path / "run")) == 2
    told = capsys.readouterr().err
    assert "--transport livekit needs a LiveKit server: set LIVEKIT_URL" in told and told.count("\n") == 1


def test_a_plan_tells_what_carries_the_calls(door: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert story(*door, "--transport", "web", "--dry-run") == 0
    assert "1 times with john, over web" in capsys.readouterr().out
