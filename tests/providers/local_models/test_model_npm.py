"""The npm source, with the real npm and a package from a folder."""

from __future__ import annotations

import io
import json
import shutil
import struct
from pathlib import Path

import numpy
import pytest
from model_shelf import Heard, catalogue, left_over

from story.core.errors import WeightsError
from story.providers.local.catalogue import NpmSource
from story.providers.local.fetching.npm import npz
from story.providers.local.store import Store

VOICES = {"bf_two": struct.pack("<6f", *range(6)), "af_one": struct.pack("<6f", *range(6, 12))}
SHAPE = (3, 1, 2)
CONTENT = npz(VOICES, SHAPE)

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is missing: apt-get install npm")


def package(folder: Path, voices: dict[str, bytes]) -> NpmSource:
    (folder / "voices").mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": "toy-voices", "version": "1.0.0"}))
    for name, content in voices.items():
        (folder / "voices" / f"{name}.bin").write_bytes(content)
    return NpmSource(str(folder), "package/voices", SHAPE)


def test_the_archive_is_the_one_that_numpy_writes() -> None:
    written = io.BytesIO()
    arrays = {name: numpy.frombuffer(VOICES[name], numpy.float32).reshape(SHAPE) for name in sorted(VOICES)}
    numpy.savez(written, **arrays)  # type: ignore[arg-type]
    assert written.getvalue() == CONTENT


@needs_npm
def test_voices_are_packed(tmp_path: Path, progress: Heard) -> None:
    source = package(tmp_path / "package", VOICES)
    path = Store(tmp_path / "store", catalogue(CONTENT, source)).ensure("toy", progress)["weights.bin"]
    with numpy.load(path) as voices:
        assert voices["af_one"].shape == SHAPE
        assert voices["bf_two"].ravel().tolist() == list(range(6))
    assert left_over(tmp_path / "store") == []


@needs_npm
def test_a_voice_of_another_size(tmp_path: Path, progress: Heard) -> None:
    source = package(tmp_path / "package", VOICES | {"af_one": b"short"})
    with pytest.raises(WeightsError, match="is not 24 bytes long"):
        Store(tmp_path / "store", catalogue(CONTENT, source)).ensure("toy", progress)


@needs_npm
def test_a_package_that_is_not_there(tmp_path: Path, progress: Heard) -> None:
    source = NpmSource(str(tmp_path / "nowhere"), "package/voices", SHAPE)
    with pytest.raises(WeightsError, match=r"can't fetch weights\.bin of toy \(npm: ") as error:
        Store(tmp_path / "store", catalogue(CONTENT, source)).ensure("toy", progress)
    assert "\n" not in str(error.value)


def test_without_npm(tmp_path: Path, progress: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WeightsError, match="npm: not installed"):
        Store(tmp_path / "store", catalogue(CONTENT, NpmSource("x@1", "voices", SHAPE))).ensure("toy", progress)
