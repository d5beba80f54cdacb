"""Fixtures of the tests that fetch."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from model_shelf import Heard, Shelf


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        if server.gate is not None:
            server.gate.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def progress() -> Heard:
    return Heard()


@pytest.fixture
def refused() -> str:
    """An address that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/refused.bin"
