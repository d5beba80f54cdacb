from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from pathlib import Path

import pytest
from model_shelf import Heard, Shelf, bytes_of, catalogue, left_over, sha256

from story.core.errors import MissingPackageError, WeightsError
from story.providers.local.catalogue import Catalogue, HttpSource, Model, Piece, PipPart, PipSource, WeightFile
from story.providers.local.fetching.partial import Partial
from story.providers.local.store import Store, cache_root, gigabytes, question

CONTENT = bytes_of(700_000)
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def toy(tmp_path: Path, shelf: Shelf) -> Store:
    shelf.content["/w.bin"] = CONTENT
    return Store(tmp_path / "store", catalogue(CONTENT, shelf.url("/w.bin")))


def flip(path: Path, offset: int) -> None:
    """Damage one byte, as a bad disk or a half-finished copy would."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(0, 0))


def test_a_refusal_fetches_nothing(toy: Store, shelf: Shelf) -> None:
    with pytest.raises(WeightsError, match="story models pull toy"):
        toy.ensure("toy", Heard(agree=False))
    assert shelf.requests == []
    assert not toy.root.exists()


def test_the_question_says_how_large_and_how_long() -> None:
    asked = question({"qwen": 1_117_320_768})
    assert "1.12 GB" in asked
    assert "about 3 min at 50 Mbit/s (assumed, not measured)" in asked


def test_a_damaged_file_is_fetched_again(toy: Store, shelf: Shelf, progress: Heard) -> None:
    path = toy.ensure("toy", progress)["weights.bin"]
    flip(path, 5)
    assert toy.verify("toy", progress) == ["weights.bin has a wrong checksum"]
    assert toy.ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT
    assert toy.verify("toy", progress) == []
    assert len(shelf.requests) == len(progress.questions) == 2


def test_a_truncated_file_is_fetched_again(toy: Store, progress: Heard) -> None:
    path = toy.ensure("toy", progress)["weights.bin"]
    path.write_bytes(CONTENT[:1000])
    assert toy.locate("toy") is None
    assert toy.ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT


def test_only_the_damaged_part_is_fetched_again(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.content["/w.bin"] = CONTENT
    parts, size = [], 100_000
    for offset in range(0, len(CONTENT), size):
        piece = Piece(offset, size, sha256(CONTENT[offset : offset + size]))
        parts.append(PipPart("never-asked==1", "x", piece))
    toy = Store(tmp_path, catalogue(CONTENT, shelf.url("/w.bin"), PipSource(tuple(parts))))
    path = toy.ensure("toy", progress)["weights.bin"]
    flip(path, 250_000)
    shelf.requests.clear()
    assert toy.ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT
    assert shelf.requests == [("/w.bin", "bytes=200000-299999")]


def test_a_right_file_put_there_by_hand_is_taken(toy: Store, shelf: Shelf, progress: Heard) -> None:
    path = toy.paths("toy")["weights.bin"]
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert toy.ensure("toy", progress) == {"weights.bin": path}
    assert shelf.requests == progress.questions == []


def test_a_partial_that_was_damaged_meanwhile(toy: Store, shelf: Shelf, progress: Heard) -> None:
    shelf.cuts = [300_000, 0]
    with pytest.raises(WeightsError):
        toy.ensure("toy", progress)
    flip(toy.root / "toy" / ".partial" / "weights.bin", 100)
    assert toy.ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT


@pytest.mark.parametrize("tally", ["", "[]", "{}", '{"sha256": "x", "have": [9]}', '{"sha256": 1, "have": 2}'])
def test_a_tally_that_makes_no_sense_starts_over(toy: Store, shelf: Shelf, progress: Heard, tally: str) -> None:
    folder = toy.root / "toy" / ".partial"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"rubbish")
    (folder / "weights.bin.tally").write_text(tally)
    assert toy.ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT


def test_too_little_room_is_said_before(
    toy: Store, shelf: Shelf, progress: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 1_000_000))
    with pytest.raises(WeightsError, match=r"needs 1 MB of disk space .* has 1 MB; make room, or set STORY_CACHE"):
        toy.ensure("toy", progress)
    assert shelf.requests == []


def test_a_disk_that_fills_up(toy: Store, progress: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Partial, offset: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Partial, "write", full)
        with pytest.raises(WeightsError, match=r"^the disk is full"):
            toy.ensure("toy", progress)
    assert not toy.paths("toy")["weights.bin"].exists()
    assert toy.ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT


def test_a_folder_that_can_not_be_made(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    toy = Store(tmp_path / "taken", catalogue(CONTENT, shelf.url("/w.bin")))
    with pytest.raises(WeightsError, match=r"can't use .*taken.*STORY_CACHE"):
        toy.ensure("toy", progress)


def test_remove(toy: Store, progress: Heard) -> None:
    toy.ensure("toy", progress)
    assert toy.remove("toy") >= len(CONTENT)
    assert toy.locate("toy") is None
    assert toy.remove("toy") == 0


def test_a_packaged_model_without_its_package(tmp_path: Path, progress: Heard) -> None:
    model = Model("toy", "", "", "", "", (WeightFile("x", 1, "00"),), packaged="no-such-package==1.2")
    toy = Store(tmp_path, Catalogue({"toy": model}))
    assert toy.locate("toy") is None
    with pytest.raises(MissingPackageError, match=r"pip install 'no-such-package==1\.2'"):
        toy.ensure("toy", progress)
    with pytest.raises(WeightsError, match="pip uninstall"):
        toy.remove("toy")


def test_a_packaged_model_of_another_version(tmp_path: Path, progress: Heard) -> None:
    model = Model("toy", "", "", "", "", (WeightFile("pytest/gone.onnx", 1, "00"),), packaged="pytest==0.0")
    with pytest.raises(MissingPackageError, match=r"without gone\.onnx .*pytest==0\.0"):
        Store(tmp_path, Catalogue({"toy": model})).ensure("toy", progress)


def test_where_the_cache_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORY_CACHE", str(tmp_path))
    assert cache_root() == tmp_path
    monkeypatch.delenv("STORY_CACHE")
    assert cache_root().name == "story"


@pytest.mark.parametrize(("count", "text"), [(1_117_320_768, "1.12 GB"), (78_090_594, "78 MB"), (5, "1 MB")])
def test_sizes_for_people(count: int, text: str) -> None:
    assert gigabytes(count) == text


PULL = """
import sys
from pathlib import Path
from story.providers.local.catalogue import Catalogue, HttpSource, Model, WeightFile
from story.providers.local.store import Store

