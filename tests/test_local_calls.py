"""Whole storyteller calls on this machine's own models, from recorded callers to a recording of both sides."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hearing import AGENT, channel, transcribe, word_errors, words

pytestmark = [pytest.mark.weights("qwen2.5-coder-1.5b", "moonshine-tiny-en", "hibari", "whisper-tiny.en")]

CALLERS = Path(__file__).parent / "callers"
FACTS = json.loads((CALLERS / "callers.json").read_text())


@dataclass(frozen=True)
class SpokenCall:
    """What `story call` told and recorded."""

    exit_code: int
    events: list[dict[str, Any]]
    recording: Path

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    @property
    def ended(self) -> dict[str, Any]:
        return self.of("call_ended")[0]

    def said(self, persona: str) -> str:
        return " ".join(turn["text"] for turn in self.of("agent_turn") if turn["persona"] == persona)


def story_call(caller: str, out: Path, options: Sequence[str] = ()) -> SpokenCall:
    turns = [str(CALLERS / turn["file"]) for turn in FACTS[caller]["turns"]]
    command = [sys.executable, "-m", "story", "call", *turns, "--out", str(out), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return SpokenCall(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], out)


def check_storyteller(call: SpokenCall, caller: str) -> None:
    name, place = FACTS[caller]["name"], FACTS[caller]["location"]
    assert call.ended["data"] == {"name": name, "location": place}
    assert [(handoff["from"], handoff["to"]) for handoff in call.of("handoff")] == [("intro", "story")]
    tools = [tool["name"] for tool in call.of("tool_call")]
    assert tools == ["information_gathered", "story_finished"]
    story = call.said("story")
    assert name in story and place in story
    assert name in call.of("agent_turn")[-1]["text"]
    assert call.ended["reason"] == "finished" and call.exit_code == 0


def check_heard(call: SpokenCall) -> None:
    """An independent recogniser hears in the recording what the events say was spoken."""
    said = words(" ".join(turn["text"] for turn in call.of("agent_turn")))
    heard = words(transcribe(channel(call.recording, AGENT)))
    assert word_errors(said, heard) / len(said) <= 0.15


def test_maria_hears_a_story_of_her_own(tmp_path: Path) -> None:
    call = story_call("maria", tmp_path / "call.wav")
    check_storyteller(call, "maria")
    check_heard(call)


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("caller", ["john", "emma"])
def test_other_callers(caller: str, tmp_path: Path) -> None:
    call = story_call(caller, tmp_path / "call.wav")
    check_storyteller(call, caller)
    check_heard(call)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_a_caller_who_barges_in_stops_the_voice_and_is_answered(tmp_path: Path) -> None:
    call = story_call("barge", tmp_path / "call.wav", ["--barge-in", "2:5"])
    check_storyteller(call, "barge")
    cut = [turn for turn in call.of("agent_turn") if turn["interrupted"]]
    assert len(cut) == 1
    asked = next(turn for turn in call.of("user_turn") if "cat" in turn["text"])
    answers = [turn["text"] for turn in call.of("agent_turn") if turn["t"] > asked["t"]]
    assert "cat" in " ".join(answers).lower()
    check_heard(call)
