"""The http source, against a real server that misbehaves in every way we could think of."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from model_shelf import Heard, Shelf, bytes_of, catalogue, left_over, sha256

from story.core.errors import WeightsError
from story.providers.local.catalogue import Catalogue, HttpSource, Model, WeightFile
from story.providers.local.store import Store

CONTENT = bytes_of(700_000)


def store(tmp_path: Path, *sources: str, content: bytes = CONTENT) -> Store:
    return Store(tmp_path, catalogue(content, *sources), connect_timeout=0.5, read_timeout=0.5)


def test_a_file_arrives_whole(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.content["/w.bin"] = CONTENT
    toy = store(tmp_path, shelf.url("/w.bin"))
    assert toy.locate("toy") is None
    paths = toy.ensure("toy", progress)
    assert paths["weights.bin"].read_bytes() == CONTENT
    assert paths == toy.locate("toy")
    assert progress.reports[-1] == ("toy", len(CONTENT), len(CONTENT))
    assert left_over(tmp_path) == []


def test_a_second_call_asks_nobody(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.content["/w.bin"] = CONTENT
    toy = store(tmp_path, shelf.url("/w.bin"))
    toy.ensure("toy", progress)
    toy.ensure("toy", progress)
    assert len(shelf.requests) == len(progress.questions) == 1


def test_a_body_that_ends_early_is_resumed_in_the_same_run(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.content["/w.bin"] = CONTENT
    shelf.cuts = [300_000, 100_000]
    paths = store(tmp_path, shelf.url("/w.bin")).ensure("toy", progress)
    assert paths["weights.bin"].read_bytes() == CONTENT
    last = len(CONTENT) - 1
    assert [wanted for _, wanted in shelf.requests] == [
        f"bytes=0-{last}",
        f"bytes=300000-{last}",
        f"bytes=400000-{last}",
    ]


def test_an_interrupted_pull_goes_on_where_it_stopped(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.content["/w.bin"] = CONTENT
    shelf.cuts = [300_000, 0]
    toy = store(tmp_path, shelf.url("/w.bin"))
    with pytest.raises(WeightsError, match="goes on where this stopped"):
        toy.ensure("toy", progress)
    assert toy.locate("toy") is None
    assert toy.missing("toy") == 400_000
    shelf.requests.clear()
    assert toy.ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT
    assert shelf.requests == [("/w.bin", f"bytes=300000-{len(CONTENT) - 1}")]


def test_the_next_source_goes_on_from_there(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.content["/a.bin"] = shelf.content["/b.bin"] = CONTENT
    shelf.cuts = [300_000, 0]
    other = shelf.url("/b.bin").replace("127.0.0.1", "localhost")
    assert store(tmp_path, shelf.url("/a.bin"), other).ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT
    assert shelf.requests[-1] == ("/b.bin", f"bytes=300000-{len(CONTENT) - 1}")


def test_a_server_without_ranges(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.content["/w.bin"] = CONTENT
    shelf.ranges = False
    shelf.cuts = [300_000]
    assert store(tmp_path, shelf.url("/w.bin")).ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT


def test_a_wrong_checksum_is_fetched_once_more(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.content["/w.bin"] = CONTENT
    shelf.once["/w.bin"] = CONTENT[:-1] + b"!"
    assert store(tmp_path, shelf.url("/w.bin")).ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT
    assert len(shelf.requests) == 2


def test_a_wrong_checksum_is_fetched_from_the_next_source(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.content |= {"/bad.bin": CONTENT[:-1] + b"!", "/good.bin": CONTENT}
    toy = store(tmp_path, shelf.url("/bad.bin"), shelf.url("/good.bin"))
    assert toy.ensure("toy", progress)["weights.bin"].read_bytes() == CONTENT


def test_a_checksum_that_stays_wrong_is_an_error_and_leaves_nothing(
    tmp_path: Path, shelf: Shelf, progress: Heard
) -> None:
    shelf.content["/w.bin"] = CONTENT[:-1] + b"!"
    toy = store(tmp_path, shelf.url("/w.bin"))
    with pytest.raises(WeightsError, match=r"weights\.bin has a wrong checksum"):
        toy.ensure("toy", progress)
    assert len(shelf.requests) == 2
    assert not toy.paths("toy")["weights.bin"].exists()
    assert toy.missing("toy") == len(CONTENT)


def test_a_file_of_another_size_is_not_even_read(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.content["/w.bin"] = CONTENT * 2
    toy = store(tmp_path, shelf.url("/w.bin"))
    with pytest.raises(WeightsError, match=r"has another weights\.bin: 1400000 bytes, not 700000"):
        toy.ensure("toy", progress)
    assert toy.missing("toy") == len(CONTENT)


def test_a_file_that_is_gone(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    with pytest.raises(WeightsError, match=r"does not have weights\.bin any more"):
        store(tmp_path, shelf.url("/w.bin")).ensure("toy", progress)


def test_a_server_in_trouble_is_left_for_the_next_source(
    tmp_path: Path, shelf: Shelf, refused: str, progress: Heard
) -> None:
    shelf.status = 503
    with pytest.raises(WeightsError, match=r"answered 503.*no connection \(Connection refused\)"):
        store(tmp_path, shelf.url("/w.bin"), refused).ensure("toy", progress)


def test_no_network_is_one_clear_line(tmp_path: Path, refused: str, progress: Heard) -> None:
    with pytest.raises(WeightsError, match=r"^no network: can't fetch weights\.bin of toy") as error:
        store(tmp_path, refused).ensure("toy", progress)
    assert "\n" not in str(error.value)
    assert "story models pull toy" in str(error.value)


def test_a_name_that_does_not_resolve(tmp_path: Path, progress: Heard) -> None:
    with pytest.raises(WeightsError, match="no network"):
        store(tmp_path, "http://nowhere.invalid/w.bin").ensure("toy", progress)


def test_a_host_that_does_not_take_the_connection(tmp_path: Path, progress: Heard) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        queue = [socket.socket() for _ in range(4)]  # fill the queue of connections that nobody accepts
        for waiting in queue:
            waiting.setblocking(False)
            waiting.connect_ex(address)
        toy = store(tmp_path, f"http://127.0.0.1:{address[1]}/w.bin")
        with pytest.raises(WeightsError, match=r"no connection within 0\.5 s"):
            toy.ensure("toy", progress)
        for waiting in queue:
            waiting.close()


def test_a_server_that_accepts_and_says_nothing(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.gate = threading.Event()
    with pytest.raises(WeightsError, match=r"sent nothing for 0\.5 s"):
        store(tmp_path, shelf.url("/w.bin")).ensure("toy", progress)


def test_a_host_that_failed_is_not_asked_again_in_that_run(tmp_path: Path, shelf: Shelf, progress: Heard) -> None:
    shelf.status = 500
    good = shelf.url("/ok").replace("127.0.0.1", "localhost")
    files = tuple(
        WeightFile(name, 3, sha256(b"abc"), (HttpSource(shelf.url(f"/{name}")), HttpSource(good)))
        for name in ("one", "two")
    )
    toy = Store(tmp_path, Catalogue({"toy": Model("toy", "", "", "", "", files)}))
    with pytest.raises(WeightsError, match="can't fetch one"):
        toy.ensure("toy", progress)
    assert [path for path, _ in shelf.requests] == ["/one", "/ok"]


def test_a_failed_host_is_skipped_for_the_next_file(
    tmp_path: Path, shelf: Shelf, refused: str, progress: Heard
) -> None:
    shelf.content["/ok"] = b"abc"
    files = tuple(
        WeightFile(name, 3, sha256(b"abc"), (HttpSource(refused), HttpSource(shelf.url("/ok"))))
        for name in ("one", "two")
    )
    toy = Store(tmp_path, Catalogue({"toy": Model("toy", "", "", "", "", files)}))
    assert set(toy.ensure("toy", progress)) == {"one", "two"}
