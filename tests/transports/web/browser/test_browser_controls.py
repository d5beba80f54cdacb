"""What a caller can do on the page: type, mute, interrupt, choose stacks, all of it by keyboard alone."""

from __future__ import annotations

import asyncio

import pytest

from tests.transports.web.browser.conftest import Launch, Run, Visit
from tests.transports.web.browser.running import EMULATED, MIXED
from tests.transports.web.browser.visitor import Visitor, expect, visit

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(240)]

MARIA = "My name is Maria, and I live in Lisbon."


async def tab_to(caller: Visitor, id_: str) -> None:
    """Press Tab until that element has the focus."""
    for _ in range(30):
        await caller.page.keyboard.press("Tab")
        if await caller.page.evaluate("document.activeElement.id") == id_:
            return
    raise AssertionError(f"Tab does not come to #{id_}")


async def test_by_keyboard_alone(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED)
    caller = await visitor(server.url)
    await caller.open()
    keyboard = caller.page.keyboard
    await tab_to(caller, "start")
    await keyboard.press("Enter")
    await caller.phase("call")
    await expect(caller["#captions"]).to_contain_text("Hello! I'm")
    for _ in range(100):  # held, it repeats itself
        await keyboard.down("Escape")
    await keyboard.up("Escape")
    cut = caller.turns("agent", persona="intro")
    await expect(cut).to_have_attribute("data-interrupted", "true")
    await tab_to(caller, "say-text")
    await keyboard.type(MARIA)
    await keyboard.press("Enter")
    await expect(caller.turns("caller")).to_contain_text(MARIA)
    await expect(caller["[data-kind=handoff]"]).to_be_visible()
    await expect(caller["#say-text"]).to_be_focused()
    await tab_to(caller, "end")
    await keyboard.press("Enter")
    await caller.phase("ended")
    await expect(caller["#after-title"]).to_be_focused()
    await expect(caller["#ended-because"]).to_contain_text("You ended the call.")
    assert (await server.until("call_ended"))["reason"] == "caller_left"
    await tab_to(caller, "new-call")
    await keyboard.press("Enter")
    await caller.phase("setup")
    await expect(caller["#setup-title"]).to_be_focused()


async def test_a_muted_microphone_is_not_heard(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED)
    caller = await visitor(server.url)
    await caller.open()
    await caller.start()
    await expect(caller.turns("agent", persona="intro")).to_be_visible()
    await caller["#mute"].click()
    await expect(caller["#mute"]).to_have_text("Unmute")
    await caller.speak("john/turn3")
    await caller["#mute"].click()
    await expect(caller["#mute"]).to_have_text("Mute")
    await caller.speak("barge/turn1")
    await expect(caller["[data-kind=handoff]"]).to_be_visible()
    said = [turn["text"] for turn in server.found("user_turn")]
    assert said == ["My name is Olivia and I am from Toronto."]


async def test_interrupting_with_the_button(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED)
    caller = await visitor(server.url)
    await caller.open()
    await caller.start()
    await expect(caller["#captions"]).to_contain_text("Hello! I'm")
    await caller["#interrupt"].click()
    turn = await server.until("agent_turn")
    assert turn["interrupted"] and turn["text"].startswith("Hello!")
    await expect(caller.turns("agent")).to_have_attribute("data-interrupted", "true")
    await expect(caller["body"]).to_have_attribute("data-state", "listening")


async def test_the_stacks_that_are_chosen_are_talked_with(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED)
    caller = await visitor(server.url)
    await caller.open()
    await expect(caller["#stack-intro"]).to_have_value("deepgram+gpt4o-mini")
    await expect(caller["#stack-story"]).to_have_value("openai-realtime")
    await caller.choose("intro", "openai-realtime")
    await caller.choose("story", "deepgram+gpt4o-mini")
    await caller.start()
    started = await server.until("call_started")
    assert started["stacks"]["intro"].startswith("realtime=") and started["stacks"]["story"].startswith("stt=deepgram")
    await expect(caller["#persona-stack"]).to_have_text("intro · on openai-realtime")
    await expect(caller["#captions"]).to_contain_text("Hello! I'm")
    await caller.type(MARIA)
    await expect(caller["#persona-stack"]).to_have_text("story · on deepgram + gpt4o-mini")
    await expect(caller["#captions"]).to_contain_text("Lovely to meet you, Maria")


