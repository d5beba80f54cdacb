"""Files at an address, resumed by Range. The standard library's client: no import cost, and proxies work."""

from __future__ import annotations

import http.client
import re
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from story.providers.local.catalogue import HttpSource, WeightFile
from story.providers.local.fetching import Run, SourceError
from story.providers.local.fetching.partial import Partial
from story.version import __version__

CHUNK = 256 << 10
# A body that ends early is asked for again from where it ended, as long as each try brings something.
TRIES = 5


def fetch(source: HttpSource, file: WeightFile, partial: Partial, run: Run) -> None:
    """Fill the gaps of `partial` from the address of `source`."""
    host = urlsplit(source.url).netloc
    run.check(host)
    for _ in range(TRIES):
        before = partial.done
        for gap in partial.gaps():
            try:
                _fetch_gap(source.url, gap, partial, run)
            except urllib.error.HTTPError as error:
                if error.code in (404, 410):
                    raise SourceError(f"{host} does not have {file.name} any more") from None
                raise run.fail(host, f"answered {error.code} {error.reason}") from None
            except urllib.error.URLError as error:
                raise run.fail(host, _why(error.reason)) from None
            except TimeoutError:
                raise run.fail(host, f"sent nothing for {run.read_timeout:g} s") from None
            except (ConnectionError, ssl.SSLError, http.client.HTTPException):
                break  # cut in the middle: the next try goes on there
        if not partial.gaps():
            return
        if partial.done == before:
            break
    raise run.fail(host, "the connection breaks off")


def _fetch_gap(url: str, gap: tuple[int, int], partial: Partial, run: Run) -> None:
    start, end = gap
    headers = {"Range": f"bytes={start}-{end - 1}", "User-Agent": f"story-agents/{__version__}"}
    with _open(urllib.request.Request(url, headers=headers), run) as answer:
        at = _begins_at(answer, partial.file, start)
        while at < end:
            chunk = answer.read1(CHUNK)
            if not chunk:
                raise ConnectionResetError("the body ended early")
            fresh = chunk[max(0, start - at) : end - at]
            at += len(chunk)
            if fresh:
                partial.write(min(at, end) - len(fresh), fresh)
                run.report(partial.done)


def _begins_at(answer: http.client.HTTPResponse, file: WeightFile, start: int) -> int:
    """The offset of the first byte of this answer: 0 from a server that does not know ranges."""
    total = answer.headers.get("Content-Length")
    at = 0
    if answer.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
        if match is None or int(match[1]) > start:
            raise SourceError(f"{urlsplit(answer.url).netloc} answered with another range than asked for")
        at, total = int(match[1]), match[2] if match[2] != "*" else None
    if total is not None and int(total) != file.size:
        raise SourceError(f"{urlsplit(answer.url).netloc} has another {file.name}: {total} bytes, not {file.size}")
    return at


@contextmanager
def _open(request: urllib.request.Request, run: Run) -> Iterator[http.client.HTTPResponse]:
    opener = urllib.request.build_opener(_Handler(run.read_timeout))
    with opener.open(request, timeout=run.connect_timeout) as answer:
        yield answer


class _Handler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Opens connections whose timeout is one deadline for name, address and TLS together, and another afterwards.

    The plain timeout of a socket counts each address of a host anew, and the name's look-up not at all.
    """

    def __init__(self, read_timeout: float) -> None:
        super().__init__()
        self.read_timeout = read_timeout

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_http(self.read_timeout), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_https(self.read_timeout), req)


def _http(read_timeout: float) -> type[http.client.HTTPConnection]:
    class Connection(http.client.HTTPConnection):
        def connect(self) -> None:
            _in_time(self, super().connect, read_timeout)

    return Connection


def _https(read_timeout: float) -> type[http.client.HTTPSConnection]:
    class Connection(http.client.HTTPSConnection):
        def connect(self) -> None:
            _in_time(self, super().connect, read_timeout)

    return Connection


def _in_time(connection: http.client.HTTPConnection, connect: Callable[[], None], read_timeout: float) -> None:
    outcome: list[Exception | None] = []
    late = threading.Event()

    def attempt() -> None:
        try:
            connect()
        except Exception as error:  # handed to the thread that waits
            outcome.append(error)
            return
        outcome.append(None)
        if late.is_set():
            connection.close()

    thread = threading.Thread(target=attempt, name="story-connect", daemon=True)
    thread.start()
    thread.join(connection.timeout)
    # The socket has the same limit as the thread that waits for it: either may be the first to notice.
    if not outcome or isinstance(outcome[0], TimeoutError):
        late.set()
        raise TimeoutError(f"no connection within {connection.timeout:g} s")
    if outcome[0] is not None:
        raise outcome[0]
    connection.sock.settimeout(read_timeout)


def _why(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return str(reason) or "no connection in time"
    if isinstance(reason, OSError) and reason.strerror:
        return f"no connection ({reason.strerror})"
    return f"no connection ({reason})"
