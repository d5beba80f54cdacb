"""Models whose weights lie inside an installed package."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from story.core.errors import MissingPackageError
from story.providers.local.catalogue import Model


def paths(model: Model) -> dict[str, Path]:
    """Where each file of a packaged model lies; nothing is imported. Raises MissingPackageError."""
    pinned = model.packaged or ""
    try:
        distribution = metadata.distribution(pinned.partition("==")[0])
    except metadata.PackageNotFoundError:
        raise _missing(model, "is not installed") from None
    return {file.name: Path(str(distribution.locate_file(file.name))) for file in model.files}


def ensure(model: Model) -> dict[str, Path]:
    """The same, once all files are there in their full size. Raises MissingPackageError for a version without them."""
    found = paths(model)
    for file in model.files:
        if not found[file.name].is_file() or found[file.name].stat().st_size != file.size:
            raise _missing(model, f"is installed without {Path(file.name).name} (another version?)")
    return found


def _missing(model: Model, what: str) -> MissingPackageError:
    return MissingPackageError(f"the package of {model.name} {what}: python -m pip install '{model.packaged}'")
