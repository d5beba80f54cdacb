"""A recogniser that listens to the voices of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from story.bench.store import Results
from tests.bench.running import story

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
CALL = [
    "--stacks", "deepgram+gpt4o-mini+local", "deepgram+gpt4o-mini+cartesia", "--warm-up", "0",
    "--chain", str(HERE / "door.toml"), "--scenarios", str(HERE / "door_callers.json"), "--emulate",
    "--brain", str(HERE / "door_script.toml"),
]  # fmt: skip


@pytest.mark.weights("hibari", "moonshine-tiny-en")
def test_a_voice_is_understood_and_a_tone_is_not_listened_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    assert story(*CALL, "--record", "--out", str(run)) == 0
    assert story("gate", str(run), "--intelligibility", "100%") == 1, "nobody has listened yet"
    assert story("listen", str(run), "--stt", "local") == 0
    with Results.open(run) as results:
        outcomes = {result.stack: result.outcome for result in results.all()}
    voice, tone = outcomes["deepgram+gpt4o-mini+local"], outcomes["deepgram+gpt4o-mini+cartesia"]
    assert voice.spoken_words > 5 and voice.misheard / voice.spoken_words <= 0.2, (voice.spoken, voice.understood)
    assert (tone.spoken_words, tone.understood) == (0, "") and tone.spoken
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()
    assert story("report", str(run)) == 0
    assert "of the voice's words were not understood" in " ".join(capsys.readouterr().out.split())
    share = f"{voice.misheard / voice.spoken_words * 100 + 1:.0f}%"
    assert story("gate", str(run), "--intelligibility", share, "--stack", "deepgram+gpt4o-mini+local") == 0
    assert story("report", str(run), "--html", str(run / "report.html")) == 0
    assert "not understood" in (run / "report.html").read_text(encoding="utf-8")


@pytest.mark.weights("hibari", "moonshine-tiny-en")
def test_a_voice_alone_is_listened_to(tmp_path: Path) -> None:
    run, callers = tmp_path / "run", ["--scenarios", str(HERE / "door_callers.json"), "--warm-up", "0"]
    assert story("tts", "local", *callers, "--record", "--out", str(run)) == 0
    assert story("listen", str(run), "--stt", "local") == 0
    with Results.open(run) as results:
        (one,) = (result.outcome for result in results.all())
    assert one.spoken_words == 12 and one.misheard <= 2, (one.spoken, one.understood)
    assert story("llm", "gpt4o-mini", *callers, "--record") == 2


@pytest.mark.long
def test_what_can_not_be_listened_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert story(*CALL[0:1], *CALL[2:], "--out", str(run)) == 0
    assert story("listen", str(run)) == 2
    assert f"{run} has no recordings: bench with --record" in " ".join(capsys.readouterr().err.split())
    hummed = tmp_path / "hummed"
    assert story(*CALL[0:1], *CALL[2:], "--record", "--out", str(hummed)) == 0
    assert story("listen", str(hummed)) == 2
    assert "emulated voices hum, which nobody understands" in " ".join(capsys.readouterr().err.split())
    assert story("listen", str(hummed), "--stt", "nope") == 2
