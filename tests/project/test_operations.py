"""docs/operations.md: its commands exist, and its table has the options that `story run` has for rooms."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from story.cli import app, main
from story.serving import DEFAULT_MAX_DURATION
from story.transports.livekit.orders import Order, read_order

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
LINES = [shlex.split(line, comments=True) for line in re.findall(r"^    (story .*)$", PAGE, re.MULTILINE)]
CONTAINER = [json.loads(line) for line in re.findall(r"^CMD (\[.*\])$", PAGE, re.MULTILINE)]
COMMANDS = [arguments[1:] for arguments in LINES + CONTAINER]
ROWS = re.findall(r"^\| ((?:`--[\w-]+`(?:, )?)+) \| (.*) \|$", PAGE, re.MULTILINE)
TABLE = {option: row for cell, row in ROWS for option in re.findall(r"--[\w-]+", cell)}


def options(command: str) -> Iterator[tuple[str, object, str]]:
    """Name, default and help of each option."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    found = group.commands[command]
    assert isinstance(found, TyperCommand)
    for parameter in found.params:
        for name in (*parameter.opts, *parameter.secondary_opts):
            yield name, parameter.default, getattr(parameter, "help", "") or ""


UNSET = {"--max-duration": DEFAULT_MAX_DURATION}
"""What an option is where neither the command line nor story.toml says so."""
RUN = {name: (default, told) for name, default, told in options("run")}


def test_there_are_commands_and_options() -> None:
    assert len(COMMANDS) > 4 and len(TABLE) > 10


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_and_its_options_exist(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exited:
        main([*arguments, "--help"])
    assert not exited.value.code


def test_every_option_of_rooms_is_in_the_table_and_none_that_is_not() -> None:
    of_rooms = {name for name, (_, told) in RUN.items() if told.startswith("LiveKit: ")}
    assert of_rooms - {"--page"} <= set(TABLE) <= set(RUN)


@pytest.mark.parametrize("option", TABLE)
def test_a_default_of_the_table_is_the_default(option: str) -> None:
    for number in re.findall(r"\((\d+)\)", TABLE[option]):
        defaults = [RUN[name][0] or UNSET.get(name) for name in TABLE if TABLE[name] == TABLE[option]]
        assert float(number) in defaults


def test_what_is_said_to_be_the_same_as_for_a_call_is() -> None:
    (named,) = re.findall(r"^The options of stacks, chains, (.*) are those of `story call`\.", PAGE, re.MULTILINE)
    call = {name: default for name, default, _ in options("call")}
    for name in ("--chain", "--stack", *re.findall(r"--[\w-]+", named)):
        assert call[name] == RUN[name][0]


def test_the_metadata_is_an_order() -> None:
    (metadata,) = re.findall(r"^    (\{\"chain\".*\})$", PAGE, re.MULTILINE)
    order = read_order(metadata)
    assert order == Order("storyteller", {"intro": "deepgram+gpt4o-mini", "story": "openai-realtime"}, wait=True)
