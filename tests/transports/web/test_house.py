"""Who comes in, who is there, and how all calls of a server end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest

from story.core.errors import StoryError
from story.transports.parting import LAST_WORDS
from story.transports.web import house as houses
from story.transports.web import page_server
from story.transports.web.house import Guest
from story.transports.web.page_server import State
from tests.transports.calls import GREETING
from tests.transports.web.client import Browser
from tests.transports.web.served import Page, Served, scripted, serving


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def waiting(guest: Guest, stacks: Mapping[str, str]) -> None:
    """Holds a call of no words, until the caller leaves."""
    await guest.caller.while_there(asyncio.Event().wait())


async def metric(http: aiohttp.ClientSession, served: Served, name: str) -> float:
    async with http.get(f"{served.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(name)))


async def test_a_full_house_says_so_and_a_place_is_free_after_a_call(http: aiohttp.ClientSession) -> None:
    async with serving(waiting, max_calls=1) as served:
        page, late = Page(http, served.url), Page(http, served.url)
        assert (await page.call())["type"] == "call"
        refused = await late.call()
        assert refused["type"] == "refused" and "All lines are taken" in refused["error"]
        browser = Browser(served.url)
        offer = await browser._offered()
        async with http.post(f"{served.url}/api/calls", json=offer) as answer:
            assert answer.status == 503 and "All lines are taken" in (await answer.json())["error"]
            assert "Retry-After" in answer.headers
        async with http.get(served.url) as answer:
            assert answer.status == 503 and answer.content_type == "text/html"
            assert "main.js" in await answer.text() and "Retry-After" in answer.headers
        async with http.get(f"{served.url}/api/setup") as answer:
            assert (await answer.json())["calls"] == {"active": 1, "max": 1}
        assert await metric(http, served, "story_calls_active") == 1
        assert await metric(http, served, 'story_calls_refused_total{why="full"}') == 2

        await page.send(type="hang_up")
        await page.closed.wait()
        await served.until_empty()
        async with http.get(served.url) as answer:
            assert answer.status != 503
        assert (await late.call())["type"] == "call"
        for one in (page, late, browser):
            await one.aclose()


async def test_nobody_is_let_in_before_the_server_is_ready(http: aiohttp.ClientSession) -> None:
    async with serving(waiting, ready=False) as served:
        refused = await Page(http, served.url).call()
        assert refused["type"] == "refused" and "still starting" in refused["error"]
        async with http.get(f"{served.url}/healthz") as answer:
            assert answer.status == 200 and (await answer.json())["status"] == "loading"
        served.state[0] = State(ready=True)
        assert (await Page(http, served.url).call())["type"] == "call"
        async with http.get(f"{served.url}/healthz") as answer:
            assert await answer.json() == {"status": "loading", "version": (await answer.json())["version"], "calls": 1}
        served.state[0] = State(error="the model is broken")
        assert (await Page(http, served.url).call())["error"] == "the model is broken"
        async with http.get(f"{served.url}/healthz") as answer:
            assert answer.status == 503 and (await answer.json())["status"] == "failed"


async def test_only_who_knows_the_secret_comes_back_or_hangs_up(http: aiohttp.ClientSession) -> None:
    async with serving(waiting) as served:
        page = Page(http, served.url)
        await page.call()
        ticket = page.ticket
        wrong = [{**ticket, "secret": "wrong"}, {**ticket, "secret": ""}, {**ticket, "call": "guest_000000000000"}]
        for other in wrong:
            answer = await Page(http, served.url).call({"type": "resume", **other})
            assert answer == {"type": "refused", "error": "this call is over"}
            url = f"{served.url}/api/calls/{other['call']}"
            async with http.post(f"{url}/offer", json={"secret": other["secret"], "offer": {}}) as refused:
                assert refused.status == 404
            async with http.post(f"{url}/hang-up", data=other["secret"]) as refused:
                assert refused.status == 204
        assert served.house.active == 1
        async with http.post(f"{served.url}/api/calls/{ticket['call']}/hang-up", data=ticket["secret"]) as done:
            assert done.status == 204
        await page.closed.wait()
        await served.until_empty()
        assert (await Page(http, served.url).call({"type": "resume", **ticket}))["type"] == "refused"
        await page.aclose()


def test_secrets_are_long_differ_and_are_not_shown() -> None:
    one, other = (Guest(caller=None) for _ in range(2))  # type: ignore[arg-type]
    assert one.secret != other.secret and one.id != other.id and len(one.secret) >= 24
    assert one.secret not in repr(one)


@pytest.mark.parametrize("error", [StoryError("the recogniser is missing: install it"), ZeroDivisionError("secret")])
@pytest.mark.parametrize("way", ["webrtc", "socket"])
async def test_what_keeps_a_call_from_being_held_reaches_the_page(
    http: aiohttp.ClientSession, error: Exception, way: str
) -> None:
    async def broken(guest: Guest, stacks: Mapping[str, str]) -> None:
        raise error

    async with serving(broken, max_calls=1) as served:
        told = str(error) if isinstance(error, StoryError) else "something went wrong on the server; its log says what"
        if way == "socket":
            page = Page(http, served.url)
            await page.call()
            assert await page.until("refused") == {"type": "refused", "error": told}
            await page.closed.wait()
            await page.aclose()
        else:
            browser = Browser(served.url)
            await browser.call(http)
            assert (await browser.until("refused"))["error"] == told
            await browser.aclose()
        await served.until_empty()
        assert served.house.active == 0
        assert await metric(http, served, 'story_calls_refused_total{why="failed"}') == 1
        await (again := Page(http, served.url)).call()
        await again.aclose()


async def test_a_stack_that_fails_to_build_reaches_the_page_too(http: aiohttp.ClientSession) -> None:
    """The transport is closed first then, as hold_call does it."""
    from story.transports.web.transport import WebTransport

    async def hold(guest: Guest, stacks: Mapping[str, str]) -> None:
        await WebTransport(guest.caller).aclose()
        raise StoryError("no such voice")

    async with serving(hold) as served:
        page = Page(http, served.url)
        await page.call()
        assert (await page.until("refused"))["error"] == "no such voice"
        await page.closed.wait()
        await page.aclose()


@pytest.mark.slow
async def test_when_it_stops_every_call_gets_a_goodbye(http: aiohttp.ClientSession) -> None:
    async with serving(scripted()) as served:
        pages = [Page(http, served.url) for _ in range(2)]
        browser = Browser(served.url)
        for page in pages:
            await page.call()
        await browser.call(http)
        for one in (*pages, browser):
            await one.until("agent_turn")
        await served.house.aclose()
        assert served.ended() == ["shutdown"] * 3
        for one in (*pages, browser):
            ended = await one.until("call_ended")
            assert ended["reason"] == "shutdown"
            turns = [turn["text"] for turn in one.found("agent_turn")]
            assert turns == [GREETING, LAST_WORDS], "for which no language model is asked"
            turns = [m["type"] for m in (one.messages if isinstance(one, Page) else one.events)]
            assert turns.index("call_ended") > len(turns) - 3, "nothing but the very end comes after it"
        assert (await Page(http, served.url).call())["type"] == "refused"
        for one in (*pages, browser):
            await one.aclose()


def test_it_stops_within_five_seconds() -> None:
    """The rest is for the process itself."""
    assert houses.FAREWELL_SECONDS + 2 * houses.CLOSING_SECONDS + page_server.SHUTDOWN_SECONDS <= 4.5


async def test_a_call_that_does_not_end_is_ended(http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(houses, "FAREWELL_SECONDS", 0.05)

    async def deaf(guest: Guest, stacks: Mapping[str, str]) -> None:
        await asyncio.Event().wait()

    async with serving(deaf) as served:
        page = Page(http, served.url)
        await page.call()
        await served.house.aclose()
        await page.closed.wait()
        assert served.house.active == 0
        await page.aclose()


async def test_a_guest_who_leaves_while_models_are_loaded_frees_their_place(http: aiohttp.ClientSession) -> None:
    async with serving(waiting, max_calls=1) as served:
        page = Page(http, served.url)
        await page.call()
        guest = next(iter(served.house._guests.values()))
        guest.caller.hang_up()
        guest.caller.hang_up("lost")
        await served.until_empty()
        assert guest.caller.left == "caller_left", "the first reason counts"
        await page.aclose()


@pytest.mark.parametrize("reason", ["caller_left", "shutdown"])
@pytest.mark.parametrize("way", ["webrtc", "socket"])
async def test_a_call_that_is_over_before_it_began_says_so(http: aiohttp.ClientSession, way: str, reason: str) -> None:
    async with serving(waiting) as served:
        page, browser = Page(http, served.url), Browser(served.url)
        line: Page | Browser = page if way == "socket" else browser
        await (page.call() if line is page else browser.call(http))
        if reason == "shutdown":
            await served.house.aclose()
        elif line is page:
            await page.send(type="hang_up")
        else:
            browser.send(type="hang_up")
        ended = await line.until("call_ended")
        assert ended["reason"] == reason and ended["call"] == line.ticket["call"]
        await served.until_empty()
        assert served.ended() == [], "it is no call that was held"
        await line.aclose()
