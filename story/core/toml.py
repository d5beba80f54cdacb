"""TOML files of the user's: read with errors that name the file, the line and the key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from story.core.errors import ConfigError
from story.core.textfile import read_text


@dataclass(frozen=True)
class TomlFile:
    """What a TOML file says, and where it says it."""

    path: Path
    text: str
    data: dict[str, object]

    def error(self, keys: Sequence[str], message: str) -> ConfigError:
        """An error about the value at `keys` (as in `data[k0][k1]...`): "file:line: key: message"."""
        dotted = ".".join(keys)
        where = f"{self.path}:{self.line(keys)}"
        return ConfigError(f"{where}: {dotted}: {message}" if dotted else f"{where}: {message}")

    def line(self, keys: Sequence[str]) -> int:
        """The line (from 1) of the key, or of the nearest of its parents that the file names; 1 if none is."""
        names = list(keys)
        lines = self.text.splitlines()
        for length in range(len(names), 0, -1):
            for header in range(length, -1, -1):
                if found := self._find(lines, names[:header], names[header:length]):
                    return found
        return 1

    @staticmethod
    def _find(lines: Sequence[str], table: Sequence[str], key: Sequence[str]) -> int | None:
        """The line of dotted `key` under the header of `table`; of the header itself where `key` is empty.

        A number at the end of `table` is the place of a table among those of the same [[header]].
        """
        inside = not table
        place = int(table[-1]) if len(table) > 1 and table[-1].isdecimal() else None
        names = table if place is None else table[:-1]
        header = re.compile(r"^\s*\[\[?\s*" + _dotted(names) + r"\s*\]\]?") if table else None
        wanted = re.compile(r"^\s*" + _dotted(key) + r"\s*[=.]") if key else None
        passed = 0
        for number, line in enumerate(lines, start=1):
            if line.lstrip().startswith("["):
                met = bool(header and header.match(line))
                passed += met
                inside = met and place in (None, passed - 1)
                if inside and wanted is None:
                    return number
            elif inside and wanted and wanted.match(line):
                return number
        return None


def _dotted(names: Sequence[str]) -> str:
    return r"\s*\.\s*".join(rf"""["']?{re.escape(name)}["']?""" for name in names)


def read_toml(path: Path) -> TomlFile:
    """Read and parse a TOML file.

    Raises:
        ConfigError: it is missing, unreadable, not UTF-8 or not TOML.
    """
    text = read_text(path)
    try:
        return TomlFile(path=path, text=text, data=tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        line = found[1] if (found := re.search(r"at line (\d+)", message)) else str(len(text.splitlines()))
        reason = re.sub(r"\s*\(at .*\)$", "", message)
        raise ConfigError(f"{path}:{line}: not valid TOML: {reason}") from None
