"""A worker has a slot for each of its calls, and gives it to nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
from livekit import api

from story.core.errors import StoryError
from story.transports.livekit.dev_server import free_ports
from story.transports.livekit.dispatch import dispatch
from story.transports.livekit.orders import Order
from story.transports.livekit.server_access import LiveKitServer
from story.transports.livekit.server_api import reach
from tests.transports.livekit.running import PATIENCE, StoryRun, delete_room, worker

pytestmark = [pytest.mark.livekit, pytest.mark.slow, pytest.mark.long]

UNKNOWN = '{"chain": "fairy"}'


async def until_held(health: int, jobs: int) -> None:
    """Wait until the worker whose health port that is holds so many."""
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as http:
        while True:
            async with http.get(f"http://127.0.0.1:{health}/worker") as answer:
                if (await answer.json()).get("active_jobs", 0) == jobs:
                    return
            await asyncio.sleep(0.02)


class Single:
    """A worker that holds one call at a time."""

    name = "single"

    def __init__(self, run: StoryRun, health: int) -> None:
        self.run, self._health = run, health

    async def until_idle(self) -> None:
        await until_held(self._health, 0)


@pytest.fixture(scope="module")
def single(server: LiveKitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Single]:
    port = free_ports()
    options = ("--agent-name", Single.name, "--max-calls", "1", "--health-port", str(port))
    with worker(server, tmp_path_factory.mktemp("single"), *options) as run:
        yield Single(run, port)


async def test_a_worker_with_one_slot_left_is_not_full_and_waits_for_nobody_once_it_is_to_stop(
    server: LiveKitServer, tmp_path: Path, room: str
) -> None:
    port = free_ports()
    options = ("--agent-name", room, "--max-calls", "2", "--health-port", str(port))
    with worker(server, tmp_path, *options) as run:
        async with reach(server) as lk:
            for held in (1, 2):  # the second comes as soon as the first is held
                request = api.CreateAgentDispatchRequest(
                    agent_name=room, room=f"{room}-{held}", metadata=Order(wait=True).as_metadata()
                )
                await lk.agent_dispatch.create_dispatch(request)
                await until_held(port, held)
        run.terminate()  # the agent of the second is still on its way into the room
        assert await asyncio.to_thread(run.ended) == 0


async def test_a_room_that_is_gone_before_a_caller_came(server: LiveKitServer, single: Single, room: str) -> None:
    await dispatch(server, room, Single.name, Order(wait=True).as_metadata())
    await delete_room(server, room)
    await single.until_idle()
    assert not single.run.of("call_started") and not single.run.of("error")


async def test_who_is_refused_takes_his_agent_back(server: LiveKitServer, single: Single, room: str) -> None:
    with pytest.raises(StoryError, match="the worker refuses: unknown chain 'fairy'"):
        await dispatch(server, room, Single.name, UNKNOWN)
    async with reach(server) as lk:
        assert Single.name not in {known.agent_name for known in await lk.agent_dispatch.list_dispatch(room)}
    await single.until_idle()


async def test_a_job_that_is_refused_where_nobody_comes_ends(server: LiveKitServer, single: Single, room: str) -> None:
    async with reach(server) as lk:
        request = api.CreateAgentDispatchRequest(agent_name=Single.name, room=room, metadata=UNKNOWN)
        made = await lk.agent_dispatch.create_dispatch(request)
        async with asyncio.timeout(PATIENCE):
            while True:
                dispatches = await lk.agent_dispatch.list_dispatch(room)
                if any(known.id == made.id and known.state.jobs for known in dispatches):
                    break
                await asyncio.sleep(0.1)
        await single.until_idle()
