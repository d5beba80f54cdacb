"""The durable log of a call: one JSON object a line, each event as it happens."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from story.core.errors import ConfigError
from story.core.events import Event


class Record:
    """Writes the events of one call to `FOLDER/<time>-<call>.jsonl`.

    A line is on its way to the disk as soon as its event has happened, so a crash costs none that came before.
    States and partial texts are not kept. Subscribe the object to a call.
    """

    def __init__(self, folder: Path, call: str) -> None:
        started = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self.path = folder / f"{started}-{call}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("x", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"can't write records to {folder}: {error.strerror or error}") from None

    def __call__(self, event: Event) -> None:
        if event.recorded and not self._file.closed:
            self._file.write(json.dumps(event.as_dict(), ensure_ascii=False) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Have all of it on the disk."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()
