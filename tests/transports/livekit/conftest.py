"""A LiveKit server and a worker for the tests of one module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from story.transports.livekit.server_access import LiveKitServer
from tests.transports.livekit.running import StoryRun, livekit_server, worker


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveKitServer]:
    with livekit_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def run(server: LiveKitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoryRun]:
    folder: Path = tmp_path_factory.mktemp("worker")
    with worker(server, folder) as running:
        yield running


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """A room for this test alone."""
    return request.node.name.replace("[", "-").replace("]", "")
