"""How the page looks and reads in its states: no accessibility violation, and a screenshot of each to look at."""

from __future__ import annotations

import pytest

from tests.transports.web.browser.conftest import Run, Visit
from tests.transports.web.browser.running import EMULATED, MIXED
from tests.transports.web.browser.visitor import DESKTOP, PHONE, Visitor, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(400)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_every_state(run: Run, visitor: Visit, scheme: str, size: tuple[int, int]) -> None:
    server = await run(*EMULATED, *MIXED, "--profile", "baseline")
    ending = f"{scheme}-{size[0]}"
    refuser = await visitor(server.url, size=size, color_scheme=scheme, scripts=("refused",))
    await refuser.open()
    await check(refuser, f"setup-{ending}", whole=True)
    await refuser["#start"].click()
    await expect(refuser["#microphone-problem"]).to_be_visible()
    await check(refuser, f"refused-{ending}", whole=True)
    await refuser.page.close()

    caller = await visitor(server.url, size=size, color_scheme=scheme)
    await caller.open()
    await caller.start()
    await expect(caller["#captions"]).to_contain_text("Hello! I'm")
    await check(caller, f"call-greeting-{ending}")
    await expect(caller.turns("agent", persona="intro")).to_be_visible()
    await caller.speak("john/turn1")
    await expect(caller["details.latency"]).to_be_visible()
    figure = caller["details.latency"]
    await expect(figure.locator("dl")).to_be_hidden()
    await figure.locator("summary").click()
    await expect(figure.locator("dl")).to_be_visible()
    await expect(figure).to_contain_text("End of turn")
    await check(caller, f"call-latency-{ending}")
    await caller.speak("barge/turn1")
    await expect(caller["#captions"]).to_contain_text("Once upon a time")
    await check(caller, f"call-story-{ending}")
    await caller.page.keyboard.press("Escape")
    await expect(caller.turns("agent", persona="story")).to_have_attribute("data-interrupted", "true")
    await caller.type("Can the hero be a cat instead?")
    await expect(caller["#captions"]).to_contain_text("A cat it is")
    await caller["#mute"].click()
    await check(caller, f"call-muted-{ending}")
    await caller.type("That is all, thank you.")
    await caller.phase("ended")
    await check(caller, f"after-{ending}", whole=True)


async def check(caller: Visitor, name: str, *, whole: bool = False) -> None:
    """Leave a screenshot, and find nothing wrong."""
    await caller.shoot(name, whole=whole)
    assert await caller.violations() == [], name
    widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    wanted, there = await caller.page.evaluate(widths)
    assert wanted <= there, f"{name} is wider than its window"
