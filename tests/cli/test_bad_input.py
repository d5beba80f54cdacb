"""Files, folders and disks that can't be used: one clear line, exit code 2, and nothing half written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

Story = Callable[..., subprocess.CompletedProcess[str]]

CALLER = Path(__file__).parents[1] / "callers" / "maria" / "turn1.wav"


def one_line(done: subprocess.CompletedProcess[str], told: str) -> None:
    """`story` refused, and said `told` and no more."""
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert done.stderr.startswith("story: ") and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("text, told", [
    ("[stacks\n", "story.toml:1: not valid TOML"),
    ("[stakcs]\n", "story.toml:1: stakcs: unknown key 'stakcs' (did you mean stacks?)"),
    ("[stacks]\nx = 1\n", "story.toml:2: stacks.x: is a spec or a table of roles"),
    ("[stacks.x]\nstt = 3\n", "story.toml:2: stacks.x.stt: is a choice like"),
    ("[providers]\nopenai = 'x'\n", "story.toml:2: providers.openai: is a table"),
    ("[plugins]\nblock = 'openai'\n", "story.toml:2: plugins.block: is a list of names"),
    ("[call]\nmax_duration = nan\n", "story.toml:2: call.max_duration: is a number of seconds greater than 0"),
    ("[call]\nmax_duration = inf\n", "story.toml:2: call.max_duration: is a number of seconds greater than 0"),
])  # fmt: skip
def test_a_story_toml_that_says_something_else(text: str, told: str, story: Story, tmp_path: Path) -> None:
    (tmp_path / "story.toml").write_text(text)
    one_line(story("stacks"), told)


def test_a_story_toml_that_is_no_file(story: Story, tmp_path: Path) -> None:
    (tmp_path / "story.toml").mkdir()
    one_line(story("stacks"), "story.toml: can't be read: Is a directory")
    for named in ("nowhere.toml", "~nobody-of-this-name/story.toml"):
        one_line(story("stacks", STORY_CONFIG=named), f"{named}: no such file")


def test_an_env_file_that_is_none(story: Story, tmp_path: Path) -> None:
    (tmp_path / "odd.env").write_text("OPENAI_API_KEY=x\nfoo bar\n")
    (tmp_path / "bytes.env").write_bytes(b"\xff\xfe")
    one_line(story("stacks", "--env-file", "odd.env"), "odd.env:2: not of the form NAME=value")
    one_line(story("stacks", "--env-file", "bytes.env"), "bytes.env: not UTF-8 text")
    one_line(story("stacks", "--env-file", "."), "can't be read: Is a directory")


def test_a_chain_that_is_none(story: Story, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text('start = "a"\n[personas]\na = 3\n')
    one_line(story("talk", "--say", "hi", "--chain", "odd.toml"), "odd.toml:3: personas.a: is a table")
    one_line(story("talk", "--say", "hi", "--chain", "storiteller"), "unknown chain 'storiteller' (did you mean")
    one_line(story("talk", "--say", "hi", "--stack", "storry=local"), "no persona 'storry' (did you mean story?)")


def test_a_stack_in_a_chain_is_pointed_at_in_its_file(story: Story, tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text(
        'start = "a"\n[personas.a]\nname = "A"\ninstructions = "Talk."\nstack = "gpt4o-mimi"\n'
        '[personas.a.then]\ntool = "done"\ndescription = "When done."\nnext = "end"\n'
    )
    one_line(story("talk", "--say", "hi", "--chain", "odd.toml"), "odd.toml:5: personas.a.stack: unknown model")


def test_records_that_can_not_be_kept_are_told_before_anything_is_fetched(story: Story, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one_line(story("talk", "--say", "hi", "--record", "file/calls"), "can't write records to file/calls")


def test_a_turn_that_is_no_sound_leaves_no_recording(story: Story, tmp_path: Path) -> None:
    (tmp_path / "cut.wav").write_bytes(CALLER.read_bytes()[:5000])
    one_line(story("call", "cut.wav", "--out", "out.wav", "--stack", "intro=local"), "cut.wav is cut off")
    one_line(story("call", str(CALLER), "--out", "nowhere/out.wav"), "the folder nowhere does not exist")
    assert not list(tmp_path.rglob("*out.wav*"))


def test_doctor_does_not_call_a_machine_able_whose_settings_are_broken(story: Story, tmp_path: Path) -> None:
    (tmp_path / "story.toml").write_text("[stacks\n")
    done = story("doctor")
    assert done.returncode == 1 and "Nothing can run before the settings can be read." in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["providers"], ["stacks", "--json"]])
def test_output_into_a_full_disk(arguments: list[str], environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "story.cli", *arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path, env=environment
        )
    assert (done.returncode, done.stderr) == (2, "story: the output can't be written: the disk is full\n")


def test_output_that_nobody_reads_to_its_end(environment: dict[str, str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "story.cli", "providers"]
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path, env=environment
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
