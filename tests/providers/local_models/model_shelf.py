"""A weights server on loopback, and small catalogues of what it serves."""

from __future__ import annotations

import hashlib
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from story.providers.local.catalogue import Catalogue, HttpSource, Model, Source, WeightFile


@dataclass
class Heard:
    """A `Progress` that agrees to everything and remembers it."""

    agree: bool = True
    questions: list[str] = field(default_factory=list)
    reports: list[tuple[str, int, int]] = field(default_factory=list)

    def confirm(self, question: str) -> bool:
        self.questions.append(question)
        return self.agree

    def report(self, what: str, done: int, total: int) -> None:
        self.reports.append((what, done, total))


class Shelf(ThreadingHTTPServer):
    """Serves `content` by path; the other fields make it misbehave."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.content: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []  # path, Range
        self.ranges = True
        self.status: int | None = None
        self.cuts: list[int] = []  # the bodies of the next answers end after so many bytes
        self.once: dict[str, bytes] = {}  # given instead of `content`, one time
        self.gate: threading.Event | None = None  # no answer before it is set
        self.asked = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Answer(BaseHTTPRequestHandler):
    server: Shelf
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        shelf = self.server
        wanted = self.headers.get("Range")
        shelf.requests.append((self.path, wanted))
        shelf.asked.set()
        if shelf.gate is not None:
            shelf.gate.wait()
        self.close_connection = True
        content = shelf.once.pop(self.path, None) or shelf.content.get(self.path)
        if shelf.status is not None or content is None:
            self.send_error(shelf.status or 404)
            return
        body = content
        if wanted and shelf.ranges:
            first, last = wanted.removeprefix("bytes=").split("-")
            body = content[int(first) : int(last) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{int(first) + len(body) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if shelf.cuts:
            body = body[: shelf.cuts.pop(0)]
        with suppress(ConnectionError):  # who asked went away, which some tests are about
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def bytes_of(size: int, seed: int = 0) -> bytes:
    """Bytes without a pattern that a misplaced piece could hide in."""
    blocks = (hashlib.sha256(f"{seed}:{number}".encode()).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


def catalogue(content: bytes, *sources: Source | str, name: str = "toy") -> Catalogue:
    """One model of one file, weights.bin; a source that is text is an address."""
    given = tuple(HttpSource(source) if isinstance(source, str) else source for source in sources)
    file = WeightFile("weights.bin", len(content), sha256(content), given)
    return Catalogue({name: Model(name, "Toy", "tests", "MIT", "", (file,))})


def left_over(root: Path) -> list[str]:
    """Files under the store that are not finished weights."""
    return sorted(str(path.relative_to(root)) for path in root.rglob(".partial/**/*") if path.is_file())
