"""The pip source, with the real pip and wheels from a folder; no index is asked."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from model_shelf import Heard, Shelf, bytes_of, catalogue, left_over, sha256

from story.core.errors import WeightsError
from story.providers.local.catalogue import Catalogue, Model, Piece, PipPart, PipSource, WeightFile
from story.providers.local.fetching import ChecksumError, Run, SourceError, process
from story.providers.local.fetching import pip as pip_source
from story.providers.local.fetching.partial import Partial
from story.providers.local.store import Store

PARTS = [bytes_of(200_000, seed=1), bytes_of(200_000, seed=2), bytes_of(50_000, seed=3)]
CONTENT = b"".join(PARTS)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that pip may take wheels from."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel(folder: Path, name: str, members: dict[str, bytes]) -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}/__init__.py", "raise RuntimeError('weights are never imported')")
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def joined(parts: list[bytes] = PARTS) -> PipSource:
    offsets = [sum(map(len, parts[:number])) for number in range(len(parts))]
    return PipSource(
        tuple(
            PipPart(f"toy-part{number}==1.0", f"toy_part{number}/part.bin", Piece(offset, len(part), sha256(part)))
            for number, (offset, part) in enumerate(zip(offsets, parts, strict=True))
        )
    )


def test_parts_are_joined_in_order(tmp_path: Path, wheels: Path, progress: Heard) -> None:
    for number, part in enumerate(PARTS):
        wheel(wheels, f"toy_part{number}", {f"toy_part{number}/part.bin": part})
    toy = Store(tmp_path / "store", catalogue(CONTENT, joined()))
    assert toy.ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT
    assert left_over(tmp_path / "store") == []
    assert progress.reports[-1] == ("toy", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in progress.reports] == sorted(done for _, done, _ in progress.reports)


def test_a_part_that_is_missing_leaves_the_others_for_the_next_time(
    tmp_path: Path, wheels: Path, progress: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pip_source, "AT_ONCE", 1)
    for number in (0, 1):
        wheel(wheels, f"toy_part{number}", {f"toy_part{number}/part.bin": PARTS[number]})
    toy = Store(tmp_path / "store", catalogue(CONTENT, joined()))
    with pytest.raises(WeightsError, match=r"pip: No matching distribution found for toy-part2==1\.0"):
        toy.ensure("toy", progress)
    assert toy.missing("toy") == len(PARTS[2])
    for number in (0, 1):
        (wheels / f"toy_part{number}-1.0-py3-none-any.whl").unlink()
    wheel(wheels, "toy_part2", {"toy_part2/part.bin": PARTS[2]})
    assert toy.ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT


def test_pip_fills_what_http_left_open(
    tmp_path: Path, wheels: Path, shelf: Shelf, progress: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200000 bytes and a bit came over http: the first part is whole, and its wheel is not asked for."""
    shelf.content["/w.bin"] = CONTENT
    shelf.cuts = [210_000, 0]
    for number in (1, 2):
        wheel(wheels, f"toy_part{number}", {f"toy_part{number}/part.bin": PARTS[number]})
    toy = Store(tmp_path / "store", catalogue(CONTENT, shelf.url("/w.bin"), joined()))
    assert toy.ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT


def test_a_part_with_other_bytes_is_thrown_away(tmp_path: Path, wheels: Path, progress: Heard) -> None:
    wrong = bytes_of(len(PARTS[1]), seed=9)
    wheel(wheels, "toy_part0", {"toy_part0/part.bin": wrong})
    toy = Store(tmp_path / "store", catalogue(PARTS[1], joined(PARTS[1:2])))
    with pytest.raises(WeightsError, match=r"toy-part0==1\.0 has a wrong checksum"):
        toy.ensure("toy", progress)
    assert toy.locate("toy") is None
    assert toy.missing("toy") == len(wrong)