class Spoken:
    def confirm(self, question): return True
    def report(self, what, done, total): print(what, flush=True)

root, url, size, sum = sys.argv[1:]
file = WeightFile("weights.bin", int(size), sum, (HttpSource(url),))
print("at", Store(Path(root), Catalogue({"toy": Model("toy", "", "", "", "", (file,))})).ensure("toy", Spoken()))
"""


def test_two_processes_fetch_once(tmp_path: Path, shelf: Shelf) -> None:
    shelf.content["/w.bin"] = CONTENT
    shelf.gate = threading.Event()
    command = [sys.executable, "-c", PULL, str(tmp_path), shelf.url("/w.bin"), str(len(CONTENT)), sha256(CONTENT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert shelf.asked.wait(30)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == "toy (another process fetches it)\n"
            shelf.gate.set()
            assert second.wait(30) == 0
        assert first.wait(30) == 0
    assert len(shelf.requests) == 1
    assert (tmp_path / "toy" / "weights.bin").read_bytes() == CONTENT
    assert left_over(tmp_path) == []


def test_a_killed_process_leaves_its_lock_and_its_bytes(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.content["/w.bin"] = CONTENT
    shelf.gate = threading.Event()
    url = shelf.url("/w.bin")
    command = [sys.executable, "-c", PULL, str(tmp_path), url, str(len(CONTENT)), sha256(CONTENT)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as doomed:
        assert shelf.asked.wait(30)
        doomed.kill()
    shelf.gate.set()
    file = WeightFile("weights.bin", len(CONTENT), sha256(CONTENT), (HttpSource(url),))
    toy = Store(tmp_path, Catalogue({"toy": Model("toy", "", "", "", "", (file,))}))
    assert toy.ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT
