"""How a worker begins and ends: without a complaint, and with a goodbye where there is no more time."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from story.transports.livekit.dispatch import dispatch
from story.transports.livekit.orders import Order
from story.transports.livekit.server_access import LiveKitServer
from story.transports.parting import LAST_WORDS
from tests.transports.livekit.caller import calling
from tests.transports.livekit.running import EMULATED, STACKS, StoryRun, worker

pytestmark = [pytest.mark.livekit, pytest.mark.slow, pytest.mark.long]


def warnings(folder: Path) -> list[str]:
    """What a worker's log has of them, but for those of a machine that is too busy."""
    (log,) = folder.glob("state/**/story.log")
    logged = log.read_text(encoding="utf-8").splitlines()
    assert logged
    return [line for line in logged if re.match(r"\S+ \S+ (?!INFO|DEBUG)", line) and "event loop blocked" not in line]


async def test_without_an_agent_name_it_goes_into_every_room_and_it_warns_of_nothing(
    server: LiveKitServer, tmp_path: Path, room: str
) -> None:
    with worker(server, tmp_path, "--agent-name", "") as run:
        assert warnings(tmp_path) == []
        async with calling(server, room, agent=None) as caller:
            await caller.until_asked(1)
            assert caller.agent is not None
            assert caller.agent.attributes["lk.agent.name"] == ""
        await asyncio.to_thread(run.until, "call_ended", reason="caller_left")
        run.terminate()
        assert await asyncio.to_thread(run.ended) == 0
        assert run.process.stderr is not None and run.process.stderr.read() == ""


async def test_when_the_time_to_drain_is_over_the_call_ends_with_a_goodbye(
    server: LiveKitServer, tmp_path: Path, room: str
) -> None:
    with worker(server, tmp_path, "--agent-name", room, "--drain-timeout", "1") as run:
        async with calling(server, room, agent=room) as caller:
            await caller.until_asked(1)
            run.terminate()
            await caller.until(lambda: caller.disconnected)
            assert caller.of("call_ended")[0]["reason"] == "shutdown"
            assert caller.of("agent_turn")[-1]["text"] == LAST_WORDS
            assert await asyncio.to_thread(run.ended) == 0


async def test_an_agent_that_waits_for_a_caller_leaves_when_its_worker_is_to_stop(
    server: LiveKitServer, tmp_path: Path, room: str
) -> None:
    with worker(server, tmp_path, "--agent-name", room) as run:
        await dispatch(server, room, room, Order(wait=True).as_metadata())
        run.terminate()
        assert await asyncio.to_thread(run.ended, 30) == 0
        async with calling(server, room, agent=None, microphone=False) as caller:
            assert caller.agent is None
    assert run.of("call_started") == []


@pytest.mark.parametrize("wrong, told", [
    ({"key": "nobody"}, "does not know LIVEKIT_API_KEY"),
    ({"secret": "no secret of this server, but a long one"}, "LIVEKIT_API_SECRET is not the secret of that key"),
], ids=["key", "secret"])  # fmt: skip
def test_with_wait_a_wrong_key_or_secret_is_told_and_tried_again_until_it_is_to_stop(
    server: LiveKitServer, tmp_path: Path, wrong: dict[str, str], told: str
) -> None:
    named = {"key": server.key, "secret": server.secret, **wrong}
    run = StoryRun(LiveKitServer(server.url, **named), tmp_path, *EMULATED, *STACKS, "--wait")
    try:
        assert told in run.until("waiting")["why"]
        run.terminate()
        assert run.ended() == 0
    finally:
        run.close()