def test_a_part_that_is_too_long_does_not_spill(tmp_path: Path, progress: Heard) -> None:
    """The next part was there before, and stays right."""
    parts = [PARTS[2], PARTS[0]]
    source = joined(parts)
    file = catalogue(b"".join(parts), source).models["toy"].files[0]
    run = Run(tmp_path / "scratch", lambda done: None)
    run.scratch.mkdir()
    with Partial(tmp_path / "partial", file) as partial:
        partial.write(source.parts[1].piece.offset, parts[1])
        with zipfile.ZipFile(run.scratch / "toy-part0==1.0", "w") as archive:
            archive.writestr("toy_part0/part.bin", parts[0] + b"!" * 1000)
        with pytest.raises(ChecksumError):
            pip_source.fetch(source, file, partial, run)
        partial.keep_good()
        assert partial.gaps() == [(0, len(parts[0]))]


def test_a_wheel_without_the_member(tmp_path: Path, wheels: Path, progress: Heard) -> None:
    wheel(wheels, "toy_part0", {"toy_part0/other.bin": PARTS[0]})
    toy = Store(tmp_path / "store", catalogue(PARTS[0], joined(PARTS[:1])))
    with pytest.raises(WeightsError, match=r"toy-part0==1\.0 does not hold toy_part0/part\.bin"):
        toy.ensure("toy", progress)


def test_a_wheel_with_several_files_is_fetched_once(
    tmp_path: Path, wheels: Path, progress: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(wheels, "toy", {"toy/a.bin": PARTS[0], "toy/b.bin": PARTS[1]})
    files = tuple(
        WeightFile(
            f"{name}.bin",
            len(part),
            sha256(part),
            (PipSource((PipPart("toy==1.0", f"toy/{name}.bin", Piece(0, len(part), sha256(part))),)),),
        )
        for name, part in (("a", PARTS[0]), ("b", PARTS[1]))
    )
    toy = Store(tmp_path / "store", Catalogue({"toy": Model("toy", "", "", "", "", files)}))
    ran: list[str] = []
    download = pip_source._download

    def counted(package: str, *rest: object) -> None:
        ran.append(package)
        download(package, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(pip_source, "_download", counted)
    toy.ensure("toy", progress)
    assert ran == ["toy==1.0"]
    assert left_over(tmp_path / "store") == []


def test_without_pip(tmp_path: Path, progress: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/usr/bin/env")  # `env -m pip …` is no Python
    toy = Store(tmp_path / "store", catalogue(PARTS[0], joined(PARTS[:1])))
    with pytest.raises(WeightsError, match=r"pip: download of toy-part0==1\.0 failed"):
        toy.ensure("toy", progress)


@pytest.mark.parametrize(
    ("output", "message", "unreachable"),
    [
        ("/x/python: No module named pip\n", "not installed for this Python", True),
        (
            "WARNING: Retrying (Retry(total=1)) after connection broken by 'NewConnectionError'\n"
            "ERROR: No matching distribution found for toy==1.0\n",
            "does not answer",
            True,
        ),
        ("ERROR: No matching distribution found for toy==1.0\n", "No matching distribution", False),
    ],
)
def test_what_pip_says_becomes_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, message: str, unreachable: bool
) -> None:
    def complaining(command: Sequence[str], *_: object) -> tuple[int, str]:
        return 1, output

    monkeypatch.setattr(process, "run", complaining)
    model = catalogue(PARTS[0], joined(PARTS[:1])).models["toy"]
    source = model.files[0].sources[0]
    assert isinstance(source, PipSource)
    with (
        Partial(tmp_path / "partial", model.files[0]) as partial,
        pytest.raises(SourceError, match=message) as error,
    ):
        pip_source.fetch(source, model.files[0], partial, Run(tmp_path / "scratch", lambda done: None))
    assert error.value.unreachable is unreachable


def test_a_full_disk_under_pip(tmp_path: Path, progress: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    says = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n"
    monkeypatch.setattr(process, "run", lambda *_: (1, says))
    with pytest.raises(WeightsError, match="the disk is full"):
        Store(tmp_path, catalogue(PARTS[0], joined(PARTS[:1]))).ensure("toy", progress)
