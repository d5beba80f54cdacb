"""The weights on this machine: where they lie, whether they are whole, and getting them there.

    paths = ensure("qwen2.5-coder-1.5b", progress)   # fetches what is missing, then file name -> path
    paths = locate("whisper-tiny.en")                # None where something is missing; quick, asks no network

They lie in CACHE/models/NAME/FILE, CACHE being the platform's cache folder for `story` or $STORY_CACHE.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from story.core.errors import MissingPackageError, WeightsError
from story.core.registry import Progress
from story.core.settings import user_path
from story.providers.local import catalogue as catalogues
from story.providers.local import packaged
from story.providers.local.catalogue import (
    Catalogue,
    HttpSource,
    Model,
    NpmSource,
    PipPart,
    PipSource,
    Source,
    WeightFile,
)
from story.providers.local.fetching import ChecksumError, Run, SourceError, lock
from story.providers.local.fetching.partial import Partial, digest, read_tally
from story.providers.local.stamps import Stamps

PARTIAL = ".partial"
# pip keeps up to four wheels of some 50 MB, packed and on their way, beside the file that they make up.
HEADROOM = 300_000_000  # bytes
ASSUMED_SPEED = 50e6 / 8  # bytes a second: a common line at home


@dataclass(frozen=True)
class Store:
    """The weights under one folder, `root`/NAME/FILE, of the models of one catalogue.

    connect_timeout, read_timeout: seconds until a source that does not answer is given up.
    """

    root: Path
    catalogue: Catalogue = field(default_factory=catalogues.load)
    connect_timeout: float = 3.0
    read_timeout: float = 20.0

    def paths(self, name: str) -> dict[str, Path]:
        """Where each file of a model lies, or would. Raises WeightsError (no such model), MissingPackageError."""
        model = self.catalogue.get(name)
        if model.packaged is not None:
            return packaged.paths(model)
        return {file.name: self.root / name / file.name for file in model.files}

    def locate(self, name: str) -> dict[str, Path] | None:
        """Paths by file name if all are there in their full size (sums are `ensure`'s and `verify`'s business)."""
        model = self.catalogue.get(name)
        try:
            paths = self.paths(name)
        except MissingPackageError:
            return None
        whole = all(_size(paths[file.name]) == file.size for file in model.files)
        return paths if whole else None

    def missing(self, name: str) -> int:
        """Bytes that `ensure` would still have to fetch, by size alone."""
        model = self.catalogue.get(name)
        if model.packaged is not None:
            return 0
        folder = self.root / name
        lacking = (file for file in model.files if _size(folder / file.name) != file.size)
        return sum(file.size - sum(read_tally(folder / PARTIAL, file)) for file in lacking)

    def ensure(self, name: str, progress: Progress, *, ask: bool = True) -> dict[str, Path]:
        """Paths by file name, all there and summed; fetches what is missing, after asking `progress` if `ask`.

        A file is summed once and again whenever it was written to since; a wrong one is thrown away and fetched
        again. Blocks for as long as that takes. Raises WeightsError, MissingPackageError.
        """
        model = self.catalogue.get(name)
        if model.packaged is not None:
            return packaged.ensure(model)
        folder = self.root / name
        with _explained(folder):
            lacking = [file for file in model.files if not self._whole(folder, file, progress)]
            if not lacking:
                return self.paths(name)
            wrong = [file for file in lacking if _size(folder / file.name) == file.size]
            why = f"{' and '.join(file.name for file in wrong)}: wrong checksum, to be fetched again. " if wrong else ""
            size = self.missing(name) + sum(file.size for file in wrong)
            if ask and not progress.confirm(why + question({name: size})):
                raise WeightsError(f"{name} was not fetched; `story models pull {name}` does it when it suits you")
            return self._pull(model, progress)

    def verify(self, name: str, progress: Progress) -> list[str]:
        """Sum every file; one line for each that is missing or wrong, none if all is well."""
        model = self.catalogue.get(name)
        paths = self.paths(name)
        stamps = Stamps(self.root / name)
        problems: list[str] = []
        done = 0
        for file in model.files:
            path = paths[file.name]
            progress.report(f"checking {name}", done, model.size)
            if not path.exists():
                problems.append(f"{file.name} is missing")
            elif digest(path) != file.sha256:
                problems.append(f"{file.name} has a wrong checksum")
            elif model.packaged is None:
                stamps.add(file, path)
            done += file.size
        progress.report(f"checking {name}", done, model.size)
        return problems

    def remove(self, name: str) -> int:
        """Delete a model's files and what is half fetched of it; how many bytes that were. Raises WeightsError."""
        model = self.catalogue.get(name)
        if model.packaged is not None:
            raise WeightsError(f"{name} is part of the package {model.packaged}; `pip uninstall` removes it")
        folder = self.root / name
        with _explained(folder):
            if not folder.exists():
                return 0
            with self._lock(model, lambda: None):
                freed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                shutil.rmtree(folder)
                return freed

    def _whole(self, folder: Path, file: WeightFile, progress: Progress) -> bool:
        path = folder / file.name
        if _size(path) != file.size:
            return False
        stamps = Stamps(folder)
        if stamps.fits(file, path):
            return True
        progress.report(f"checking {file.name}", 0, file.size)
        right = digest(path) == file.sha256
        progress.report(f"checking {file.name}", file.size, file.size)
        if right:
            stamps.add(file, path)
        return right

    def _lock(self, model: Model, waiting: Callable[[], None]) -> AbstractContextManager[None]:
        return lock.held(self.root / ".locks" / f"{model.name}.lock", waiting)

    def _pull(self, model: Model, progress: Progress) -> dict[str, Path]:
        folder = self.root / model.name

        def waiting() -> None:
            here = model.size - self.missing(model.name)
            progress.report(f"{model.name} (another process fetches it)", here, model.size)

        with self._lock(model, waiting):
            folder.mkdir(parents=True, exist_ok=True)
            todo = [file for file in model.files if not self._whole(folder, file, progress)]
            for file in todo:
                if (folder / file.name).exists():
                    with Partial(folder / PARTIAL, file) as partial:
                        partial.adopt(folder / file.name)
            self._check_space(model)
            scratch = folder / PARTIAL / "packages"
            shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
            wanted = Counter(part.package for file in todo for source in file.sources for part in _parts(source))
            run = Run(scratch, lambda done: None, self.connect_timeout, self.read_timeout, wanted=wanted)
            here = model.size - sum(file.size for file in todo)
            try:
                for file in todo:
                    run.report = _reporter(progress, model, here)
                    self._bring(model, file, run)
                    here += file.size
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
            shutil.rmtree(folder / PARTIAL, ignore_errors=True)
        return self.paths(model.name)

    def _bring(self, model: Model, file: WeightFile, run: Run) -> None:
        """Get one file from the first source that gives the right bytes; once more from all if the bytes were wrong."""
        folder = self.root / model.name
        failures: list[SourceError] = []
        with Partial(folder / PARTIAL, file) as partial:
            run.report(partial.done)
            for source in file.sources * 2:
                try:
                    if partial.gaps():
                        fetch(source, file, partial, run)
                    partial.finish(folder / file.name)
                except SourceError as error:
                    failures.append(error)
                    no_use = not any(isinstance(failure, ChecksumError) for failure in failures)
                    if no_use and len(failures) == len(file.sources):
                        break
                else:
                    run.report(file.size)
                    Stamps(folder).add(file, folder / file.name)
                    return
        raise _failed(model, file, failures)

    def _check_space(self, model: Model) -> None:
        missing = self.missing(model.name)
        need = missing + (HEADROOM if missing > HEADROOM else missing)
        free = shutil.disk_usage(self.root).free
        if free < need:
            raise WeightsError(
                f"{model.name} needs {gigabytes(need)} of disk space to be fetched, and {self.root} has "
                f"{gigabytes(free)}; make room, or set STORY_CACHE to a folder on another disk"
            )


