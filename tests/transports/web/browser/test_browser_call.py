"""The page in Chromium: a whole call, quick enough for every change."""

from __future__ import annotations

import pytest

from tests.transports.web.browser.conftest import Run, Visit
from tests.transports.web.browser.running import EMULATED, MIXED
from tests.transports.web.browser.visitor import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


async def test_a_typed_call_from_its_start_to_its_end(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED)
    caller = await visitor(server.url)
    await caller.open()
    assert await caller.violations() == []
    await caller.start()
    await expect(caller["#transport"]).to_have_text("WebRTC")
    await expect(caller["#captions"]).to_contain_text("Hello! I'm")
    await caller.type("My name is Maria, and I live in Lisbon.")
    await expect(caller["[data-kind=handoff]"]).to_contain_text("Echo (intro) hands over to Echo (story)")
    await expect(caller["#persona-stack"]).to_have_text("story · on openai-realtime")
    await expect(caller["#captions"]).to_contain_text("Lovely to meet you, Maria")
    await caller.type("That is all, thank you.")
    await caller.phase("ended")
    await expect(caller["#ended-because"]).to_contain_text("The story is over.")
    await expect(caller["#story"]).to_contain_text("Thank you for listening, Maria.")
    await expect(caller["#facts"]).to_contain_text("name: Maria, location: Lisbon")
    assert (await server.until("call_ended"))["reason"] == "finished"
    assert await server.stop() == 0
