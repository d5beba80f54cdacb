"""A call in a room on this machine's own models, which job processes share."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from story.transports.livekit.server_access import LiveKitServer
from tests.transports.livekit.caller import calling
from tests.transports.livekit.running import worker

LOCAL = ("--intro-stack", "local", "--story-stack", "local", "--agent-name", "local")


@pytest.mark.livekit
@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.full
async def test_a_call_on_local_models_in_a_process_of_its_own(server: LiveKitServer, tmp_path: Path, room: str) -> None:
    with worker(server, tmp_path, *LOCAL, "--jobs", "process", emulated=False) as run:
        async with calling(server, room, agent="local") as caller:
            await caller.until_asked(1)
            await caller.type("I am Maria, and I live in Lisbon.")
            await caller.until(lambda: caller.of("handoff"), 100)
            family = psutil.Process(run.process.pid).children(recursive=True)
            with_weights = [one for one in family if one.memory_info().rss > 900e6]
            assert len(with_weights) == 1 and "story.providers.local.server" in with_weights[0].cmdline()
        await asyncio.to_thread(run.until, "call_ended", reason="caller_left")
