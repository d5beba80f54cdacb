"""The page's line to the server: what happens when it drops, is blocked, taken, or the server goes away."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.transports.web.browser.conftest import Run, Visit
from tests.transports.web.browser.running import EMULATED, MIXED, Running
from tests.transports.web.browser.visitor import Visitor, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(240)]

MARIA = "My name is Maria, and I live in Lisbon."


async def in_a_call(run: Run, visitor: Visit, *options: str, scripts: tuple[str, ...] = ()) -> tuple[Running, Visitor]:
    """A server, and a visitor whom it greets."""
    server = await run(*EMULATED, *MIXED, *options)
    caller = await visitor(server.url, scripts=("microphone", *scripts))
    await caller.open()
    await caller.start()
    await expect(caller["#captions"]).to_contain_text("Hello! I'm")
    return server, caller


async def finish(server: Running, caller: Visitor) -> None:
    """From the first persona to the end of the story."""
    await caller.type(MARIA)
    await expect(caller["#captions"]).to_contain_text("Lovely to meet you, Maria")
    await caller.type("That is all, thank you.")
    await caller.phase("ended")
    await expect(caller["#ended-because"]).to_contain_text("The story is over.")


async def test_a_reload_ends_the_call_and_a_new_one_begins(run: Run, visitor: Visit) -> None:
    server, caller = await in_a_call(run, visitor)
    await caller.page.reload()
    assert (await server.until("call_ended"))["reason"] == "caller_left"
    await caller.start()
    await expect(caller["#captions"]).to_contain_text("Hello! I'm")
    await finish(server, caller)
    assert [call["reason"] for call in server.found("call_ended")] == ["caller_left", "finished"]


async def test_closing_the_page_ends_the_call(run: Run, visitor: Visit) -> None:
    server, caller = await in_a_call(run, visitor)
    await caller.page.close()
    assert (await server.until("call_ended"))["reason"] == "caller_left"


async def test_a_dropped_connection_is_made_again(run: Run, visitor: Visit) -> None:
    server, caller = await in_a_call(run, visitor, scripts=("peers",))
    await caller.page.evaluate("testPeers.at(-1).close()")
    await expect(caller["#notice"]).to_contain_text("Connected again.")
    await expect(caller["body"]).to_have_attribute("data-link", "up")
    assert await caller.page.evaluate("testPeers.length") == 2
    await expect(caller["#transport"]).to_have_text("WebRTC")
    await finish(server, caller)
    assert len(server.found("call_started")) == 1


async def test_a_server_that_hangs_for_a_while(run: Run, visitor: Visit) -> None:
    server, caller = await in_a_call(run, visitor)
    server.process.send_signal(signal.SIGSTOP)
    await expect(caller["body"]).to_have_attribute("data-link", "down")
    await expect(caller["#state"]).to_have_text("Reconnecting…")
    await caller.shoot("call-reconnecting")
    server.process.send_signal(signal.SIGCONT)
    await expect(caller["body"]).to_have_attribute("data-link", "up")
    await finish(server, caller)
    caller.complaints.clear()  # requests that were not answered in time


@pytest.mark.parametrize(
    ("script", "why"), [("no_udp", "WebRTC found no way to the server"), ("no_webrtc", "This browser has no WebRTC")]
)
async def test_a_websocket_where_webrtc_does_not_get_through(run: Run, visitor: Visit, script: str, why: str) -> None:
    server = await run(*EMULATED, *MIXED, "--max-calls", "1")
    caller = await visitor(server.url, scripts=("microphone", script))
    await caller.open()
    await caller["#start"].click()
    await expect(caller["#notice"]).to_have_text(f"{why}, so this call goes over a WebSocket instead.")
    await expect(caller["#transport"]).to_have_text("WebSocket")
    await expect(caller.turns("agent", persona="intro")).to_contain_text("What's your name")
    await caller.speak("barge/turn1")
    await expect(caller.turns("caller")).to_contain_text("My name is Olivia and I am from Toronto.")
    await expect(caller["[data-kind=handoff]"]).to_be_visible()
    await caller.type("That is all, thank you.")
    await caller.phase("ended")
    await expect(caller["#facts"]).to_contain_text("WebSocket")
    assert [call["reason"] for call in server.found("call_ended")] == ["finished"]


async def test_a_websocket_that_drops_is_made_again(run: Run, visitor: Visit) -> None:
    server, caller = await in_a_call(run, visitor, scripts=("no_webrtc", "sockets"))
    await caller.page.evaluate("testSockets.at(-1).close()")
    await expect(caller["#notice"]).to_contain_text("Connected again.")
    await expect(caller["#transport"]).to_have_text("WebSocket")
    await finish(server, caller)
    assert len(server.found("call_started")) == 1


async def test_five_calls_at_once(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED, "--profile", "baseline")
    names = {"Ada": "Bath", "Ben": "Rome", "Cora": "Oslo", "Dan": "Lyon", "Eve": "Cork"}

    async def hold(name: str, place: str) -> str:
        caller = await visitor(server.url)
        await caller.open()
        await caller.start()
        await expect(caller["#captions"]).to_contain_text("Hello! I'm")
        await caller.type(f"My name is {name}, and I live in {place}.")
        await expect(caller["#captions"]).to_contain_text(f"a story that begins in {place}")
        await everybody.wait()  # nobody is through before the last has come
        await caller.type("That is all, thank you.")
        await caller.phase("ended")
        return await caller["#story"].inner_text()

    everybody = asyncio.Barrier(len(names))
    stories = await asyncio.gather(*(hold(*caller) for caller in names.items()))
    for name, story in zip(names, stories, strict=True):
        assert [other for other in names if other in story] == [name]
    assert [call["reason"] for call in server.found("call_ended")] == ["finished"] * 5


async def test_a_full_house(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED, "--max-calls", "1")
    watching = await visitor(server.url)
    await watching.open()
    caller = await visitor(server.url)
    await caller.open()
    await caller.start()
    late = await visitor(server.url)
    answer = await late.page.goto(server.url)
    assert answer is not None and answer.status == 503
    await expect(late["#setup-state"]).to_contain_text("Full house: the line is taken.")
    await expect(late["#start"]).to_be_disabled()
    assert await late.violations() == []
    await late.shoot("setup-full-house")
    await watching["#start"].click()
    await expect(watching["#alert"]).to_contain_text("All lines are taken")
    await expect(watching["#setup-state"]).to_contain_text("Full house")
    await watching.shoot("setup-refused-full-house")
    await caller["#end"].click()
    await caller.phase("ended")
    await server.until("call_ended")
    await expect(late["#start"]).to_be_enabled()
    await expect(watching["#start"]).to_be_enabled()
    for one in (late, watching):
        one.complaints = [told for told in one.complaints if "503" not in told]


async def test_a_server_that_stops_says_goodbye(run: Run, visitor: Visit) -> None:
    server, caller = await in_a_call(run, visitor)
    assert await server.stop() == 0
    await caller.phase("ended")
    await expect(caller["#ended-because"]).to_contain_text("The server was stopped.")
    await caller["#new-call"].click()
    await expect(caller["#setup-state"]).to_contain_text("The server does not answer")
    await caller.shoot("setup-no-server")
    caller.complaints.clear()  # requests to a server that is not there


async def test_a_server_that_dies(run: Run, visitor: Visit) -> None:
    server, caller = await in_a_call(run, visitor)
    server.process.kill()
    await expect(caller["body"]).to_have_attribute("data-link", "down")
    await caller.phase("ended")
    await expect(caller["#ended-because"]).to_contain_text("The connection was lost.")
    await expect(caller["#story"]).to_contain_text("Hello! I'm")
    caller.complaints.clear()  # requests to a server that is not there
