"""The server that `story run` starts for itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from story.transports.livekit.dev_server import dev_server, free_ports
from story.transports.livekit.server_access import LiveKitServer, check
from tests.transports.livekit.caller import calling
from tests.transports.livekit.running import EMULATED, SECRET, STACKS, StoryRun

pytestmark = [pytest.mark.livekit, pytest.mark.slow, pytest.mark.long]


@pytest.mark.parametrize(
    "secret", ['a, b}: "c" \\ # and some more of it, up to 32', "'é' [🎈] & * ! | > % @ ` and so on, more"]
)
async def test_a_secret_may_be_anything(secret: str) -> None:
    async with dev_server(free_ports(), key="my: {key}", secret=secret) as server:
        await check(server)


async def test_ctrl_c_twice_says_goodbye_before_the_server_goes(tmp_path: Path, room: str) -> None:
    port = free_ports()
    named = LiveKitServer(f"ws://127.0.0.1:{port}", "devkey", SECRET)
    run = StoryRun(named, tmp_path, *EMULATED, *STACKS, "--dev-server", "--dev-port", str(port))
    try:
        run.until("registered")
        async with calling(named, room) as caller:
            await caller.until_asked(1)
            run.interrupt()
            await asyncio.to_thread(run.until, "draining", calls=1)
            run.interrupt()
            await asyncio.to_thread(run.until, "call_ended", reason="shutdown")
            assert len(run.of("agent_turn")) == 2, "no goodbye"
            assert await asyncio.to_thread(run.ended) == 0
    finally:
        run.close()
