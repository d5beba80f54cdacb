"""A browser, servers for it, and visitors of them; all are gone when the test is over."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright

from tests.transports.web.browser.running import Running, story_run
from tests.transports.web.browser.visitor import Visitor, visit

FLAGS = (
    "--no-sandbox",  # in a container there is none to be had
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Run = Callable[..., Awaitable[Running]]
Launch = Callable[..., Awaitable[Browser]]
Visit = Callable[..., Awaitable[Visitor]]


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    """`await run("--max-calls", "1")`: a server that takes calls."""
    async with AsyncExitStack() as servers:

        async def start(*options: str) -> Running:
            return await servers.enter_async_context(story_run(tmp_path, *options))

        yield start


@pytest.fixture
async def launch() -> AsyncIterator[Launch]:
    """`await launch("--flag")`: Chromium with the microphone that it makes up, unless `microphone` is False."""
    async with async_playwright() as playwright:
        browsers: list[Browser] = []

        async def start(*flags: str, microphone: bool = True) -> Browser:
            made_up = ("--use-fake-device-for-media-stream",) if microphone else ()
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=[*FLAGS, *made_up, *flags]
            )
            browsers.append(browser)
            return browser

        yield start
        for browser in browsers:
            await browser.close()


@pytest.fixture
async def chromium(launch: Launch) -> Browser:
    return await launch()


@pytest.fixture
async def visitor(chromium: Browser, request: pytest.FixtureRequest) -> AsyncIterator[Visit]:
    """`await visitor(server.url)`: somebody at the page with a microphone to speak into. See `visit` for the options.

    No test may leave complaints of the browser behind. Where one ended is kept as a screenshot, for those that fail.
    """
    visitors: list[Visitor] = []

    async def come(url: str, **options: Any) -> Visitor:
        visitors.append(await visit(chromium, url, **options))
        return visitors[-1]

    yield come
    for number, one in enumerate(visitors, 1):
        if not one.page.is_closed():
            await one.shoot(f"ends/{request.node.name}-{number}")
    assert [complaint for one in visitors for complaint in one.complaints] == []
