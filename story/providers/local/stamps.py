"""Which files were summed and not written to since, so that a gigabyte is not read at every start."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from story.providers.local.catalogue import WeightFile


class Stamps:
    """The stamps of one model's folder: size, time of the last change and sum of each file found right."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".verified.json"

    def fits(self, file: WeightFile, path: Path) -> bool:
        """Whether the file at `path` is still the one that was stamped."""
        return self._read().get(file.name) == _stamp(file, path)

    def add(self, file: WeightFile, path: Path) -> None:
        """Stamp a file that was summed and found right. A folder that can't be written to stays without."""
        stamps = self._read() | {file.name: _stamp(file, path)}
        with suppress(OSError):
            fresh = self._path.with_suffix(".new")
            fresh.write_text(json.dumps(stamps))
            fresh.replace(self._path)

    def _read(self) -> dict[str, list[int | str]]:
        try:
            stamps: object = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return stamps if isinstance(stamps, dict) else {}


def _stamp(file: WeightFile, path: Path) -> list[int | str]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, file.sha256]