async def test_who_types_is_shown_once_and_may_say_anything(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED)
    caller = await visitor(server.url)
    await caller.open()
    await caller.start()
    await caller.type('<b>"Hello" & good evening</b> \\o/')
    await expect(caller.turns("caller")).to_have_text('You<b>"Hello" & good evening</b> \\o/')
    await server.until("user_turn")
    await caller.type(MARIA)
    await expect(caller["[data-kind=handoff]"]).to_be_visible()
    await expect(caller.turns("caller")).to_have_count(2)
    await caller["#end"].click()
    await caller.phase("ended")
    await expect(caller["#story"]).to_contain_text('<b>"Hello" & good evening</b> \\o/')


@pytest.mark.parametrize(
    ("there", "problem"),
    [(True, "The microphone is blocked"), (False, "No microphone was found")],
    ids=["refused", "none"],
)
async def test_without_a_microphone_it_says_what_to_do_and_typing_works(
    run: Run, launch: Launch, there: bool, problem: str
) -> None:
    server = await run(*EMULATED, *MIXED)
    browser = await launch(microphone=there)
    caller = await visit(browser, server.url, scripts=(), permissions=() if there else ("microphone",))
    await caller.open()
    await caller["#start"].click()
    await expect(caller["#microphone-problem"]).to_have_text(problem)
    await expect(caller["#microphone-remedy"]).not_to_be_empty()
    await expect(caller["#microphone-problem"]).to_be_focused()
    await caller["#microphone-again"].click()
    await expect(caller["#microphone-problem"]).to_have_text(problem)
    await caller["#without-microphone"].click()
    await caller.phase("call")
    await expect(caller["#mute"]).to_have_text("Use mic")
    await expect(caller["#captions"]).to_contain_text("Hello! I'm")
    await caller.type(MARIA)
    await expect(caller["[data-kind=handoff]"]).to_be_visible()
    if there:
        await caller.context.grant_permissions(["microphone"])
        await caller["#mute"].click()
        await expect(caller["#mute"]).to_have_text("Mute")
    await caller.type("That is all, thank you.")
    await caller.phase("ended")
    assert (await server.until("call_ended"))["reason"] == "finished"
    assert caller.complaints == []


async def test_the_story_can_be_copied_and_saved(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED)
    caller = await visitor(server.url, permissions=("microphone", "clipboard-read", "clipboard-write"))
    await caller.open()
    await caller.start()
    await caller.type("*Well*, my name is Maria, and I live in Lisbon.")
    await expect(caller["#captions"]).to_contain_text("Lovely to meet you, Maria")
    await caller.type("That is all, thank you.")
    await caller.phase("ended")
    async with caller.page.expect_download() as downloading:
        await caller["#save"].click()
    download = await downloading.value
    assert download.suggested_filename.startswith("storyteller-") and download.suggested_filename.endswith(".md")
    path = await download.path()
    saved = await asyncio.to_thread(path.read_text, encoding="utf-8")
    await caller["#copy"].click()
    await expect(caller["#notice"]).to_have_text("The story is copied.")
    assert await caller.page.evaluate("navigator.clipboard.readText()") == saved
    assert saved.startswith("# storyteller, ")
    assert "**You:** \\*Well\\*, my name is Maria, and I live in Lisbon." in saved
    assert "## Echo (story)" in saved and "## The call" in saved
    for turn in server.found("agent_turn"):
        assert turn["text"] in saved
    for fact in ("- Ended because: The story is over.", "- Transport: WebRTC", "- Turns: 2 yours"):
        assert fact in saved
    shown = await caller["#facts"].inner_text()
    assert "Echo (story): openai-realtime" in shown and "Lisbon" in shown


async def test_a_page_that_may_not_copy_selects_the_story(run: Run, visitor: Visit) -> None:
    server = await run(*EMULATED, *MIXED)
    caller = await visitor(server.url)
    await caller.open()
    await caller.start()
    await expect(caller["#captions"]).to_contain_text("Hello! I'm")
    await caller["#end"].click()
    await caller.phase("ended")
    await caller.page.evaluate("navigator.clipboard.writeText = async () => { throw new Error(); }; 0")
    await caller["#copy"].click()
    await expect(caller["#notice"]).to_contain_text("copy it with your keyboard")
    assert "Hello! I'm" in await caller.page.evaluate("getSelection().toString()")
