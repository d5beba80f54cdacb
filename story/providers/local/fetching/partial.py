"""A file on its way: pieces filled in any order, from any source, across interruptions."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from story.providers.local.catalogue import Piece, WeightFile
from story.providers.local.fetching import ChecksumError

# How many bytes may be lost when the process is killed: the tally is written to disk after as many.
SAVE_EVERY = 8 << 20
CHUNK = 1 << 20


class Partial:
    """The bytes of `file` that are here so far, in `folder`/NAME, with a tally of each piece beside it.

    The tally is never trusted in the end: `finish` sums the whole file, and the pieces if that fails. Several
    threads may write different pieces at once.
    """

    def __init__(self, folder: Path, file: WeightFile) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = file
        self.path = folder / file.name
        self._tally = folder / f"{file.name}.tally"
        self._lock = threading.Lock()
        self._unsaved = 0
        self._have = read_tally(folder, file)
        if not self.path.exists():
            self.path.touch()
            self._have = [0] * len(self._have)
        self._disk: BinaryIO = self.path.open("r+b", buffering=0)

    def __enter__(self) -> Partial:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Write the tally and let go of the file."""
        if not self._disk.closed:
            self._disk.close()
            if self.path.exists():
                self._save()

    @property
    def done(self) -> int:
        """Bytes that are here."""
        return sum(self._have)

    def holds(self, piece: Piece) -> bool:
        """Whether all bytes of this piece are here."""
        return self._have[self.file.pieces.index(piece)] == piece.size

    def gaps(self) -> list[tuple[int, int]]:
        """What is missing, as (start, end) offsets, joined where they touch."""
        found: list[tuple[int, int]] = []
        for piece, have in zip(self.file.pieces, self._have, strict=True):
            if have == piece.size:
                continue
            start = piece.offset + have
            if found and found[-1][1] == start:
                found[-1] = (found[-1][0], piece.end)
            else:
                found.append((start, piece.end))
        return found

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset`; each piece is filled from its start on."""
        with self._lock:
            self._disk.seek(offset)
            view = memoryview(data)
            while view:
                view = view[self._disk.write(view) :]
            end = offset + len(data)
            for number, piece in enumerate(self.file.pieces):
                if piece.offset < end and offset < piece.end:
                    self._have[number] = max(self._have[number], min(end, piece.end) - piece.offset)
            self._unsaved += len(data)
            if self._unsaved >= SAVE_EVERY:
                self._save()

    def drop(self, piece: Piece) -> None:
        """Forget the bytes of this piece."""
        with self._lock:
            self._have[self.file.pieces.index(piece)] = 0
            self._save()

    def keep_good(self) -> None:
        """Sum every piece that should be here and forget the wrong ones."""
        for piece in self.file.pieces:
            if self.holds(piece) and digest(self.path, piece.offset, piece.size) != piece.sha256:
                self.drop(piece)

    def adopt(self, path: Path) -> None:
        """Start from a damaged file of the same name, keeping the pieces of it that are right; takes it away."""
        self._disk.close()
        path.replace(self.path)
        size = self.path.stat().st_size
        self._have = [piece.size if piece.end <= size else 0 for piece in self.file.pieces]
        self._disk = self.path.open("r+b", buffering=0)
        self.keep_good()

    def finish(self, target: Path) -> None:
        """Move the whole file to `target` in one step. Raises ChecksumError if it is wrong: its right pieces stay."""
        self._disk.truncate(self.file.size)
        if digest(self.path) != self.file.sha256:
            self.keep_good()
            if not self.gaps():  # every piece is right and the whole is not: the catalogue's parts are to blame
                for piece in self.file.pieces:
                    self.drop(piece)
            raise ChecksumError(f"{self.file.name} has a wrong checksum")
        self._disk.close()
        self.path.replace(target)
        self._tally.unlink(missing_ok=True)

    def _save(self) -> None:
        self._unsaved = 0
        self._tally.write_text(json.dumps({"sha256": self.file.sha256, "have": self._have}))


def read_tally(folder: Path, file: WeightFile) -> list[int]:
    """Bytes that are here of each piece of `file`; zeros if there is no tally or it is of another file."""
    pieces: Sequence[Piece] = file.pieces
    try:
        tally = json.loads((folder / f"{file.name}.tally").read_text())
        have = [int(count) for count in tally["have"]]
        if tally["sha256"] == file.sha256 and len(have) == len(pieces):
            return [min(count, piece.size) for count, piece in zip(have, pieces, strict=True)]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return [0] * len(pieces)


def digest(path: Path, offset: int = 0, size: int | None = None) -> str:
    """The sha256 of `size` bytes (None: all) of a file from `offset` on, in hex."""
    total = hashlib.sha256()
    left = size
    with path.open("rb") as disk:
        disk.seek(offset)
        while left is None or left > 0:
            chunk = disk.read(CHUNK if left is None else min(CHUNK, left))
            if not chunk:
                break
            total.update(chunk)
            left = None if left is None else left - len(chunk)
    return total.hexdigest()
