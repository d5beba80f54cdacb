"""Calls whose words can't be written: the call ends, and says why in a line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

Install = Callable[[str, str], None]
Story = Callable[..., subprocess.CompletedProcess[str]]

PARROT = f"""
import sys
from story import ModelFactory, hookimpl

print("a plugin that talks while it is imported")

def build(options):
    sys.path.insert(0, {str(Path(__file__).parents[1])!r})
    from fakes import ScriptedLLM
    return ScriptedLLM(lambda context, tools, choice: "I say what I say.")

def nothing(options):
    raise RuntimeError("sound was built for a conversation in text")

@hookimpl
def story_llm():
    return ModelFactory(provider="parrot", build=build, models=("p",), default_model="p")

@hookimpl
def story_stt():
    return ModelFactory(provider="parrot", build=nothing, models=("p",), default_model="p")

@hookimpl
def story_tts():
    return ModelFactory(provider="parrot", build=nothing, models=("p",), default_model="p")
"""

STACK = "stt=parrot+llm=parrot+tts=parrot"
TALK = ("talk", "--intro-stack", STACK, "--story-stack", STACK, "--say")


@pytest.fixture
def parrot(install: Install) -> None:
    install("parrot", PARROT)


def talk_into(
    target: int, arguments: tuple[str, ...], environment: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "story.cli", *arguments],
        stdout=target, stderr=subprocess.PIPE, text=True, check=False, timeout=100, cwd=folder, env=environment,
    )  # fmt: skip


@pytest.mark.usefixtures("parrot")
def test_json_is_all_there_is_on_standard_output_and_no_sound_is_built(story: Story) -> None:
    done = story(*TALK, "Grüße", "--json")
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["type"] == "call_started"
    assert [event["text"] for event in events if event["type"] == "user_turn"] == ["Grüße"]
    assert events[-1]["reason"] == "caller_left"


@pytest.mark.usefixtures("parrot")
def test_json_is_json_where_the_terminal_knows_ascii_alone(story: Story) -> None:
    done = story(*TALK, "Grüße", "--json", PYTHONIOENCODING="ascii")
    texts = [event.get("text") for event in map(json.loads, done.stdout.splitlines())]
    assert done.returncode == 0 and "Grüße" in texts


@pytest.mark.usefixtures("parrot")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_full_disk_ends_the_call(more: tuple[str, ...], environment: dict[str, str], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = talk_into(full.fileno(), (*TALK, "hi", *more), environment, tmp_path)
    assert done.returncode == 2
    assert "story: the output can't be written: the disk is full" in done.stderr.splitlines()
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("parrot")
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_reader_that_goes_away_ends_the_call(
    more: tuple[str, ...], environment: dict[str, str], tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = talk_into(writing, (*TALK, "hi", *more), environment, tmp_path)
    os.close(writing)
    assert done.returncode == 1 and "Traceback" not in done.stderr


def test_a_turn_without_words_is_none(story: Story) -> None:
    done = story("talk", "--say", " ")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("story: --say is empty")
