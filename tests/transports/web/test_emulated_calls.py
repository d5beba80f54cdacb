"""Whole calls of the storyteller between a page and emulated vendors, with recorded callers and real plugins."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from story.core import events
from story.core.plan import plan_call
from story.core.plugins import load_plugins
from story.core.settings import Settings
from story.emulating import emulated
from story.emulator.assemble import Options, assemble, pretend_keys
from story.transports.sound import Samples, read_wav
from story.transports.web.serve import Service, Serving
from tests.transports.web.client import Browser
from tests.transports.web.served import LOOPBACK, Page

pytestmark = [pytest.mark.full, pytest.mark.timeout(400)]

CALLERS = Path(__file__).parents[2] / "callers"
FACTS = json.loads((CALLERS / "callers.json").read_text())
PIPELINE = "deepgram+gpt4o-mini+cartesia"
STACKS = {"intro": PIPELINE, "story": "openai-realtime"}


@dataclass
class Storyteller:
    """A `story run --emulate` in this process."""

    service: Service
    seen: list[events.Event]

    @property
    def url(self) -> str:
        return self.service.server.url.rstrip("/")

    async def until_empty(self) -> None:
        async with asyncio.timeout(30):
            while self.service.house._tasks:
                await asyncio.wait(self.service.house._tasks)

    def ended(self) -> list[str]:
        return [event.reason for event in self.seen if isinstance(event, events.CallEnded)]


@asynccontextmanager
async def storyteller(**stacks: str) -> AsyncIterator[Storyteller]:
    settings = Settings()
    plugins = load_plugins(settings)
    heard = str(CALLERS / "callers.json")
    emulation = assemble(Options(brain="script", heard=heard, speech="tones"), plugins, settings)
    settings = pretend_keys(settings)
    plan = plan_call(plugins.registry, settings, stacks=stacks or STACKS)
    seen: list[events.Event] = []
    with settings.exported():
        async with emulated(emulation, settings) as reached:
            serving = Serving(
                chain="storyteller", plugins=plugins, host="127.0.0.1", port=0,
                max_calls=10, max_duration=200.0, records=None, ice=LOOPBACK, emulated=True,
            )  # fmt: skip
            service = Service(serving, seen.append)
            await service.start()
            service.open(plan, reached)
            try:
                await service.load()
                yield Storyteller(service, seen)
            finally:
                await service.aclose()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def turns_of(caller: str) -> list[Samples]:
    return [read_wav(CALLERS / turn["file"]) for turn in FACTS[caller]["turns"]]


async def until_free(browser: Browser, said: int = 0) -> None:
    """Wait until it is the caller's turn, who has spoken until the event of that number."""
    async with asyncio.timeout(60):
        while not _free(browser.events[said:]):
            browser.changed.clear()
            await browser.changed.wait()


def _free(since: list[dict[str, Any]]) -> bool:
    """Whether the agent has spoken and listens. After a handoff it is the next persona that has to have spoken."""
    spoken = [event["persona"] for event in since if event["type"] == "agent_turn"]
    if any(event["type"] == "tool_call" for event in since) and "story" not in spoken:
        return False
    states = [event["agent"] for event in since if event["type"] == "state"]
    return bool(spoken and states and states[-1] == "listening")


async def test_a_barge_in_cuts_the_text_where_the_sound_was_cut(http: aiohttp.ClientSession) -> None:
    async with storyteller() as served:
        browser = Browser(served.url)
        await browser.call(http)
        first, second, *_ = turns_of("maria")
        await until_free(browser)
        await browser.microphone.say(first)
        await browser.until("partial", who="agent", persona="story", count=8)
        await browser.microphone.say(second)
        await browser.until("user_turn", count=2)
        story = next(e for e in browser.events if e["type"] == "agent_turn" and e["persona"] == "story")
        before = browser.events[: browser.events.index(story)]  # the answer to the second turn may have begun since
        longest = max((str(e["text"]) for e in before if e["type"] == "partial" and e["persona"] == "story"), key=len)
        assert story["interrupted"]
        assert str(story["text"]).split()[:3] == longest.split()[:3]
        browser.send(type="hang_up")
        await browser.until("call_ended")
        await browser.aclose()


async def test_typed_and_over_a_socket(http: aiohttp.ClientSession) -> None:
    async with storyteller(intro="gpt4o-mini+deepgram+cartesia", story="openai-realtime") as served:
        page = Page(http, served.url)
        await page.call()
        await page.until("agent_turn")
        await page.say("My name is Maria and I live in Lisbon.")
        await page.until("handoff")
        await page.until("agent_turn", persona="story")
        await page.say("Goodbye!")
        ended = await page.until("call_ended")
        assert ended["reason"] == "finished" and ended["data"] == {"name": "Maria", "location": "Lisbon"}
        await page.closed.wait()
        await page.aclose()


async def test_nothing_is_left_after_ten_calls(http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture) -> None:
    async def one(number: int) -> None:
        line = Browser(served.url) if number % 2 else Page(http, served.url)
        await (line.call(http) if isinstance(line, Browser) else line.call())
        await line.until("partial", who="agent", count=2)
        if isinstance(line, Browser):
            line.send(type="hang_up")
        else:
            await line.send(type="hang_up")
        await line.until("call_ended")
        await line.aclose()
        await served.until_empty()

    async with storyteller() as served:
        for number in range(2):  # what is made once and kept
            await one(number)
        before = await settled()
        for number in range(10):
            await one(number)
        after = await settled()
    assert after == before
    assert "never retrieved" not in caplog.text and "Unclosed" not in caplog.text


async def settled() -> tuple[list[str], int, int]:
    """The tasks that go on, and how many threads and open files there are once nothing ends any more."""
    found = held()
    for _ in range(50):
        await asyncio.sleep(0.2)  # connections that are kept alive close, tasks that were cancelled end
        found, last = held(), found
        if found == last:
            break
    return found


def held() -> tuple[list[str], int, int]:
    gc.collect()
    tasks = sorted(repr(task.get_coro()).split()[2] for task in asyncio.all_tasks() - {asyncio.current_task()})
    threads = [thread for thread in threading.enumerate() if not thread.name.startswith(("ThreadPool", "asyncio_"))]
    return tasks, len(threads), len(os.listdir("/proc/self/fd"))


async def test_the_page_is_there_before_its_calls_are_planned(http: aiohttp.ClientSession) -> None:
    plugins = load_plugins(Settings())
    serving = Serving(
        chain="storyteller", plugins=plugins, host="127.0.0.1", port=0, max_calls=1, max_duration=9.0, records=None,
        ice=LOOPBACK,
    )  # fmt: skip
    service = Service(serving, lambda event: None)
    await service.start()
    try:
        url = service.server.url.rstrip("/")
        async with http.get(f"{url}/") as page, http.get(f"{url}/healthz") as health:
            assert page.status == 200 and (await health.json())["status"] == "loading"
        async with http.post(f"{url}/api/calls", json={"offer": {"type": "offer", "sdp": ""}}) as refused:
            assert refused.status == 503 and "still starting" in (await refused.json())["error"]
        setup = asyncio.create_task(http.get(f"{url}/api/setup"))
        await asyncio.sleep(0.1)
        assert not setup.done()
        service.open(plan_call(plugins.registry, pretend_keys(Settings()), stacks=STACKS), pretend_keys(Settings()))
        async with await setup as answer:
            assert (await answer.json())["chain"] == "storyteller"
    finally:
        await service.aclose()
