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
    (["run"], "story: `story run` has nothing to serve calls over yet; use `story talk`"),
])  # fmt: skip
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(arguments: list[str], told: str, story: Story) -> None:
    done = story(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(told)
    assert "Traceback" not in done.stderr and done.stdout == ""


def test_a_stack_error_points_at_the_part(story: Story) -> None:
    done = story("stacks", "show", "deepgram+gpt4o-mimi")
    assert done.stderr.splitlines()[1:] == ["  deepgram+gpt4o-mimi", "           ^^^^^^^^^^"]


@pytest.mark.parametrize("arguments", [["nonsense"], ["stacks", "show"], ["plugins", "--colour"]])
def test_usage_errors_exit_with_2(arguments: list[str], story: Story) -> None:
    done = story(*arguments)
    assert done.returncode == 2 and "Error" in done.stderr and "Traceback" not in done.stderr


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
