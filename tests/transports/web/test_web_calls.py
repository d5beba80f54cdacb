"""Calls of scripted models over real connections: typed, spoken, interrupted, lost and taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import numpy as np
import pytest

from story.transports.sound import Samples
from story.transports.web import page_caller, peer, socket
from story.transports.web.house import Guest
from tests.transports.calls import GOODBYE, GREETING, STORY
from tests.transports.web.client import Browser
from tests.transports.web.lines import disturb
from tests.transports.web.served import Page, Served, scripted, serving

pytestmark = pytest.mark.slow

LONG = "This story goes on and on and it does not end for a very long while, so you may well break into it. " * 3
Line = Page | Browser


def long_story(chat_ctx: Any, tools: Any, choice: object) -> str:
    return "Yes?" if any(m.role == "user" for m in chat_ctx.messages()) else LONG


def messages(line: Line) -> list[dict[str, Any]]:
    return line.messages if isinstance(line, Page) else line.events


def of(line: Line, type_: str) -> list[dict[str, Any]]:
    return [message for message in messages(line) if message["type"] == type_]


async def tell(line: Line, type_: str, **fields: object) -> None:
    if isinstance(line, Page):
        await line.send(type=type_, **fields)
    else:
        line.send(type=type_, **fields)


async def ring(way: str, http: aiohttp.ClientSession, served: Served) -> Line:
    """A page in a call."""
    line: Line = Page(http, served.url) if way == "socket" else Browser(served.url)
    await (line.call() if isinstance(line, Page) else line.call(http))
    return line


async def ring_again(line: Line, http: aiohttp.ClientSession) -> None:
    await (line.call_again() if isinstance(line, Page) else line.call_again(http))


async def vanish(line: Line) -> None:
    """Break the connection without a goodbye."""
    if isinstance(line, Page):
        line.vanish()
        return
    for sender in line.connection.getSenders():
        for component in sender.transport.transport._connection._protocols:
            component.transport.abort()


def tone(seconds: float) -> Samples:
    return (8000 * np.sin(2 * np.pi * 440 * np.arange(int(24_000 * seconds)) / 24_000)).astype(np.int16)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


ways = pytest.mark.parametrize("way", ["webrtc", "socket"])


@ways
async def test_a_typed_call_from_its_first_word_to_its_last(way: str, http: aiohttp.ClientSession) -> None:
    async with serving() as served:
        line = await ring(way, http, served)
        await line.until("agent_turn")
        await tell(line, "say", text="I am Maria from Lisbon")
        await line.until("handoff")
        await line.until("agent_turn", text=STORY)
        await tell(line, "say", text="stop now")
        ended = await line.until("call_ended")
        assert ended["reason"] == "finished" and ended["data"] == {"name": "Maria", "location": "Lisbon"}
        await served.until_empty()
        if isinstance(line, Page):
            await line.closed.wait()
            assert len(line.sound) > 0
        said = [(turn["persona"], turn["text"]) for turn in of(line, "agent_turn")]
        assert said == [("intro", GREETING), ("intro", "Nice."), ("story", STORY), ("story", GOODBYE)]
        assert [turn["text"] for turn in of(line, "user_turn")] == ["I am Maria from Lisbon", "stop now"]
        told = messages(line)
        assert told[0]["type"] == "call_started" and told[0]["transport"] == "web"
        assert told[-1]["type"] == "call_ended", "nothing comes after it, and it comes before the connection is closed"
        times = [message["t"] for message in told if "t" in message]
        assert times == sorted(times)
        await line.aclose()


@ways
async def test_a_spoken_call(way: str, http: aiohttp.ClientSession) -> None:
    async with serving(scripted(hears=["I am Maria from Lisbon", "stop now"])) as served:
        line = await ring(way, http, served)
        for turn, count in (("I am Maria from Lisbon", 1), ("stop now", 3)):
            await line.until("agent_turn", count=count)
            await speak(line, tone(0.6))
            await line.until("user_turn", text=turn)
        ended = await line.until("call_ended")
        assert ended["reason"] == "finished" and ended["data"]["name"] == "Maria"
        await line.aclose()


async def speak(line: Line, speech: Samples) -> None:
    """Say it, in as much time as it takes."""
    if isinstance(line, Browser):
        await line.microphone.say(speech)
        return
    for start in range(0, len(speech), 480):
        await line.socket.send_bytes(speech[start : start + 480].tobytes())
        await asyncio.sleep(0.02)


@ways
async def test_an_interrupt_cuts_the_words_where_the_sound_was_cut(way: str, http: aiohttp.ClientSession) -> None:
    async with serving(scripted(script=long_story)) as served:
        line = await ring(way, http, served)
        await line.until("partial", who="agent", count=6)
        await tell(line, "interrupt")
        turn = await line.until("agent_turn")
        assert turn["interrupted"] and LONG.startswith(turn["text"]) and 0 < len(turn["text"]) < len(LONG) / 2
        await line.until("state", agent="listening", count=2)
        assert bool(of(line, "clear")) == (way == "socket"), "over WebRTC there is nothing to clear"
        await tell(line, "say", text="Go on")
        assert (await line.until("agent_turn", count=2))["text"] == "Yes?"
        await tell(line, "hang_up")
        assert (await line.until("call_ended"))["reason"] == "caller_left"
        await line.aclose()


@ways
async def test_ping_mute_typing_and_nonsense(way: str, http: aiohttp.ClientSession) -> None:
    async with serving() as served:
        line = await ring(way, http, served)
        await tell(line, "ping", id=7)
        assert await line.until("pong") and of(line, "pong")[0]["id"] == 7
        await tell(line, "mute", muted=True)
        await tell(line, "typing", active=True)
        await tell(line, "nonsense")
        await tell(line, "ping", id=8)
        await line.until("pong", id=8)
        guest = next(iter(served.house._guests.values()))
        assert guest.caller._held == {"muted", "typing"}
        await tell(line, "hang_up")
        await line.until("call_ended")
        await line.aclose()


@ways
async def test_a_typed_turn_after_the_end_hurts_nobody(
    way: str, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving() as served:
        line = await ring(way, http, served)
        await line.until("agent_turn")
        await tell(line, "hang_up")
        for _ in range(20):
            await tell(line, "say", text="And another thing")
            await tell(line, "interrupt")
        await line.until("call_ended")
        await served.until_empty()
        assert served.ended() == ["caller_left"]
        assert not [record for record in caplog.records if record.levelname == "ERROR"]
        await line.aclose()


async def test_a_hang_up_by_beacon_ends_the_call_at_once(http: aiohttp.ClientSession) -> None:
    async with serving() as served:
        browser = Browser(served.url)
        await browser.call(http)
        await browser.until("agent_turn")
        url = f"{served.url}/api/calls/{browser.ticket['call']}/hang-up"
        headers = {"Content-Type": "text/plain;charset=UTF-8"}
        async with http.post(url, data=browser.ticket["secret"], headers=headers) as answer:
            assert answer.status == 204
        await browser.connection.close()
        await served.until_empty()
        assert served.ended() == ["caller_left"]


def test_a_page_that_has_gone_is_missed_within_five_seconds() -> None:
    assert max(peer.LOST_SECONDS, socket.LOST_SECONDS) <= 4.5


@ways
async def test_a_page_that_vanishes_is_lost(
    way: str, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_caller, "GRACE_SECONDS", 0.05)
    async with serving() as served:
        line = await ring(way, http, served)
        await line.until("agent_turn")
        await vanish(line)
        await served.until_empty()
        assert served.ended() == ["lost"]
        await line.aclose()


@ways
async def test_a_page_that_comes_back_goes_on_with_its_call(
    way: str, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "LOST_SECONDS", 1.0)
    async with serving() as served:
        line = await ring(way, http, served)
        await tell(line, "say", text="I am Maria from Lisbon")
        await line.until("agent_turn", text=STORY)
        ticket = dict(line.ticket)
        await vanish(line)
        await ring_again(line, http)
        await line.until("resumed")
        assert line.ticket == ticket and served.house.active == 1
        await tell(line, "say", text="stop now")
        ended = await line.until("call_ended")
        assert ended["reason"] == "finished" and ended["data"]["name"] == "Maria"
        assert {message["call"] for message in messages(line) if "call" in message} == {ended["call"]}
        assert of(line, "agent_turn")[-1]["text"] == GOODBYE
        await line.aclose()


async def test_a_call_begun_over_webrtc_goes_on_over_a_socket(http: aiohttp.ClientSession) -> None:
    async with serving() as served:
        browser, page = Browser(served.url), Page(http, served.url)
        await browser.call(http)
        await browser.until("agent_turn")
        page.ticket = browser.ticket
        assert (await page.call_again())["type"] == "call"
        await page.until("resumed")
        await page.say("I am Maria from Lisbon")
        await page.until("agent_turn", text=STORY)
        await page.send(type="hang_up")
        await page.until("call_ended")
        await page.closed.wait()
        await page.aclose()
        await browser.aclose()


async def test_a_call_that_webrtc_finds_no_way_to_is_begun_over_a_socket(http: aiohttp.ClientSession) -> None:
    async with serving(max_calls=1) as served:
        browser, page = Browser(served.url), Page(http, served.url)
        body = await browser._offered()
        body["offer"]["sdp"] = body["offer"]["sdp"].replace("127.0.0.1", "::1")  # type: ignore[index]
        async with http.post(f"{served.url}/api/calls", json=body) as answer:
            page.ticket = {name: value for name, value in (await answer.json()).items() if name != "answer"}
        carrier = next(iter(served.house._guests.values())).caller._carrier
        assert isinstance(carrier, peer.Peer)
        async with asyncio.timeout(10):
            while not (carrier._unsent and carrier._connection.connectionState == "failed"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await page.call_again())["type"] == "call"
        assert (await page.until("agent_turn"))["text"] == GREETING
        assert messages(page)[0]["type"] == "call_started" and not of(page, "resumed"), "nothing was missed"
        await page.send(type="hang_up")
        await page.until("call_ended")
        await page.closed.wait()
        assert served.ended() == ["caller_left"]
        await page.aclose()
        await browser.aclose()


@ways
async def test_what_nobody_could_hear_is_said_when_the_page_is_back(
    way: str, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that sends nothing for a while is lost, and found again without a new one."""
    monkeypatch.setattr(peer, "LOST_SECONDS", 0.3)
    monkeypatch.setattr(socket, "LOST_SECONDS", 0.3)
    async with serving(scripted(script=long_story)) as served:
        line = await ring(way, http, served)
        await line.until("partial", who="agent", count=3)
        guest = next(iter(served.house._guests.values()))
        lost = asyncio.Event()
        hold = guest.caller._hold
        guest.caller._hold = lambda why: (hold(why), lost.set())  # type: ignore[method-assign,func-returns-value]
        speak_again = mouth_shut(line)
        async with asyncio.timeout(10):
            await lost.wait()
        speak_again()
        await line.until("resumed")
        turn = await line.until("agent_turn")
        assert turn["text"] == LONG.strip() and not turn["interrupted"], "nothing of it went unheard"
        await tell(line, "hang_up")
        await line.until("call_ended")
        await line.aclose()


