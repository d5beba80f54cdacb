"""The language models of livekit's OpenAI plugin against the emulator: text, tools, usage, errors."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import pytest
from conftest import ScriptedBrain
from livekit.agents import APIConnectionError, APIStatusError, function_tool, llm
from livekit.agents.types import APIConnectOptions
from livekit.agents.utils import http_context
from livekit.plugins import openai

from story import ModelOptions
from story.emulator.brain import BrainError, Prompt, ToolCall
from story.emulator.server import Emulator
from story.emulator.vendors import VENDORS
from story.providers.openai import build_llm

ONCE = APIConnectOptions(max_retry=0, timeout=5)


@function_tool
async def weather(location: str) -> str:
    """The weather there.

    Args:
        location: a city
    """
    return f"sunny in {location}"


def script(prompt: Prompt) -> list[str | ToolCall]:
    if prompt.answers_tool():
        return [f"It is {prompt.said[-1].text}."]
    if prompt.tools and "weather" in prompt.caller[-1]:
        return ["Let me see.", ToolCall("weather", {"location": "Paris"}), ToolCall("weather", {"location": "Rome"})]
    return [f"You said {prompt.caller[-1]}"]


@pytest.fixture
async def brain() -> ScriptedBrain:
    return ScriptedBrain(script)


@pytest.fixture
async def server(emulator: Callable, brain: ScriptedBrain) -> AsyncIterator[Emulator]:
    async with http_context.open():
        yield await emulator(*VENDORS, brain=brain)


MODELS: dict[str, Callable[[str], llm.LLM]] = {
    "chat": lambda url: openai.LLM(model="gpt-4o-mini", base_url=f"{url}/v1", api_key="k"),
    "responses": lambda url: openai.responses.LLM(model="gpt-4.1", base_url=f"{url}/v1/responses", api_key="k"),
    "responses-http": lambda url: openai.responses.LLM(
        model="gpt-4.1", base_url=f"{url}/v1", api_key="k", use_websocket=False
    ),
}


@pytest.mark.parametrize("name", MODELS)
async def test_text_then_tools_then_their_results(server: Emulator, brain: ScriptedBrain, name: str) -> None:
    model = MODELS[name](server.url)
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You are brief.")
    context.add_message(role="user", content="Hello there")
    answer = await model.chat(chat_ctx=context, tools=[weather], conn_options=ONCE).collect()
    assert answer.text == "You said Hello there"
    assert answer.usage and answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0

    context.add_message(role="assistant", content=answer.text)
    context.add_message(role="user", content="And the weather?")
    answer = await model.chat(chat_ctx=context, tools=[weather], conn_options=ONCE).collect()
    assert answer.text == "Let me see."
    places = [json.loads(call.arguments)["location"] for call in answer.tool_calls]
    assert places == ["Paris", "Rome"]

    for call in answer.tool_calls:
        context.items.append(llm.FunctionCall(call_id=call.call_id, name=call.name, arguments=call.arguments))
    for call, weather_there in zip(answer.tool_calls, ("sunny", "rainy"), strict=True):
        output = llm.FunctionCallOutput(call_id=call.call_id, name=call.name, output=weather_there, is_error=False)
        context.items.append(output)
    answer = await model.chat(chat_ctx=context, tools=[weather], conn_options=ONCE).collect()
    assert answer.text == "It is rainy."
    prompt = brain.prompts[-1]
    assert prompt.instructions == "You are brief."
    assert prompt.caller == ("Hello there", "And the weather?")
    assert [tool.name for tool in prompt.tools] == ["weather"]
    await model.aclose()


async def test_our_provider_sends_what_the_plugin_alone_would(server: Emulator) -> None:
    extra = {"extra_body": {"seed": 7}, "temperature": 0.3}
    ours = build_llm(ModelOptions(model="gpt-4o-mini", base_url=f"{server.url}/v1", api_key="k", extra=extra))
    plain = openai.LLM(model="gpt-4o-mini", base_url=f"{server.url}/v1", api_key="k", **extra)
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You are brief.")
    context.add_message(role="user", content="And the weather?")
    call = llm.FunctionCall(call_id="call_1", name="weather", arguments='{"location": "Rome"}')
    output = llm.FunctionCallOutput(call_id="call_1", name="weather", output="sunny", is_error=False)
    context.items += [call, output]
    for model in (plain, ours):
        for tools in ([weather], []):
            await model.chat(chat_ctx=context, tools=tools, conn_options=ONCE).collect()
        await model.aclose()
    journal = server.emulation.journal.as_data()
    sent = [entry["content"] for entry in journal if entry["kind"] == "received"]
    assert len(sent[0]["messages"]) == 4 and len(sent[0]["tools"]) == 1 and sent[0]["seed"] == 7
    assert "tools" not in sent[1]
    assert sent[2:] == sent[:2]


async def test_a_wrong_key_is_the_vendor_s_error(emulator: Callable) -> None:
    server: Emulator = await emulator(*VENDORS, keys=["right"])
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Hello")
    with pytest.raises(APIStatusError) as refused:
        await MODELS["chat"](server.url).chat(chat_ctx=context, conn_options=ONCE).collect()
    assert refused.value.status_code == 401 and "Incorrect API key" in str(refused.value)


@pytest.mark.parametrize("name", MODELS)
async def test_a_mind_that_fails_is_an_internal_error(emulator: Callable, name: str) -> None:
    async with http_context.open():
        server: Emulator = await emulator(*VENDORS, brain=ScriptedBrain(lambda _: [BrainError("no weights")]))
        context = llm.ChatContext.empty()
        context.add_message(role="user", content="Hello")
        model = MODELS[name](server.url)
        with pytest.raises((APIStatusError, APIConnectionError), match=r"no weights"):
            await model.chat(chat_ctx=context, conn_options=ONCE).collect()
        await model.aclose()
