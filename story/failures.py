"""What a user sees when a command fails: one line on standard error, no traceback, no secret."""

from __future__ import annotations

import os
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from story.core.errors import StackError, StoryError, printable
from story.core.redact import redact
from story.core.settings import Settings
from story.version import __version__

if TYPE_CHECKING:
    from typer.exceptions import TyperException

    from story.workspace import Workspace


def report_error(error: StoryError, workspace: Workspace | None) -> None:
    """Print what the user can mend; a stack is pointed into."""
    text = error.pointed() if isinstance(error, StackError) else printable(str(error))
    typer.echo(redact(f"story: {text}", _settings(workspace)), err=True)


def report_usage(error: TyperException, workspace: Workspace | None) -> None:
    """Print which word of the command line can't be used; nothing where its help has just been printed instead."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return
    text = " ".join(error.format_message().removeprefix("Invalid value: ").split())
    command = getattr(getattr(error, "ctx", None), "command_path", "story")
    end = "" if text.endswith((".", "?", "!")) else "."
    line = f"story: {text[:1].lower()}{text[1:]}{end} See `{command} --help`"
    typer.echo(redact(printable(line), _settings(workspace)), err=True)


def report_full_disk(error: OSError, workspace: Workspace | None) -> None:
    """Print what could not be written for want of room."""
    what = f"{error.filename} can't be written" if error.filename else "the output can't be written"
    typer.echo(redact(f"story: {what}: the disk is full", _settings(workspace)), err=True)


def report_bug(error: Exception, workspace: Workspace | None) -> None:
    """Print that something unforeseen happened, and keep the traceback in a file for a bug report."""
    settings = _settings(workspace)
    happened = " ".join(f"{type(error).__name__}: {error}".split())
    trace = redact("".join(traceback.format_exception(error)), settings)
    place = _keep(f"story {__version__}\n{trace}")
    where = f"the traceback is in {place}" if place else "STORY_DEBUG=1 shows the traceback"
    typer.echo(redact(f"story hit a bug: {happened} ({where})", settings), err=True)


def _settings(workspace: Workspace | None) -> Settings:
    known = workspace.settings.env if workspace else {}
    return Settings(env={**os.environ, **known})


def _keep(text: str) -> Path | None:
    """Write `text` to the platform's log folder, else to the temporary one; None where none can be written."""
    from story.logs import log_folders

    name = f"bug-{datetime.now(UTC).strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
    for folder in log_folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    return None
