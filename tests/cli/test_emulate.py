"""`story emulate` and `--emulate`, as a user types them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
STORY = [sys.executable, "-m", "story"]
SCRIPTED = ["--brain", "script", "--speech", "tones"]


def story(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = [*STORY, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_it_says_where_it_is_answers_and_stops_when_asked(tmp_path: Path) -> None:
    command = [*STORY, "emulate", "--port", "0", *SCRIPTED, "--profile", "typical"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        url = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        assert url is not None
        request = urllib.request.Request(f"{url.group()}/v1/models", headers={"Authorization": "Bearer k"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert "gpt-4o-mini" in answer.read().decode()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        rest = process.stdout.read()  # communicate() would lose what readline() has read of it
        process.wait(timeout=10)
    assert process.returncode == 0
    assert "Assumed, as no source gives them:" in rest and "openai llm * first" in rest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--brain", "scrpt"], "unknown brain 'scrpt' (did you mean script?)"),
        (["--brain", "none.toml"], "none.toml"),
        (["--brain", "local", "x.toml"], "takes no script"),
        (["--brain", "script", "--speech", "tone"], "unknown speech 'tone' (did you mean tones?)"),
        (["--brain", "script", "--profile", "bseline"], "unknown profile 'bseline' (did you mean baseline?)"),
        (["--brain", "script", "--heard", "none.json"], "none.json"),
        (["--brain", "local", "--heard", "none"], "takes the caller's lines from a script"),
        (["--brain", "script", "--fault", "openai/chat explode"], "unknown kind 'explode'"),
        (["--port", "70000"], "--port"),
    ],
)
def test_bad_options_are_one_clear_line(tmp_path: Path, options: list[str], message: str) -> None:
    done = story("emulate", *options, folder=tmp_path)
    assert done.returncode == 2
    told = " ".join(done.stderr.replace("│", " ").split())
    assert message in told and "Traceback" not in done.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = story("emulate", *SCRIPTED, "--port", str(taken.getsockname()[1]), folder=tmp_path)
    assert done.returncode == 2 and "is taken: choose another with --port" in done.stderr


def test_a_typed_call_with_emulated_vendors(tmp_path: Path) -> None:
    (tmp_path / "story.toml").write_text(
        '[providers.openai]\nbase_url = "http://127.0.0.1:1/v1"\nkey_env = "MY_KEY"\n'
        '[stacks.mine.llm]\nuse = "openai/gpt-4.1"\nbase_url = "http://127.0.0.1:2/v1"\n'
    )
    says = [
        part
        for line in ("My name is Maria and I live in Lisbon.", "Open the door.", "Goodbye!")
        for part in ("--say", line)
    ]
    stacks = ["--intro-stack", "mine", "--story-stack", "gpt4o-mini"]
    done = story("talk", "--emulate", *SCRIPTED, *stacks, "--json", *says, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["reason"] == "finished"
    assert events[-1]["data"] == {"name": "Maria", "location": "Lisbon"}
    assert "gpt-4.1" in events[0]["stacks"]["intro"]


def test_options_of_an_emulator_want_one(tmp_path: Path) -> None:
    done = story("talk", "--profile", "baseline", "--say", "hello", folder=tmp_path)
    assert done.returncode == 2 and "add --emulate" in " ".join(done.stderr.split())
