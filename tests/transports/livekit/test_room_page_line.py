"""The page's line in a room: several callers, a server that restarts, a worker that ends or is killed."""

# ruff: noqa: F811
from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import jwt
import pytest

from story.transports.livekit.server_access import LiveKitServer
from tests.transports.livekit.running import ServerProcess, StoryRun, delete_room, room_gone, worker
from tests.transports.livekit.test_room_page import client_is_there  # noqa: F401
from tests.transports.web.browser.conftest import Visit, chromium, launch, visitor  # noqa: F401
from tests.transports.web.browser.visitor import Visitor, expect

pytestmark = [
    pytest.mark.livekit,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.full,
    pytest.mark.usefixtures("client_is_there"),
]


async def in_a_call(run: StoryRun, visitor: Visit, *scripts: str) -> Visitor:
    """A visitor whom the agent greets."""
    caller = await visitor(run.until("page")["url"], scripts=("microphone", *scripts))
    await caller.open()
    await caller.start()
    await expect(caller["#captions"]).to_contain_text("Hello! I'm")
    return caller


async def finish(caller: Visitor) -> None:
    """From the first persona to the end of the story, typed."""
    await caller.type("My name is Maria, and I live in Lisbon.")
    await finish_story(caller)


async def finish_story(caller: Visitor) -> None:
    """From the handover to the end."""
    await expect(caller["#captions"]).to_contain_text("Lovely to meet you, Maria")
    await caller.type("Goodbye!")
    await caller.phase("ended")
    await expect(caller["#ended-because"]).to_contain_text("The story is over.")


async def test_a_server_that_restarts_in_mid_call(tmp_path: Path, visitor: Visit) -> None:
    """LiveKit's client finds the room again, with its newest token; what is spoken then arrives."""
    server = ServerProcess(tmp_path)
    server.start()
    try:
        with worker(server.named, tmp_path) as run:
            caller = await in_a_call(run, visitor, "sockets")
            await caller.listened_to()
            server.kill()
            await expect(caller["body"]).to_have_attribute("data-link", "down")
            await expect(caller["#state"]).to_have_text("Reconnecting…")
            await asyncio.to_thread(server.start)
            await expect(caller["#notice"]).to_contain_text("Connected again.")
            await expect(caller["body"]).to_have_attribute("data-link", "up")
            await caller.speak("maria/turn1")
            await expect(caller.turns("caller")).to_contain_text("and I live in Lisbon.")
            await finish_story(caller)
            assert len(run.of("call_started")) == 1
            first, *_, last = await tokens(caller, server.named)
            assert last["exp"] - first["exp"] > 300  # long after the first one was over it would have done
    finally:
        server.kill()
    caller.complaints.clear()  # requests to a server that is not there


async def tokens(caller: Visitor, server: LiveKitServer) -> list[dict[str, Any]]:
    """What the page showed whenever it came to the server, oldest first."""
    urls = await caller.page.evaluate("testSockets.map(({ url }) => url)")
    shown = [url.partition("access_token=")[2].partition("&")[0] for url in urls]
    return [jwt.decode(token, server.secret, algorithms=["HS256"]) for token in shown]


async def test_a_worker_that_is_killed_is_waited_for_no_longer_than_promised(
    server: LiveKitServer, tmp_path: Path, visitor: Visit
) -> None:
    with worker(server, tmp_path, "--agent-name", "killed") as run:
        caller = await in_a_call(run, visitor)
        run.process.kill()
        await expect(caller["body"]).to_have_attribute("data-link", "down")
        await caller.phase("ended")
        await expect(caller["#ended-because"]).to_contain_text("The connection was lost.")
        await expect(caller["#story"]).to_contain_text("Hello! I'm")
    caller.complaints.clear()


async def test_a_room_that_is_deleted_is_not_made_again(server: LiveKitServer, run: StoryRun, visitor: Visit) -> None:
    """Its token would send another agent there."""
    caller = await in_a_call(run, visitor, "sockets")
    room = (await tokens(caller, server))[0]["video"]["room"]
    await delete_room(server, room)
    await caller.phase("ended")
    await expect(caller["#ended-because"]).to_contain_text("The connection was lost.")
    await asyncio.to_thread(run.until, "call_ended")
    await room_gone(server, room)
    assert len(run.of("call_started")) == 1
    caller.complaints.clear()  # LiveKit's client logs that its channels were closed


async def test_two_at_once_and_a_worker_that_ends(server: LiveKitServer, tmp_path: Path, visitor: Visit) -> None:
    """At SIGTERM calls go on to their end; at a second one they end with a goodbye."""
    with worker(server, tmp_path, "--agent-name", "ending") as run:
        one = await in_a_call(run, visitor)
        two = await in_a_call(run, visitor)
        assert len({event["call"] for event in run.of("call_started")}) == 2
        run.terminate()
        await asyncio.to_thread(run.until, "draining", calls=2)
        await finish(one)
        await two.listened_to()
        run.terminate()
        await two.phase("ended")
        await expect(two["#ended-because"]).to_contain_text("The server was stopped.")
        assert await asyncio.to_thread(run.ended) == 0
    for caller in (one, two):
        caller.complaints.clear()  # LiveKit's client logs that its channels were closed
