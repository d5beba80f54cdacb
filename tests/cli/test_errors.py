"""Whatever goes wrong, the terminal shows what is wrong, and never a traceback."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Story = Callable[..., subprocess.CompletedProcess[str]]
Install = Callable[[str, str], None]

COMMANDS = """
import os
from story import StoryError, hookimpl

@hookimpl
def story_commands(app):
    @app.command()
    def fall():
        raise ZeroDivisionError(f"no way with {os.environ['ACME_API_KEY']}")

    @app.command()
    def refuse():
        raise StoryError(f"the key {os.environ['ACME_API_KEY']} is worn out")

    @app.command()
    def interrupt():
        raise KeyboardInterrupt
"""


@pytest.mark.parametrize("arguments, told", [
    (["stacks", "show", "gpt4o-mimi"], "story: unknown model 'gpt4o-mimi' (did you mean gpt4o-mini"),
    (["stacks", "show", "deepgram+openai-realtime"], "story: a realtime model hears and answers by itself"),
    (["stacks", "show", ""], "story: "),
    (["stacks", "show", "local", "--chain", "storiteller"], "story: unknown chain 'storiteller' (did you mean story"),
    (["stacks", "--env-file", "nowhere.env"], "story: nowhere.env: no such file"),
    (["providers", "show", "depgram"], "story: unknown provider 'depgram' (did you mean deepgram?)"),
    (["run", "--tls-cert", "nowhere.pem"], "story: can't use the certificate nowhere.pem: No such file"),
])  # fmt: skip
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(arguments: list[str], told: str, story: Story) -> None:
    done = story(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(told)
    assert "Traceback" not in done.stderr and done.stdout == ""


def test_a_stack_error_points_at_the_part(story: Story) -> None:
    done = story("stacks", "show", "deepgram+gpt4o-mimi")
    assert done.stderr.splitlines()[1:] == ["  deepgram+gpt4o-mimi", "           ^^^^^^^^^^"]


@pytest.mark.parametrize("arguments, told", [
    (["nonsense"], "no such command 'nonsense'. See `story --help`"),
    (["stacks", "shw"], "no such command 'shw'. Did you mean 'show'? See `story stacks --help`"),
    (["stacks", "show"], "missing argument 'SPEC'. See `story stacks show --help`"),
    (["plugins", "--colour"], "no such option: --colour"),
    (["talk", "--stack", "local"], "--stack 'local': write PERSONA=SPEC"),
    (["talk", "--say", "hi", "--voice"], "--say is for text"),
    (["talk", "--max-duration", "0"], "invalid value for '--max-duration'"),
    (["talk", "--max-duration", "inf"], "invalid value for '--max-duration': name a number of seconds"),
    (["call"], "missing argument 'TURN.wav'"),
    (["call", "a.wav", "--barge-in", "1"], "--barge-in '1': write TURN:SECONDS"),
    (["call", "a.wav", "--barge-in", "1:nan"], "--barge-in '1:nan': write TURN:SECONDS"),
    (["call", "a.wav", "--barge-in", "1:inf"], "--barge-in '1:inf': write TURN:SECONDS"),
    (["call", "a.wav", "--barge-in", "1:1", "--barge-in", "1:2"], "--barge-in is given twice for turn 1"),
])  # fmt: skip
def test_usage_errors_are_one_line_and_exit_code_2(arguments: list[str], told: str, story: Story) -> None:
    done = story(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"story: {told}")
    assert len(done.stderr.splitlines()) == 1 and "--help`" in done.stderr


def test_a_group_alone_prints_its_help(story: Story) -> None:
    done = story("models")
    assert "Usage: story models" in done.stdout and done.stderr == ""


def test_the_carets_stand_under_wide_characters_and_nothing_moves_the_cursor(story: Story) -> None:
    done = story("stacks", "show", "日本\x1b[31m+gpt4o-mini")
    assert "\x1b" not in done.stderr
    assert done.stderr.splitlines()[1:] == ["  日本?[31m+gpt4o-mini", "  " + "^" * 9]


def test_a_broken_story_toml_names_file_and_line(story: Story, tmp_path: Path) -> None:
    (tmp_path / "story.toml").write_text('[stacks]\nfast = "local"\nfats = \n')
    for arguments in (["stacks"], ["providers"], ["plugins"]):
        done = story(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("story: ") and "story.toml:3" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_bug_is_one_line_and_its_traceback_is_in_a_file(story: Story, install: Install, tmp_path: Path) -> None:
    install("acme", COMMANDS)
    done = story("fall", ACME_API_KEY="secret-1234")
    assert done.returncode == 70
    assert done.stderr.startswith("story hit a bug: ZeroDivisionError: no way with ***")
    assert len(done.stderr.splitlines()) == 1
    (log,) = (tmp_path / "state").rglob("bug-*.log")
    assert str(log) in done.stderr
    assert "in fall" in log.read_text() and "secret-1234" not in log.read_text() + done.stderr
    assert "Traceback" in story("fall", ACME_API_KEY="secret-1234", STORY_DEBUG="1").stderr


def test_no_secret_is_in_an_error(story: Story, install: Install) -> None:
    install("acme", COMMANDS)
    done = story("refuse", ACME_API_KEY="secret-1234")
    assert (done.returncode, done.stderr) == (2, "story: the key *** is worn out\n")


def test_ctrl_c_is_quiet(story: Story, install: Install) -> None:
    install("acme", COMMANDS)
    done = story("interrupt", ACME_API_KEY="x")
    assert (done.returncode, done.stderr.strip()) == (130, "")


def test_the_version(story: Story) -> None:
    from story import __version__

    assert story("--version").stdout == story("version").stdout == f"story {__version__}\n"