def fetch(source: Source, file: WeightFile, partial: Partial, run: Run) -> None:
    """Fill the gaps of `partial` from `source`. Raises SourceError."""
    # Imported here, as listings need none of them and http alone brings in TLS.
    from story.providers.local.fetching import http, npm, pip

    match source:
        case HttpSource():
            http.fetch(source, file, partial, run)
        case PipSource():
            pip.fetch(source, file, partial, run)
        case NpmSource():
            npm.fetch(source, file, partial, run)


def cache_root() -> Path:
    """The folder of everything that `story` can fetch again: $STORY_CACHE, or the platform's cache folder."""
    chosen = os.environ.get("STORY_CACHE")
    if chosen:
        return user_path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("story")


def default_store() -> Store:
    """The user's store, of the catalogue that comes with `story`."""
    return Store(cache_root() / "models")


def ensure(name: str, progress: Progress) -> dict[str, Path]:
    """`Store.ensure` of the user's store."""
    return default_store().ensure(name, progress)


def locate(name: str) -> dict[str, Path] | None:
    """`Store.locate` of the user's store."""
    return default_store().locate(name)


def question(missing: Mapping[str, int]) -> str:
    """What to ask before fetching so many bytes of each named model."""
    total = sum(missing.values())
    seconds = total / ASSUMED_SPEED
    takes = f"about {round(seconds / 60)} min" if seconds >= 90 else f"about {max(1, round(seconds))} s"
    what = " and ".join(missing)
    return f"{what}: {gigabytes(total)} to download, {takes} at 50 Mbit/s (assumed, not measured). Download now?"


def gigabytes(count: int) -> str:
    """A number of bytes for people: 1.12 GB, 78 MB."""
    if count >= 1e9:
        return f"{count / 1e9:.2f} GB"
    return f"{max(1, round(count / 1e6))} MB"


def _parts(source: Source) -> tuple[PipPart, ...]:
    return source.parts if isinstance(source, PipSource) else ()


def _reporter(progress: Progress, model: Model, here: int) -> Callable[[int], None]:
    return lambda done: progress.report(model.name, here + done, model.size)


def _failed(model: Model, file: WeightFile, failures: list[SourceError]) -> WeightsError:
    reasons = "; ".join(dict.fromkeys(str(failure) for failure in failures))
    again = f"`story models pull {model.name}` goes on where this stopped"
    if all(failure.unreachable for failure in failures):
        return WeightsError(
            f"no network: can't fetch {file.name} of {model.name} ({reasons}). Once it is back, {again}"
        )
    return WeightsError(f"can't fetch {file.name} of {model.name} ({reasons}); {again}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn an error of the disk into one line."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise WeightsError(
                f"the disk is full: {folder} could not be filled; make room and pull again, which goes on where "
                f"this stopped, or set STORY_CACHE to a folder on another disk"
            ) from None
        raise WeightsError(
            f"can't use {error.filename or folder}: {error.strerror or error}; set STORY_CACHE to a folder of yours"
        ) from None
