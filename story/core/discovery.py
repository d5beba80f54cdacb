"""Which distributions are installed and which plugins they name, found without importing `importlib.metadata`.

That import brings the email and socket modules with it, a seventh of what `story --help` may take. So the folders of
`sys.path` are looked through first, and `importlib.metadata` is asked only where something is found there, or where
distributions may live elsewhere (in a zip file, behind an import hook).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_METADATA_FOLDERS = (".dist-info", ".egg-info")


@dataclass(frozen=True)
class EntryPoint:
    """A plugin as a distribution names it. `value` is "module" or "module:object", empty where it can't be read."""

    name: str
    value: str
    distribution: Distribution | None = None

    def load(self) -> object:
        """Import what the entry point names. Raises whatever the import raises."""
        import importlib

        if not self.value:
            raise ImportError("the entry_points.txt of its distribution can't be read")
        module, _, path = self.value.partition("[")[0].strip().partition(":")
        found: object = importlib.import_module(module)
        for name in filter(None, path.split(".")):
            found = getattr(found, name)
        return found


def entry_points(group: str, *, known: Sequence[EntryPoint] = ()) -> list[EntryPoint]:
    """The entry points of a group, by name, without those that have the values of `known` ones."""
    values = {entry_point.value for entry_point in known}
    if not _elsewhere() and not any(value not in values for value in _named_in_folders(group)):
        return []
    found = [point for point in _named_in_distributions(group) if point.value not in values]
    return sorted(found, key=lambda point: (point.name, point.value))


def is_installed(distribution: str) -> bool:
    """Whether a distribution of this name is installed."""
    wanted = _normalized(distribution)
    # The folder is NAME-VERSION.dist-info, with underscores in the name where the distribution may have hyphens.
    if any(_normalized(name.partition("-")[0]) == wanted for _, name in _metadata_folders()):
        return True
    from importlib import metadata

    try:
        metadata.distribution(distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return False
    return True


def _named_in_distributions(group: str) -> Iterator[EntryPoint]:
    """As `metadata.entry_points`, which gives up on all distributions where one is broken."""
    from importlib import metadata

    seen: set[str] = set()
    for distribution in metadata.distributions():
        try:
            name = _normalized(distribution.metadata["Name"] or "")
            if name in seen:  # hidden by one that comes earlier on sys.path
                continue
            seen.add(name)
            for point in distribution.entry_points:
                if point.group == group:
                    yield EntryPoint(point.name, point.value, distribution)
        except Exception:  # whatever is wrong with it, the others are fine
            if f"[{group}]" in (distribution.read_text("entry_points.txt") or ""):
                yield EntryPoint(distribution.metadata["Name"] or "?", "", distribution)


def _named_in_folders(group: str) -> Iterator[str]:
    """The values of a group's entry points; more than there are where a file is unusual, never fewer."""
    for folder, name in _metadata_folders():
        try:
            with open(os.path.join(folder, name, "entry_points.txt"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
                text = file.read()
        except (OSError, UnicodeDecodeError):
            continue
        header = re.search(rf"^\[\s*{re.escape(group)}\s*\]", text, re.MULTILINE)
        if header is not None:
            section = re.split(r"^\[", text[header.end() :], maxsplit=1, flags=re.MULTILINE)[0]
            yield from (line.partition("=")[2].strip() for line in section.splitlines() if "=" in line)


def _metadata_folders() -> Iterator[tuple[str, str]]:
    for folder in dict.fromkeys(path or "." for path in sys.path):
        try:
            changed = os.stat(folder).st_mtime_ns  # noqa: PTH116
        except OSError:
            continue
        yield from ((folder, name) for name in _metadata_names(folder, changed))


@lru_cache(maxsize=64)
def _metadata_names(folder: str, changed: int) -> tuple[str, ...]:
    """The metadata folders in `folder`; `changed` (its mtime) makes what is remembered go stale with it."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 (a Path for each of hundreds of names takes its time)
    except OSError:
        return ()
    return tuple(name for name in names if name.endswith(_METADATA_FOLDERS))


def _elsewhere() -> bool:
    """Whether distributions may live where no folder shows them."""
    if any(os.path.isfile(path) for path in sys.path):  # noqa: PTH113
        return True
    finders = (finder for finder in sys.meta_path if hasattr(finder, "find_distributions"))
    return any(getattr(finder, "__name__", "") != "PathFinder" for finder in finders)


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
