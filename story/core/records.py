"""The durable log of a call: one JSON object a line, each event as it happens."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from story.core.errors import ConfigError
from story.core.events import Event


def check_folder(folder: Path) -> None:
    """Raise ConfigError where no record can be put into `folder`, which need not exist yet. Writes nothing."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise _unwritable(folder, f"{there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _unwritable(folder, f"no permission to write in {there}")


def _unwritable(folder: Path, why: str) -> ConfigError:
    return ConfigError(f"can't write records to {folder}: {why}")


class Record:
    """Writes the events of one call to `FOLDER/<time>-<call>.jsonl`.

    A line is on its way to the disk as soon as its event has happened, so a crash costs none that came before.
    States and partial texts are not kept. Subscribe the object to a call. Once a line could not be written (the disk
    is full) no more are, and `close` says so: a call does not end for want of its record.
    """

    def __init__(self, folder: Path, call: str) -> None:
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self.path = folder / f"{started}-{call}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("xb", buffering=0)  # nothing is left behind that a later close would trip over
        except OSError as error:
            raise _unwritable(folder, error.strerror or str(error)) from None
        self._failure: OSError | None = None

    def __call__(self, event: Event) -> None:
        if not event.recorded or self._file.closed or self._failure:
            return
        line = json.dumps(event.as_dict(), ensure_ascii=False).encode() + b"\n"
        whole = self._file.tell()
        try:
            while line:
                line = line[self._file.write(line) :]
        except OSError as error:
            self._failure = error
            self._file.truncate(whole)  # every line that is there can be read

    def close(self) -> None:
        """Have all of it on the disk.

        Raises:
            ConfigError: some of it could not be written.
        """
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._failure = self._failure or error
        self._file.close()
        if failure := self._failure:
            raise ConfigError(f"the record {self.path} is not whole: {failure.strerror or failure}")
