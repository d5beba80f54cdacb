"""Who gets a room of the page in LiveKit mode, and what their token is good for. No server is asked for that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import jwt
import pytest

from story.transports.livekit.page import MAX_BODY, TOKEN_SECONDS, RoomPage
from story.transports.livekit.server_access import LiveKitServer
from story.transports.web import access
from story.transports.web.page_server import State
from tests.transports.web.served import OFFERS

SERVER = LiveKitServer("ws://127.0.0.1:1", "the-key", "a secret that no page may ever see")


@asynccontextmanager
async def serving() -> AsyncIterator[RoomPage]:
    """Within the block there is the page."""
    page = RoomPage(SERVER, "story", OFFERS, host="127.0.0.1", port=0, tls=None, state=State)
    await page.start()
    try:
        yield page
    finally:
        await page.aclose()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A browser at the page."""
    async with serving() as page, aiohttp.ClientSession(page.url) as session:
        yield session


async def test_a_token_is_for_one_room_of_its_own_and_soon_over(http: aiohttp.ClientSession) -> None:
    tokens = []
    for _ in range(2):
        async with http.post("/api/rooms", json={}) as answer:
            assert answer.status == 201
            told = await answer.json()
        assert set(told) == {"url", "token"} and told["url"] == SERVER.url
        tokens.append(jwt.decode(told["token"], SERVER.secret, algorithms=["HS256"]))
    assert len({token["video"]["room"] for token in tokens}) == len({token["sub"] for token in tokens}) == 2
    for token in tokens:
        assert set(token["video"]) - {"canPublish", "canSubscribe", "canPublishData"} == {"roomJoin", "room"}
        assert token["exp"] - token["nbf"] == TOKEN_SECONDS == 120
        assert token["roomConfig"]["agents"] == [{"agentName": "story"}]


async def test_the_stacks_that_are_chosen_go_along(http: aiohttp.ClientSession) -> None:
    async with http.post("/api/rooms", json={"stacks": {"story": "fake"}}) as answer:
        token = jwt.decode((await answer.json())["token"], SERVER.secret, algorithms=["HS256"])
    metadata = json.loads(token["roomConfig"]["agents"][0]["metadata"])
    assert metadata == {"stacks": {"intro": "fake", "story": "fake"}}


@pytest.mark.parametrize("body, told", [
    (b"", "no JSON"),
    (b"{", "no JSON"),
    (b"[" * 10_000, "no JSON"),
    (b"null", "no JSON object"),
    (b'{"stacks": []}', "an object of persona and stack"),
    (b'{"stacks": {"intro": 1}}', "an object of persona and stack"),
    (b'{"stacks": {"outro": "fake"}}', "no persona of that name"),
    (b'{"stacks": {"intro": "<script>"}}', "not offered here"),
    (b'{"stacks": {"intro": "broken"}}', "needs ACME_API_KEY"),
])  # fmt: skip
async def test_a_body_that_means_nothing_gets_no_token(http: aiohttp.ClientSession, body: bytes, told: str) -> None:
    async with http.post("/api/rooms", data=body) as answer:
        assert answer.status == 400
        assert told in (await answer.json())["error"]


async def test_a_body_that_is_too_long(http: aiohttp.ClientSession) -> None:
    async with http.post("/api/rooms", data=b" " * (MAX_BODY + 1)) as answer:
        assert answer.status == 413


async def test_a_body_that_does_not_come_is_waited_for_no_longer(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("story.transports.web.page_server.BODY_SECONDS", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with http.post("/api/rooms", data=slow()) as answer:
        assert answer.status == 408 and (await answer.json())["error"] == "the body did not come"


@pytest.mark.parametrize("headers", [
    {"Origin": "http://elsewhere.example"},
    {"Origin": "null"},
    {"Host": "elsewhere.example"},
])  # fmt: skip
async def test_another_sites_page_gets_no_room(http: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    async with http.post("/api/rooms", json={}, headers=headers) as answer:
        assert answer.status == 403 and "token" not in await answer.json()


async def test_where_others_can_reach_it_only_who_has_the_access_token_gets_a_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "is_loopback", lambda host: False)
    jar = aiohttp.CookieJar(unsafe=True)
    async with serving() as page, aiohttp.ClientSession(page.url.partition("?")[0], cookie_jar=jar) as http:
        for query in ("", "?token=guessed", f"?token={page.url.partition('token=')[2]}"):  # it is for a GET alone
            async with http.post(f"/api/rooms{query}", json={}) as answer:
                assert answer.status == 401
        async with http.get(page.url) as answer:
            assert answer.status == 200
        async with http.post("/api/rooms", json={}) as answer:
            assert answer.status == 201


async def test_who_asks_for_too_many_rooms_waits(http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "REQUESTS_AT_ONCE", 3)
    monkeypatch.setattr(access, "REQUESTS_PER_SECOND", 0.0)
    statuses = []
    for _ in range(4):
        async with http.post("/api/rooms", json={}) as answer:
            statuses.append(answer.status)
    assert statuses == [201, 201, 201, 429]


async def test_the_page_may_connect_to_its_server_and_is_told_no_secret(http: aiohttp.ClientSession) -> None:
    for path in ("/", "/api/setup", "/page/room.js"):
        async with http.get(path) as answer:
            text = await answer.text()
            assert answer.status == 200 and SERVER.secret not in text and SERVER.key not in text
            assert f"connect-src 'self' {SERVER.url} {SERVER.http_url};" in answer.headers["Content-Security-Policy"]
    async with http.get("/") as answer:
        assert 'src="page/room.js"' in await answer.text()
