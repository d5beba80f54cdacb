"""LocalLLM over the real engine with the real weights."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import platformdirs
import pytest
from livekit.agents import function_tool, llm

from story.providers.local import llama, process, prompt
from story.providers.local.completion import Engine, Request
from story.providers.local.llm import LocalLLM

pytestmark = pytest.mark.weights

TOKEN = "a-token-for-tests"
INTRO = "You are Echo, a story teller. Ask the user for their name and where they are from."
STORY = "You are Echo, a story teller. Tell an interactive story. The user's name is Maria, from Lisbon."


def tool(tool_name: str, tool_description: str, /, **arguments: str) -> llm.Tool:
    async def run(raw_arguments: dict[str, object]) -> None:
        """Never run here."""

    properties = {name: {"type": "string", "description": text} for name, text in arguments.items()}
    parameters = {"type": "object", "properties": properties, "required": list(arguments)}
    return function_tool(run, raw_schema={"name": tool_name, "description": tool_description, "parameters": parameters})


GATHERED = tool(
    "information_gathered",
    "Called when the user has provided the information needed to make the story personalized and engaging.",
    name="The name of the user",
    location="The location of the user",
)
FINISHED = tool(
    "story_finished",
    "When you are finished telling the story (and the user confirms they don't want any more), call this function to "
    "end the conversation.",
)
PIZZA = tool(
    "order_pizza", "Place the order.", size="The size of the pizza", topping="What the caller wants on the pizza"
)


@pytest.fixture(scope="module")
def server() -> Iterator[llama.LlamaServer]:
    name = "qwen2.5-coder-1.5b"
    path = platformdirs.user_cache_path("story") / "models" / name / f"{name}-instruct-q4_k_m.gguf"
    running = llama.start(model_path=path, api_key=TOKEN, threads=2)
    yield running
    running.close()


@pytest.fixture
async def model(server: llama.LlamaServer) -> AsyncIterator[LocalLLM]:
    async def connect() -> process.Endpoint:
        return process.Endpoint(server.url, TOKEN)

    made = LocalLLM(connect=connect, seed=7, max_words=25)
    yield made
    await made.aclose()


@pytest.fixture
async def engine(server: llama.LlamaServer) -> AsyncIterator[Engine]:
    async def connect() -> process.Endpoint:
        return process.Endpoint(server.url, TOKEN)

    async with Engine(connect) as made:
        yield made


def context(instructions: str, *said: str) -> llm.ChatContext:
    """A conversation in which the agent begins."""
    made = llm.ChatContext.empty()
    made.add_message(role="system", content=instructions)
    for index, text in enumerate(said):
        made.add_message(role="user" if index % 2 else "assistant", content=text)
    return made


async def reply(
    model: LocalLLM, asked: llm.ChatContext, *tools: llm.Tool, choice: llm.ToolChoice = "auto"
) -> tuple[str, dict[str, object], llm.CompletionUsage]:
    """What is said, the tool calls by name, and the usage."""
    text, calls, usage = "", {}, None
    async with model.chat(chat_ctx=asked, tools=list(tools), tool_choice=choice) as stream:
        async for chunk in stream:
            usage = chunk.usage or usage
            if chunk.delta:
                text += chunk.delta.content or ""
                calls |= {call.name: json.loads(call.arguments) for call in chunk.delta.tool_calls}
    assert usage is not None
    return text, calls, usage


async def test_it_greets_and_asks(model: LocalLLM) -> None:
    asked = context(INTRO)
    asked.add_message(role="system", content="Introduce yourself and ask for the user's name and where they are from.")
    text, calls, usage = await reply(model, asked, GATHERED, choice="none")
    assert "?" in text
    assert not calls
    assert usage.completion_tokens > 0
    assert usage.prompt_tokens > 20


@pytest.mark.full
async def test_facts_come_over_several_turns_and_the_last_word_counts(model: LocalLLM) -> None:
    said = ["Hello! What's your name, and where are you from?", "I'm Hannah."]
    text, calls, _ = await reply(model, context(INTRO, *said), GATHERED)
    assert not calls
    assert "?" in text
    said += [text, "No, my name is Anna.", "Oh, Anna! And where are you from?", "I'm from New York City."]
    text, calls, _ = await reply(model, context(INTRO, *said), GATHERED)
    assert calls == {"information_gathered": {"name": "Anna", "location": "New York City"}}
    assert text == ""


async def test_no_fact_is_made_up(model: LocalLLM) -> None:
    text, calls, _ = await reply(model, context(INTRO, "What's your name, and where are you from?", "Hello?"), GATHERED)
    assert not calls
    assert "?" in text


@pytest.mark.full
async def test_a_tool_of_another_trade(model: LocalLLM) -> None:
    asked = context("You take orders.", "What would you like?", "A large pizza with mushrooms, please.")
    _, calls, _ = await reply(model, asked, PIZZA)
    assert calls == {"order_pizza": {"size": "large", "topping": "mushrooms"}}


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        ("Goodbye!", True),
        ("No more, thanks. That's all for today.", True),
        ("Yes, please continue.", False),
        ("Wait, wait, please stop. Can the hero be a cat instead?", False),
    ],
)
async def test_what_ends_a_story(model: LocalLLM, line: str, ends: bool) -> None:
    text, calls, _ = await reply(model, context(STORY, "Maria found a boat. What next?", line), FINISHED)
    assert calls == ({"story_finished": {}} if ends else {})
    assert bool(text) is not ends


async def test_no_tool_is_called_where_none_may_be(model: LocalLLM) -> None:
    asked = context(STORY, "Maria found a boat. What next?", "Goodbye!")
    asked.add_message(role="system", content="Say goodbye to Maria in one short sentence. Ask nothing.")
    text, calls, _ = await reply(model, asked, FINISHED, choice="none")
    assert not calls
    assert "bye" in text.lower() or "maria" in text.lower()


async def test_what_was_prefilled_is_not_read_again(model: LocalLLM) -> None:
    fixed = STORY.partition("Maria")[0]
    await model.prefill(fixed, [FINISHED])
    asked = context(STORY)
    asked.add_message(role="system", content="Begin.")
    _, _, usage = await reply(model, asked, FINISHED, choice="none")
    assert usage.prompt_cached_tokens > prompt.size(prompt.head(fixed)) // 2
    assert usage.prompt_tokens - usage.prompt_cached_tokens < 40


async def test_the_same_words_are_not_judged_twice(model: LocalLLM) -> None:
    asked = context(INTRO, "What's your name, and where are you from?", "I am Olivia and I am from Toronto.")
    _, calls, usage = await reply(model, asked, GATHERED)
    _, again, cost = await reply(model, asked, GATHERED)
    assert calls == again == {"information_gathered": {"name": "Olivia", "location": "Toronto"}}
    assert usage.completion_tokens > 0
    assert cost.total_tokens == 0


async def test_dropping_a_stream_stops_the_engine(engine: Engine) -> None:
    endless = Request("Count: 1, 2, 3,", slot=7, max_tokens=4000)
    stream = engine.complete(endless)
    async for _ in stream:
        break
    await stream.pieces.aclose()
    # The slot takes its next request only when the one before is over: 4000 tokens would take minutes.
    text, _ = await asyncio.wait_for(engine.text(Request("Say hi.", slot=7, max_tokens=4)), timeout=60)
    assert text


async def test_two_callers_at_once_both_get_their_answer(model: LocalLLM) -> None:
    asked = context(STORY, "Maria found a boat. What next?", "She sails to the moon.")
    one, two = await asyncio.gather(reply(model, asked, FINISHED), reply(model, asked, FINISHED))
    assert one[0]
    assert two[0]


async def test_a_wrong_token_is_refused(server: llama.LlamaServer) -> None:
    async def connect() -> process.Endpoint:
        return process.Endpoint(server.url, "wrong")

    from livekit.agents import APIStatusError

    async with LocalLLM(connect=connect) as stranger:
        with pytest.raises(APIStatusError):
            await reply(stranger, context(STORY))
