"""The page of `story run` in LiveKit mode, in Chromium: the same page, in a room of its own."""

from __future__ import annotations

import asyncio

import aiohttp
import jwt
import pytest

from story.transports.livekit.page import has_client
from story.transports.livekit.server_access import LiveKitServer
from tests.transports.livekit.running import StoryRun
from tests.transports.web.browser.conftest import Visit, chromium, launch, visitor  # noqa: F401

pytestmark = [pytest.mark.livekit, pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _client() -> None:
    if not has_client():
        pytest.skip("LiveKit's client for browsers is missing: make web")


async def test_a_whole_call_on_the_page(run: StoryRun, visitor: Visit) -> None:  # noqa: F811
    somebody = await visitor(run.until("page")["url"])
    await somebody.open()
    await somebody.start()
    await somebody.turns("agent", persona="intro").first.wait_for()
    await somebody.speak("maria/turn1")
    await somebody.turns("caller", text="My name is Maria").first.wait_for()
    await somebody.turns("agent", persona="story").first.wait_for()
    await somebody.type("Goodbye!")
    await somebody.phase("ended")
    ended = await asyncio.to_thread(run.until, "call_ended", reason="finished")
    assert ended["data"] == {"name": "Maria", "location": "Lisbon"}


async def test_who_closes_the_page_has_left(run: StoryRun, visitor: Visit) -> None:  # noqa: F811
    somebody = await visitor(run.until("page")["url"])
    await somebody.open()
    await somebody.start()
    await somebody.turns("agent").first.wait_for()
    call = run.of("call_started")[-1]["call"]
    await somebody.page.close()
    ended = await asyncio.to_thread(run.until, "call_ended", call=call)
    assert ended["reason"] == "caller_left"


async def test_a_token_is_for_one_room_and_soon_over(server: LiveKitServer, run: StoryRun) -> None:
    url = run.until("page")["url"]
    async with aiohttp.ClientSession(url) as http:
        tokens = []
        for _ in range(2):
            async with http.post("/api/rooms", json={}) as response:
                assert response.status == 201
                answer = await response.json()
            assert answer["url"] == server.url
            tokens.append(jwt.decode(answer["token"], server.secret, algorithms=["HS256"]))
        assert len({token["video"]["room"] for token in tokens}) == 2
        for token in tokens:
            assert token["video"]["roomJoin"] and not token["video"].get("roomAdmin")
            assert token["exp"] - token["nbf"] <= 120
        async with http.post("/api/rooms", json={}, headers={"Origin": "http://elsewhere.example"}) as response:
            assert response.status == 403
        async with http.post("/api/rooms", json={}, headers={"Host": "elsewhere.example"}) as response:
            assert response.status == 403
        async with http.post("/api/rooms", json={"stacks": {"intro": "local"}}) as response:
            assert response.status == 400 and "--allow-stacks" in (await response.json())["error"]
        async with http.get("/") as response:
            assert 'src="page/room.js"' in await response.text()
            policy = response.headers["Content-Security-Policy"]
            assert f"connect-src 'self' {server.url} {server.http_url};" in policy
