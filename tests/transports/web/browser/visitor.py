"""Somebody at the page: starts a call, speaks, types, reads."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Locator, Page, Request, expect

HERE = Path(__file__).parent
CALLERS = HERE.parents[2] / "callers"
ARTIFACTS = HERE.parents[3] / "artifacts" / "browser"
AXE = HERE / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE = 60_000
"""Milliseconds for whatever is waited for: two loaded cores take their time."""
DESKTOP, PHONE = (1280, 800), (360, 640)

expect.set_options(timeout=PATIENCE)


def clip(name: str) -> str:
    """A recording of tests/callers as base64."""
    return base64.b64encode((CALLERS / f"{name}.wav").read_bytes()).decode()


class Visitor:
    """A page of its own, in a browsing context of its own."""

    def __init__(self, context: BrowserContext, page: Page, url: str) -> None:
        self.context = context
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        """What the browser found wrong with the page: errors, warnings, requests to other places."""
        page.on("console", lambda said: self._complain(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._complain(str(error)))
        page.on("request", self._check_request)

    def _complain(self, text: str) -> None:
        self.complaints.append(text)

    def _check_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "blob:", "data:")):
            self._complain(f"a request to {request.url}")

    # -- before the call

    async def open(self) -> None:
        """Go to the page and wait until a call can be started."""
        await self.page.goto(self.url)
        await expect(self.page.locator("#start")).to_be_enabled()

    async def start(self) -> None:
        """Press the button, and be in a call."""
        await self.page.click("#start")
        await self.phase("call")

    async def choose(self, persona: str, stack: str) -> None:
        await self.page.select_option(f"#stack-{persona}", stack)

    # -- in the call

    async def speak(self, *names: str) -> None:
        """Say these recordings; returns when they are said."""
        await self.page.evaluate("clips => testMicrophone.speak(...clips)", [clip(name) for name in names])

    async def type(self, text: str) -> None:
        await self.page.fill("#say-text", text)
        await self.page.press("#say-text", "Enter")

    async def listened_to(self) -> None:
        """Wait until the agent has said what it had to say."""
        await self.page.wait_for_selector("body[data-state=listening]", timeout=PATIENCE)

    # -- what is there to see

    async def phase(self, name: str) -> None:
        await self.page.wait_for_selector(f"body[data-phase={name}]", timeout=PATIENCE)

    def __getitem__(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def turns(self, who: str, *, text: str = "", persona: str = "") -> Locator:
        """Captions of whole turns of "caller" or "agent" with that text in them."""
        of_persona = f"[data-persona={persona}]" if persona else ""
        return self.page.locator(f"#captions .turn[data-who={who}]{of_persona}:not([data-live])", has_text=text)

    async def said(self) -> list[str]:
        """All captions, a line each."""
        return await self.page.locator("#captions .turn .words").all_inner_texts()

    # -- what a test does with the page

    async def violations(self) -> list[str]:
        """What axe-core finds wrong with the accessibility of the page as it is now."""
        if not await self.page.evaluate("'axe' in globalThis"):
            await self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: dict[str, Any] = await self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{violation['id']}: {node['html']} ({node['failureSummary']})"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    async def shoot(self, name: str, *, whole: bool = False) -> None:
        """Leave a screenshot in artifacts/browser."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=ARTIFACTS / f"{name}.png", full_page=whole)


async def visit(
    browser: Browser,
    url: str,
    *,
    size: tuple[int, int] = DESKTOP,
    scripts: Sequence[str] = ("microphone",),
    permissions: Sequence[str] = ("microphone",),
    **options: Any,
) -> Visitor:
    """A visitor with a page of their own. `scripts`: those of this folder that run before the page's.

    They want little motion: without a graphics card moving pictures cost the calls their time.
    """
    window = {"width": size[0], "height": size[1]}
    context = await browser.new_context(viewport=window, reduced_motion="reduce", **options)
    context.set_default_timeout(PATIENCE)
    await context.grant_permissions(list(permissions))
    for name in scripts:
        await context.add_init_script(path=HERE / f"{name}.js")
    return Visitor(context, await context.new_page(), url)
