"""The page of a server whose models are still being loaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from story.core.plan import plan_call
from story.core.plugins import load_plugins
from story.core.settings import Settings
from story.emulator.assemble import pretend_keys
from story.transports.web.serve import Service, Serving
from tests.transports.web.browser.conftest import Visit
from tests.transports.web.browser.visitor import DESKTOP, PHONE, expect
from tests.transports.web.served import LOOPBACK

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.full]


@asynccontextmanager
async def loading(monkeypatch: pytest.MonkeyPatch, settings: Settings, **stacks: str) -> AsyncIterator[Service]:
    """Within the block a server takes calls whose models are never there."""

    async def load_models(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("story.transports.web.loading.load_models", load_models)
    plugins = load_plugins(settings)
    serving = Serving(
        chain="storyteller", plugins=plugins, host="127.0.0.1", port=0, max_calls=1, max_duration=None, records=None,
        ice=LOOPBACK,
    )  # fmt: skip
    service = Service(serving, lambda event: None)
    await service.start()
    service.open(plan_call(plugins.registry, settings, stacks=stacks), settings)
    task = asyncio.create_task(service.load())
    try:
        yield service
    finally:
        task.cancel()
        await service.aclose()


async def test_a_call_that_is_over_before_it_began(visitor: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = pretend_keys(Settings())
    async with loading(monkeypatch, settings, intro="deepgram+gpt4o-mini", story="openai-realtime") as service:
        caller = await visitor(service.server.url)
        await caller.open()
        await caller.start()
        await expect(caller["#state"]).to_have_text("Getting ready…")
        await caller["#end"].click()
        await caller.phase("ended")
        await expect(caller["#ended-because"]).to_contain_text("You ended the call.")
        await expect(caller["#story"]).to_contain_text("Nothing was said in this call.")
        await caller["#new-call"].click()
        await caller.start()
        await expect(caller["#state"]).to_have_text("Getting ready…")
        await service.house.aclose()
        await caller.phase("ended")
        await expect(caller["#ended-because"]).to_contain_text("The server was stopped.")


@pytest.mark.weights
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_stacks_that_can_not_run_here_say_why(
    visitor: Visit, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    async with loading(monkeypatch, Settings()) as service:
        caller = await visitor(service.server.url, size=size)
        await caller.open()
        for persona in ("intro", "story"):
            await expect(caller[f"#stack-{persona} option:checked"]).to_contain_text("local · local/moonshine-tiny, ")
        missing = await caller["#unavailable-stacks li"].all_inner_texts()
        assert len(missing) > 2 and all("which is not set" in told or "which are not set" in told for told in missing)
        assert any(told.startswith("openai-realtime") and "OPENAI_API_KEY" in told for told in missing)
        options = caller["#stack-intro option"]
        assert await options.and_(caller["option:disabled"]).all_inner_texts() == [
            told.replace(": ", " · ", 1) for told in missing
        ]
        await caller.shoot(f"setup-no-keys-{size[0]}", whole=True)
        assert await caller.violations() == []
