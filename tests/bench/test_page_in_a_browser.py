"""The page of a run in Chromium: without a network, in light and dark, on a telephone, on paper."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.bench.kept_run import kept_run
from tests.bench.running import story
from tests.transports.web.browser.conftest import FLAGS
from tests.transports.web.browser.visitor import ARTIFACTS, DESKTOP, PHONE, Visitor, visit

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with its page in it."""
    folder = kept_run(tmp_path_factory.mktemp("pages") / "run")
    assert story("report", str(folder), "--html", str(folder / "report.html")) == 0
    return folder


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        await browser.close()


async def opened(chromium: Browser, run: Path, size: tuple[int, int] = DESKTOP, **options: object) -> Visitor:
    """Somebody without a network who has opened the page."""
    visitor = await visit(chromium, run.as_uri(), size=size, scripts=(), permissions=(), offline=True, **options)
    await visitor.page.goto((run / "report.html").as_uri())
    return visitor


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_it_reads_well(chromium: Browser, run: Path, scheme: str, size: tuple[int, int]) -> None:
    reader = await opened(chromium, run, size, color_scheme=scheme)
    dark = await reader.page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    await reader.shoot(f"bench-{scheme}-{size[0]}", whole=True)
    await reader.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    assert await reader.violations() == []
    wanted, there = await reader.page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wanted <= there, "wider than its window"
    cut = """[...document.querySelectorAll('svg text')].filter(text => {
        const [box, all] = [text.getBoundingClientRect(), text.closest('svg').getBoundingClientRect()]
        return box.left < all.left - 1 || box.right > all.right + 1
    }).map(text => text.textContent)"""
    assert await reader.page.evaluate(cut) == []
    assert reader.complaints == []


async def test_a_recording_is_played(chromium: Browser, run: Path) -> None:
    listener = await opened(chromium, run)
    heard = await listener.page.evaluate("""async () => {
        const audio = document.querySelector('audio')
        audio.closest('details').open = true
        audio.muted = true
        await audio.play()
        return audio.duration
    }""")
    assert heard == 1 and listener.complaints == []


async def test_paper_has_all_tables_and_colours(chromium: Browser, run: Path) -> None:
    reader = await opened(chromium, run, color_scheme="dark")
    hidden = """[...document.querySelectorAll('table')].filter(
        table => !table.checkVisibility({contentVisibilityAuto: true}) || !table.getBoundingClientRect().height
    ).length"""
    assert await reader.page.evaluate(hidden) > 9, "on a screen they are folded"
    await reader.page.emulate_media(media="print", color_scheme="dark")
    assert await reader.page.evaluate(hidden) == 0
    assert await reader.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    adjusted = "getComputedStyle(document.querySelector('.h4')).printColorAdjust"
    assert await reader.page.evaluate(adjusted) == "exact"
    await reader.page.pdf(path=ARTIFACTS / "bench.pdf", format="A4")
    assert reader.complaints == []
