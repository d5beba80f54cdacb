"""What a worker tells while its server is away, and after that; its ports."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from story.transports.livekit.dev_server import free_ports
from story.transports.livekit.page import has_client
from tests.transports.livekit.caller import calling
from tests.transports.livekit.running import EMULATED, PATIENCE, STACKS, ServerProcess, StoryRun, worker

pytestmark = [pytest.mark.livekit, pytest.mark.slow, pytest.mark.long]


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status, await answer.text()


async def until_told(url: str, status: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if (await get(url))[0] == status:
                return
            await asyncio.sleep(0.1)


async def test_what_is_told_while_the_server_is_away(
    tmp_path: Path, room: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ServerProcess(tmp_path)
    server.start()
    port = free_ports()
    health = f"http://127.0.0.1:{port}"
    options = ("--health-port", str(port), "--prometheus-port", str(port + 1), "--open")
    opened = tmp_path / "opened"
    monkeypatch.setenv("BROWSER", f"sh -c 'echo $0 > {opened}' %s")
    try:
        with worker(server.named, tmp_path, *options) as run:
            assert await get(health) == (200, "OK")
            async with calling(server.named, room) as caller:
                await caller.until_asked(1)
                agent = caller.agent
                assert agent is not None and agent.attributes["story.ready"] == "1"
                _, told = await get(f"{health}/worker")
                assert '"agent_name": "story"' in told and '"active_jobs": 1' in told
                _, figures = await get(f"http://127.0.0.1:{port + 1}/metrics")
                assert "story_calls_active 1.0" in figures and "story_calls_started_total 1.0" in figures
                assert "lk_agents_worker_load" in figures

                server.kill()
                await until_told(health, 503)
                if has_client():
                    assert opened.read_text().strip() == run.until("page")["url"]
                    _, page = await get(f"{run.until('page')['url']}api/setup")
                    assert '"ready": false' in page
                await asyncio.to_thread(server.start)
                await asyncio.to_thread(run.until, "registered", count=2)
                assert await get(health) == (200, "OK")

                await caller.until(lambda: caller.agent is not None and "story.ready" in caller.agent.attributes)
                await caller.until(lambda: caller.agent and caller.agent.attributes["lk.agent.state"] == "listening")
                assert caller.agent is not None and caller.agent.attributes["story.persona"] == "intro"
    finally:
        server.kill()


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    server.start()
    try:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            run = StoryRun(server.named, tmp_path, *EMULATED, *STACKS, "--health-port", str(port))
            assert run.ended() == 2
            assert run.process.stderr is not None
            said = run.process.stderr.read()
            assert said.startswith(f"story: can't listen on 127.0.0.1 port {port} (--health-port): ")
            assert len(said.splitlines()) == 1
            run.close()
    finally:
        server.kill()
