"""Running pip and npm: no questions, an own temporary folder, ended when the run ends."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

POLL = 0.1  # seconds


class Stopped(Exception):
    """The command was ended because the run was."""


def run(
    command: Sequence[str], folder: Path, stop: threading.Event, env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run `command` in `folder` until it ends or `stop` is set (then: Stopped). Its exit code, and all it wrote.

    The command's temporary files go to `folder` too, which must exist, so that they are on the disk whose space was
    checked, and go away with it.
    """
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **temporary, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=POLL)
            except subprocess.TimeoutExpired:
                if stop.is_set():
                    process.kill()
                    raise Stopped from None
            except BaseException:
                process.kill()
                raise
            else:
                return process.returncode, output


def size(folder: Path) -> int:
    """Bytes of all files under `folder`, as far as they are there at this moment."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).stat().st_size
            except OSError:  # gone meanwhile
                continue
    return total
