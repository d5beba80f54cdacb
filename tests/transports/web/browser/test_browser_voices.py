"""Whole spoken calls in Chromium."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.transports.web.browser.conftest import Launch, Run, Visit
from tests.transports.web.browser.running import EMULATED, LOCAL, MIXED, Running
from tests.transports.web.browser.timeline import write_timeline
from tests.transports.web.browser.visitor import Visitor, expect, visit

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(300)]

REALTIME = ("--intro-stack", "openai-realtime", "--story-stack", "openai-realtime")


async def check_outcome(caller: Visitor, server: Running) -> None:
    """The call of Maria from Lisbon came to its end."""
    await expect(caller["#ended-because"]).to_contain_text("The story is over.", ignore_case=True)
    await expect(caller["#facts"]).to_contain_text("name: Maria, location: Lisbon")
    ended = await server.until("call_ended")
    assert ended["reason"] == "finished" and ended["data"] == {"name": "Maria", "location": "Lisbon"}
    assert [event["message"] for event in server.found("error")] == []
    assert await server.stop() == 0


@pytest.mark.parametrize("stacks", [MIXED, REALTIME], ids=["pipeline to realtime", "realtime"])
async def test_with_the_microphone_of_chromium(
    run: Run, launch: Launch, tmp_path: Path, stacks: tuple[str, ...]
) -> None:
    """It can't wait for the agent, so what it says may break in; the call must come to its end all the same."""
    parts = (8.0, "maria/turn1", 12.0, "maria/turn2", 12.0, "maria/turn3", 30.0)
    browser = await launch("--use-fake-ui-for-media-stream", write_timeline(tmp_path / "microphone.wav", *parts))
    server = await run(*EMULATED, *stacks)
    caller = await visit(browser, server.url, scripts=())
    await caller.open()
    await caller.start()
    await expect(caller["[data-kind=handoff]"]).to_be_visible()
    await caller.phase("ended")
    await check_outcome(caller, server)
    said = " ".join(turn["text"] for turn in server.found("user_turn"))
    assert "My name is Maria, and I live in Lisbon." in said and "I would like to stop now" in said
    assert caller.complaints == []


async def test_captions_handoff_latencies_and_breaking_in(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED, "--profile", "baseline")
    caller = await visitor(server.url)
    await caller.open()
    await caller.start()
    greeting = caller.turns("agent", persona="intro")
    await expect(greeting).to_contain_text("What's your name, and where are you from?")
    await expect(caller["#state"]).to_have_text("Listening")
    await expect(caller["#persona-stack"]).to_have_text("intro · on deepgram + gpt4o-mini")

    await caller.speak("barge/turn1")
    await expect(caller.turns("caller")).to_contain_text("My name is Olivia and I am from Toronto.")
    await expect(caller["[data-kind=handoff]"]).to_have_text(
        re.compile(r"Echo \(intro\) hands over to Echo \(story\) · \d\.\d\d s")
    )
    await expect(caller["#path [aria-current=step]"]).to_have_text("Echo (story)")
    await expect(caller["#persona-stack"]).to_have_text("story · on openai-realtime")

    await expect(caller[".turn[data-who=agent][data-live]"]).to_contain_text("Once upon a time")
    await caller.speak("barge/turn2")
    broken = caller[".turn[data-who=agent][data-interrupted]"]
    await expect(broken).to_have_count(1)
    await expect(broken).to_contain_text("Lovely to meet you, Olivia!")
    await expect(broken.locator("del")).to_have_text(re.compile(r"What do you think it said\?$"))
    answer = caller.turns("agent", text="A cat it is, with a coat as grey as the roofs of Toronto.")
    await expect(answer).to_contain_text("Shall the cat go on alone, or with a friend?")
    await expect(answer).not_to_have_attribute("data-interrupted", "true")
    await caller.shoot("call-spoken")

    await caller.speak("barge/turn4")
    await caller.phase("ended")
    await expect(caller["#story"]).to_contain_text("Thank you for listening, Olivia. Goodbye!")
    await expect(caller["#facts"]).to_contain_text("name: Olivia, location: Toronto")
    assert (await server.until("call_ended"))["reason"] == "finished"


@pytest.mark.weights
@pytest.mark.timeout(400)
async def test_on_the_models_of_this_machine(run: Run, visitor: Visit) -> None:
    server = await run(*LOCAL)
    caller = await visitor(server.url)
    await caller.open()
    await caller.start()
    await expect(caller.turns("agent", persona="intro")).to_contain_text("name")
    await caller.listened_to()
    await caller.speak("maria/turn1")
    await expect(caller["[data-kind=handoff]"]).to_be_visible()
    await expect(caller.turns("caller", text="My name is Maria")).to_be_visible()
    await expect(caller.turns("agent", persona="story").first).to_contain_text("Maria")
    await caller.listened_to()
    await caller.speak("maria/turn2")
    await expect(caller.turns("caller", text="little boat")).to_be_visible()
    await expect(caller.turns("agent", persona="story").nth(1)).to_be_visible()
    await caller.listened_to()
    await caller.speak("john/turn4")
    await expect(caller.turns("caller", text="Keep going")).to_be_visible()
    await expect(caller.turns("agent", persona="story").nth(2)).to_be_visible()
    figure = caller["details.latency"].last
    await figure.locator("summary").click()
    for part in ("End of turn", "STT", "LLM", "TTS"):
        await expect(figure).to_contain_text(part)
    await caller.shoot("call-local")
    await caller.listened_to()
    await caller.speak("maria/turn3")
    await caller.phase("ended")
    await check_outcome(caller, server)