def mouth_shut(line: Line) -> Any:
    """Have a page send no sound; returns what has it send some again."""
    if isinstance(line, Page):
        send = line.socket.send_bytes

        async def nothing(data: bytes) -> None:
            pass

        line.socket.send_bytes = nothing  # type: ignore[method-assign]
        return lambda: setattr(line.socket, "send_bytes", send)
    transport = line.connection.getSenders()[0].transport
    send_rtp = transport._send_rtp

    async def dropped(data: bytes) -> None:
        pass

    transport._send_rtp = dropped  # type: ignore[method-assign]
    return lambda: setattr(transport, "_send_rtp", send_rtp)


async def test_a_page_that_reads_too_slowly_is_let_go(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "MAX_BACKLOG", 100_000)
    monkeypatch.setattr(page_caller, "GRACE_SECONDS", 0.05)

    async def talkative(guest: Guest, stacks: Mapping[str, str]) -> None:
        async def talk() -> None:
            while True:
                guest.caller.send({"type": "partial", "who": "agent", "text": "x" * 10_000})
                await asyncio.sleep(0)

        await guest.caller.while_there(talk())

    async with serving(talkative) as served:
        stuck = await http.ws_connect(f"{served.url}/api/socket")
        await stuck.send_json({"type": "start"})
        connection = stuck._response.connection  # type: ignore[attr-defined]
        connection.transport.pause_reading()
        await served.until_empty()
        assert served.house.active == 0
        connection.transport.abort()
        await stuck.close()


