"""Levels, states, announcements; what the page does where a browser keeps something from it."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.transports.web.browser.conftest import Launch, Run, Visit
from tests.transports.web.browser.running import EMULATED, MIXED
from tests.transports.web.browser.visitor import Visitor, expect, visit
from tests.transports.web.served import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(240)]

MARIA = "My name is Maria, and I live in Lisbon."
TOLD = """
    globalThis.told = new Set();
    new MutationObserver(() => told.add(document.getElementById("state").textContent))
        .observe(document.getElementById("state"), { childList: true });
"""
CLEARED = """
    globalThis.cleared = new Promise((resolve) => {
        testSockets.at(-1).addEventListener("message", ({ data }) => data === '{"type": "clear"}' && resolve());
    });
    0
"""
METER = """([id, least, most]) => new Promise((resolve) => {
    const look = () => {
        const level = Number(document.getElementById(id).ariaValueNow);
        level >= least && level <= most ? resolve() : requestAnimationFrame(look);
    };
    look();
})"""


async def shown(caller: Visitor, who: str, least: float, most: float) -> None:
    """Wait until the meter of "caller" or "agent" is between these."""
    await caller.page.evaluate(METER, [f"{who}-level", least, most])


async def loud(caller: Visitor, who: str) -> None:
    await shown(caller, who, 0.3, 1.0)


async def quiet(caller: Visitor, who: str) -> None:
    await shown(caller, who, 0.0, 0.05)


async def test_levels_states_and_what_screen_readers_are_told(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED, "--profile", "baseline")
    caller = await visitor(server.url)
    await caller.open()
    await caller.page.evaluate(TOLD)
    await caller.start()
    await loud(caller, "agent")
    await expect(caller[".turn[data-live] .words"]).to_have_attribute("aria-hidden", "true")
    await expect(caller.turns("agent", persona="intro")).to_contain_text("where are you from?")
    await expect(caller.turns("agent").locator(".words")).not_to_have_attribute("aria-hidden", "true")
    await quiet(caller, "agent")

    announce = caller["#announce"]
    for told, pressed in (("off", "false"), ("polite", "true"), ("off", "false"), ("polite", "true")):
        for part in ("#captions", "#state"):
            await expect(caller[part]).to_have_attribute("aria-live", told)
        await expect(announce).to_have_attribute("aria-pressed", pressed)
        await announce.focus()
        await caller.page.keyboard.press("Space")
    assert await caller.violations() == []
    await caller.shoot("call-announce")

    await asyncio.gather(loud(caller, "caller"), caller.speak("barge/turn1"))
    await quiet(caller, "caller")
    await expect(caller["[data-kind=handoff]"]).to_be_visible()
    colours = [f"#captions [data-persona={persona}] .speaker" for persona in ("intro", "story")]
    await expect(caller[colours[1]]).to_be_visible()
    before, after = [await caller[one].evaluate("one => getComputedStyle(one).color") for one in colours]
    assert before != after, "each persona keeps its own"
    assert set(await caller.page.evaluate("[...told]")) >= {
        "Getting ready…",
        "Speaking",
        "Listening",
        "Listening to you",
        "Thinking",
        "Handing over to Echo (story)",
    }


async def test_breaking_in_over_a_websocket(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED, "--profile", "baseline")
    caller = await visitor(server.url, scripts=("microphone", "no_webrtc", "sockets"))
    await caller.open()
    await caller.start()
    await caller.page.evaluate(CLEARED)
    await loud(caller, "agent")
    await expect(caller.turns("agent", persona="intro")).to_contain_text("where are you from?")
    await caller.speak("barge/turn1")
    await expect(caller[".turn[data-who=agent][data-live]"]).to_contain_text("Once upon a time")
    await asyncio.gather(loud(caller, "caller"), caller.speak("barge/turn2"))
    await expect(caller.turns("agent", persona="story").first).to_have_attribute("data-interrupted", "true")
    await caller.page.evaluate("cleared")
    await expect(caller.turns("caller")).to_contain_text(["from Toronto.", "Can the hero be a cat instead?"])
    await expect(caller.turns("agent", text="A cat it is")).to_be_visible()


async def test_a_microphone_that_another_program_has(visitor: Visit) -> None:
    async with serving() as served:
        caller = await visitor(f"{served.url}/", scripts=("busy",))
        await caller.open()
        await caller["#start"].click()
        await expect(caller["#microphone-problem"]).to_have_text("The microphone does not start")
        await expect(caller["#microphone-remedy"]).to_contain_text("Close that program")
        assert served.house.active == 0


async def test_from_another_machine_without_tls(run: Run, launch: Launch) -> None:
    """The browser keeps from such a page the microphone, and what sound over a WebSocket needs."""
    server = await run(*EMULATED, *MIXED, "--host", "0.0.0.0")
    where = urlsplit(server.url)
    address = f"http://story.test:{where.port}/"
    browser = await launch("--host-resolver-rules=MAP story.test 127.0.0.1")
    stranger = await visit(browser, address, scripts=())
    answer = await stranger.page.goto(address)
    assert answer is not None and answer.status == 401

    caller = await visit(browser, address, scripts=("no_webrtc",))
    await caller.page.goto(f"{address}?{where.query}")
    assert caller.page.url == address, "the token is out of sight"
    assert await caller.page.evaluate("document.cookie") == ""
    await caller.open()
    await caller["#start"].click()
    await expect(caller["#microphone-problem"]).to_have_text("Browsers keep the microphone from this address")
    await expect(caller["#microphone-remedy"]).to_contain_text("--tls-cert")
    await caller["#without-microphone"].click()
    await caller.phase("call")
    await expect(caller["#announce"]).to_have_attribute("aria-pressed", "true")
    await expect(caller["#transport"]).to_have_text("WebSocket")
    await expect(caller["#captions"]).to_contain_text("Hello! I'm")
    await caller.type(MARIA)
    await expect(caller["#captions"]).to_contain_text("Lovely to meet you, Maria")
    await caller.type("That is all, thank you.")
    await caller.phase("ended")
    assert (await server.until("call_ended"))["reason"] == "finished"
    assert [told for told in caller.complaints if "Cross-Origin-Opener-Policy" not in told] == []
