"""The results of a run: a folder with one SQLite file, in which each finished cell is at once, and recordings."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from story.bench.outcome import Outcome
from story.core.errors import ConfigError, StoryError

NAME, LOCK, RECORDINGS = "results.sqlite", ".lock", "recordings"
FORMAT = 1
_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE cells (
    stack TEXT NOT NULL, scenario TEXT NOT NULL, repetition INTEGER NOT NULL,
    status TEXT NOT NULL, finished TEXT NOT NULL, outcome TEXT NOT NULL,
    PRIMARY KEY (stack, scenario, repetition)
);
"""


class ResultsError(StoryError):
    """Results that can't be read or written."""


@dataclass(frozen=True)
class Result:
    """A finished cell."""

    stack: str
    scenario: str
    repetition: int
    outcome: Outcome

    @property
    def key(self) -> tuple[str, str, int]:
        return self.stack, self.scenario, self.repetition


class Results:
    """The results in `folder`. Made by `create` and `open`; close it."""

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        self.folder = folder
        self._database = database

    @classmethod
    def create(cls, folder: Path, about: Mapping[str, object]) -> Results:
        """A new run. about: what it is, JSON values by name.

        Raises:
            ConfigError: the folder has one already, or can't be written.
        """
        path = folder / NAME
        if path.exists():
            raise ConfigError(f"{folder} holds a run already: go on with --resume {folder}, or name another --out")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder} can't be written: {error.strerror or error}") from None
        with _told(path):
            database = sqlite3.connect(path)
            database.executescript(_SCHEMA)
            told = {"format": FORMAT, "started": _now(), **about}
            with database:
                database.executemany(
                    "INSERT INTO about VALUES (?, ?)", [(name, json.dumps(value)) for name, value in told.items()]
                )
        return cls(folder, database)

    @classmethod
    def open(cls, place: Path) -> Results:
        """The run in a folder, or that of a results file.

        Raises:
            ConfigError: there is none. ResultsError: it can't be read.
        """
        path = place / NAME if place.is_dir() else place
        if not path.is_file():
            raise ConfigError(f"{place} holds no run of `story bench` ({path.name} is missing)")
        with _told(path):
            database = sqlite3.connect(path)
            told = dict(database.execute("SELECT name, value FROM about").fetchall())
        if json.loads(told.get("format", "0")) != FORMAT:
            raise ResultsError(f"{path} was written by another version of story")
        return cls(path.parent, database)

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path:
        return self.folder / NAME

    @property
    def about(self) -> dict[str, Any]:
        with _told(self.path):
            rows = self._database.execute("SELECT name, value FROM about").fetchall()
        return {name: json.loads(value) for name, value in rows}

    def note(self, name: str, value: object) -> None:
        """Say something about the run."""
        with _told(self.path), self._database:
            self._database.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, json.dumps(value)))

    def add(self, result: Result) -> None:
        """Keep a finished cell; it is on the disk when this returns.

        Raises:
            ResultsError: it can't be written. Those before it are there.
        """
        outcome = json.dumps(result.outcome.as_dict(), ensure_ascii=False)
        row = (*result.key, result.outcome.status, _now(), outcome)
        with _told(self.path), self._database:
            self._database.execute("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?)", row)

    def all(self) -> list[Result]:
        """The finished cells, in the order in which they were finished."""
        with _told(self.path):
            rows = self._database.execute(
                "SELECT stack, scenario, repetition, outcome FROM cells ORDER BY finished, rowid"
            ).fetchall()
            return [
                Result(stack, name, number, Outcome.from_dict(json.loads(text))) for stack, name, number, text in rows
            ]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Within the block this process alone adds to the run; a process that dies lets go of it.

        Raises:
            ResultsError: another one does, or the folder can't be written.
        """
        # Another file, since whoever reads the results meanwhile must not be kept from it. SQLite's own lock, as it is
        # one on every platform.
        path = self.folder / LOCK
        with _told(path):
            lock = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            with _told(path):
                try:
                    lock.execute("BEGIN EXCLUSIVE")
                except sqlite3.OperationalError as error:
                    if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                        raise
                    raise ResultsError(f"another `story bench` is writing to {self.folder}: wait for its end") from None
            yield
        finally:
            lock.close()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Within the block what SQLite finds wrong is an error in one line."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        why = "the disk is full: the cells that were finished before are kept" if "full" in text else text
        raise ResultsError(f"{path} can't be used: {why}") from None
    except (sqlite3.DatabaseError, ValueError, TypeError) as error:
        raise ResultsError(f"{path} can't be read: {error}; it is no results file, or damaged") from None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
