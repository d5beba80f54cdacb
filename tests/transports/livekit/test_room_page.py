"""The page of `story run` in LiveKit mode, in Chromium: the same page, in a room of its own."""

# ruff: noqa: F811
from __future__ import annotations

import asyncio

import aiohttp
import pytest

from story.transports.livekit.page import has_client
from tests.transports.livekit.running import StoryRun
from tests.transports.web.browser.conftest import Visit, chromium, launch, visitor  # noqa: F401

pytestmark = [
    pytest.mark.livekit,
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.usefixtures("client_is_there"),
]

HEARD = """async () => {
    const reports = await Promise.all(testPeers.map((peer) => peer.getStats()));
    const stats = reports.flatMap((report) => [...report.values()]);
    return Math.max(...stats.map(({ type, totalAudioEnergy }) => type === "inbound-rtp" && totalAudioEnergy));
}"""
"""The energy of what the page got to play: 1 for each second at full scale."""


@pytest.fixture
def client_is_there() -> None:
    if not has_client():
        pytest.skip("LiveKit's client for browsers is missing: make web")


async def test_a_whole_call_on_the_page(run: StoryRun, visitor: Visit) -> None:
    somebody = await visitor(run.until("page")["url"], scripts=("microphone", "peers"))
    await somebody.open()
    await somebody.start()
    await somebody.turns("agent", persona="intro").first.wait_for()
    assert await somebody.page.evaluate(HEARD) > 0.001
    await somebody.speak("maria/turn1")
    await somebody.turns("caller", text="My name is Maria").first.wait_for()
    await somebody.turns("agent", persona="story").first.wait_for()
    await somebody.type("Goodbye!")
    await somebody.phase("ended")
    ended = await asyncio.to_thread(run.until, "call_ended", reason="finished")
    assert ended["data"] == {"name": "Maria", "location": "Lisbon"}


async def test_who_closes_the_page_has_left(run: StoryRun, visitor: Visit) -> None:
    somebody = await visitor(run.until("page")["url"])
    await somebody.open()
    await somebody.start()
    await somebody.turns("agent").first.wait_for()
    call = run.of("call_started")[-1]["call"]
    await somebody.page.close()
    ended = await asyncio.to_thread(run.until, "call_ended", call=call)
    assert ended["reason"] == "caller_left"


async def test_a_page_gets_no_stack_that_the_worker_was_not_started_for(run: StoryRun) -> None:
    url = run.until("page")["url"]
    async with (
        aiohttp.ClientSession(url) as http,
        http.post("/api/rooms", json={"stacks": {"intro": "local"}}) as answer,
    ):
        assert answer.status == 400 and "--allow-stacks" in (await answer.json())["error"]