async def test_odd_and_endless_sound_is_not_heard(http: aiohttp.ClientSession) -> None:
    async with serving() as served:
        page = Page(http, served.url)
        await page.call()
        await page.until("agent_turn")
        for data in (b"", b"\x01", bytes(961), bytes(50_000), np.full(480, 9000, "<i2").tobytes()):
            await page.socket.send_bytes(data)
        await page.send(type="ping", id=1)
        await page.until("pong")
        await page.socket.send_bytes(bytes(200_000))  # more than a message may have
        await page.closed.wait()
        assert page.socket.close_code == 1009
        await page.aclose()


async def test_a_socket_that_says_nothing_is_closed(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("story.transports.web.server.FIRST_MESSAGE_SECONDS", 0.05)
    async with serving() as served, http.ws_connect(f"{served.url}/api/socket") as silent:
        assert (await silent.receive_json())["type"] == "refused"
        assert (await silent.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


@pytest.mark.parametrize("stacks", [{"intro": "broken"}, {"intro": "none"}, {"outro": "fake"}])
@ways
async def test_a_stack_that_is_not_offered(way: str, http: aiohttp.ClientSession, stacks: dict[str, str]) -> None:
    async with serving() as served:
        if way == "socket":
            answer = await Page(http, served.url).call({"type": "start", "stacks": stacks})
            assert answer["type"] == "refused"
            error = answer["error"]
        else:
            with pytest.raises(AssertionError) as refused:
                await Browser(served.url).call(http, stacks)
            error = str(refused.value)
        assert "none" not in error and "outro" not in error
        assert served.house.active == 0


@pytest.mark.parametrize("loss", [0.01, 0.03, 0.05])
async def test_speech_over_a_lossy_line_is_heard(http: aiohttp.ClientSession, loss: float) -> None:
    async with serving(scripted(hears=["I am Maria from Lisbon", "stop now"])) as served:
        browser = Browser(served.url)
        await browser.call(http)
        disturb(browser, loss=loss, jitter=0.03)
        await browser.until("agent_turn")
        await speak(browser, tone(0.6))
        await browser.until("agent_turn", text=STORY)
        await speak(browser, tone(0.6))
        assert (await browser.until("call_ended"))["reason"] == "finished"
        await browser.aclose()
