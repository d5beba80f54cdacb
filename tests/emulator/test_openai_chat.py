"""Chat completions: what OpenAI's own client asks, and what the emulated mind is asked in turn."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import aiohttp
import openai
import pytest
from conftest import ScriptedBrain

from story.emulator.brain import BrainError, Prompt, ToolCall
from story.emulator.openai import OPENAI
from story.emulator.server import Emulator

MODEL = "gpt-4o-mini"
SCHEMA = {"type": "object", "properties": {"location": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": SCHEMA}}
ASKED = [{"role": "user", "content": "The weather in Paris and Rome?"}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"location": "Paris"}'}}


def script(prompt: Prompt) -> list[str | ToolCall]:
    if prompt.answers_tool():
        return ["It is " + " and ".join(said.text for said in prompt.said if said.who == "tool") + "."]
    if prompt.tools and prompt.tool_choice != "none":
        return [ToolCall("weather", {"location": "Paris"}, "call_1"), ToolCall("weather", {"location": "Rome"})]
    return ["Once upon a time there was a little boat."]


@pytest.fixture
def brain() -> ScriptedBrain:
    return ScriptedBrain(script)


@pytest.fixture
async def server(emulator: Callable, brain: ScriptedBrain) -> Emulator:
    return await emulator(OPENAI, brain=brain)


@pytest.fixture
async def client(server: Emulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(server) as client:
        yield client


def client_of(server: Emulator, key: str = "k") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=key, base_url=f"{server.url}/v1", max_retries=0)


async def test_a_stream_is_the_whole_answer_in_pieces(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model=MODEL, messages=ASKED)
    stream = await client.chat.completions.create(
        model=MODEL, messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    *chunks, usage = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert len(chunks) > 5 and chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert usage.choices == [] and usage.usage == whole.usage
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    assert {chunk.id for chunk in chunks} == {usage.id}


async def test_parallel_calls_come_by_index_and_their_results_go_back(
    client: openai.AsyncOpenAI, brain: ScriptedBrain
) -> None:
    async with client.chat.completions.stream(model=MODEL, messages=ASKED, tools=[TOOL]) as stream:
        answer = (await stream.get_final_completion()).choices[0]
    calls = answer.message.tool_calls
    assert answer.finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments)["location"] for call in calls] == ["Paris", "Rome"]

    results = [
        {"role": "tool", "tool_call_id": call.id, "content": content}
        for call, content in zip(calls, ("sunny", [{"type": "text", "text": "rainy"}]), strict=True)
    ]
    called = answer.message.model_dump(include={"role", "tool_calls"}, exclude_none=True, exclude={"parsed"})
    final = await client.chat.completions.create(model=MODEL, messages=[*ASKED, called, *results], tools=[TOOL])
    assert final.choices[0].message.content == "It is sunny and rainy."
    prompt = brain.prompts[-1]
    assert [said.who for said in prompt.said] == ["caller", "agent", "tool", "tool"]
    assert [call.arguments for call in prompt.said[1].calls] == [{"location": "Paris"}, {"location": "Rome"}]
    assert prompt.tools[0].parameters == SCHEMA


async def test_one_call_at_a_time_where_so_asked(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model=MODEL, messages=ASKED, tools=[TOOL], parallel_tool_calls=False)
    assert [call.id for call in answer.choices[0].message.tool_calls] == ["call_1"]


@pytest.mark.parametrize(
    ("choice", "asked"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "weather"}}, "weather"),
    ],
)
async def test_tool_choice(client: openai.AsyncOpenAI, brain: ScriptedBrain, choice: object, asked: str) -> None:
    answer = await client.chat.completions.create(model=MODEL, messages=ASKED, tools=[TOOL], tool_choice=choice)
    assert brain.prompts[-1].tool_choice == asked
    assert bool(answer.choices[0].message.tool_calls) == (asked != "none")


async def test_content_in_parts(client: openai.AsyncOpenAI, brain: ScriptedBrain) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = [{"type": "text", "text": "What is"}, picture, {"type": "text", "text": "this?"}]
    told = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    await client.chat.completions.create(model=MODEL, messages=told)
    assert brain.prompts[-1].instructions == "Be brief." and brain.prompts[-1].caller == ("What is this?",)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_an_answer_ends_at_the_most_tokens_asked_for(client: openai.AsyncOpenAI, name: str) -> None:
    answer = await client.chat.completions.create(model=MODEL, messages=ASKED, **{name: 4})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens <= 4 and answer.choices[0].message.content.startswith("Once")


@pytest.mark.parametrize(
    ("stop", "text"),
    [
        ("there", "Once upon a time "),
        (["boat", "a little"], "Once upon a time there was "),
        ("me the", "Once upon a ti"),
        ("a little x", "Once upon a time there was a little boat."),
        ("Once", None),
        ([], "Once upon a time there was a little boat."),
    ],
)
async def test_an_answer_ends_before_a_stop(client: openai.AsyncOpenAI, stop: object, text: str | None) -> None:
    whole = (await client.chat.completions.create(model=MODEL, messages=ASKED, stop=stop)).choices[0]
    stream = await client.chat.completions.create(model=MODEL, messages=ASKED, stop=stop, stream=True)
    choices = [chunk.choices[0] async for chunk in stream]
    assert (whole.message.content, whole.finish_reason) == (text, "stop")
    assert "".join(choice.delta.content or "" for choice in choices) == (text or "")
    assert choices[-1].finish_reason == "stop"


async def test_more_than_one_choice(client: openai.AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(model=MODEL, messages=ASKED, tools=[TOOL], n=2)
    stream = await client.chat.completions.create(
        model=MODEL, messages=ASKED, tools=[TOOL], n=2, stream=True, stream_options={"include_usage": True}
    )
    *chunks, usage = [chunk async for chunk in stream]
    assert [choice.index for choice in whole.choices] == [0, 1]
    for choice in whole.choices:
        assert [json.loads(call.function.arguments)["location"] for call in choice.message.tool_calls] == [
            "Paris",
            "Rome",
        ]
        mine = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == choice.index]
        calls = [call for part in mine for call in part.delta.tool_calls or []]
        assert [call.index for call in calls if call.id] == [0, 1]
        assert mine[-1].finish_reason == choice.finish_reason == "tool_calls"
    assert usage.usage == whole.usage and whole.usage.completion_tokens % 2 == 0


@pytest.mark.parametrize(
    ("wrong", "param", "told"),
    [
        ({"messages": []}, "messages", "empty array"),
        ({"messages": [1]}, "messages", "array of objects"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "role", "nobody"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "content.type", "smell"),
        ({"messages": [{"role": "user", "content": 7}]}, "content", "Invalid type"),
        ({"messages": [{"role": "tool", "tool_call_id": "x", "content": ""}]}, "messages.[0].role", "preceeding"),
        ({"messages": [*ASKED, {"role": "assistant", "tool_calls": [CALL]}]}, "messages", "call_1"),
        ({"messages": [*ASKED, {"role": "assistant", "tool_calls": [CALL]}, *ASKED]}, "messages", "call_1"),
        ({"tool_choice": "required"}, "tool_choice", "tools"),
        ({"tool_choice": {"type": "function", "function": {"name": "other"}}, "tools": [TOOL]}, "tool_choice", "other"),
        ({"tool_choice": "perhaps"}, "tool_choice", "expected"),
        ({"tools": "weather"}, "tools", "an array"),
        ({"temperature": 3}, "temperature", "<= 2"),
        ({"top_p": -1}, "top_p", ">= 0"),
        ({"temperature": "hot"}, "temperature", "a number"),
        ({"max_tokens": 0}, "max_tokens", ">= 1"),
        ({"stream": "yes"}, "stream", "a boolean"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "stream"),
        ({"model": None}, "model", "Missing"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "1 to 4"),
        ({"stop": ""}, "stop", "1 to 4"),
        ({"stop": 7}, "stop", "an array"),
        ({"n": 0}, "n", ">= 1"),
        ({"n": 129}, "n", "<= 128"),
        ({"presence_penalty": 3}, "presence_penalty", "<= 2"),
        ({"logprobs": True, "top_logprobs": 2}, "logprobs", "not emulated"),
        ({"functions": [{"name": "weather"}]}, "functions", "not emulated"),
        ({"modalities": ["text", "audio"]}, "modalities", "not emulated"),
    ],
)
async def test_what_is_wrong_is_named(client: openai.AsyncOpenAI, wrong: dict, param: str, told: str) -> None:
    body = {"model": MODEL, "messages": ASKED, **wrong}
    with pytest.raises(openai.BadRequestError, match=told.replace("(", r"\(")) as refused:
        await client.post("/chat/completions", body=body, cast_to=object)
    assert refused.value.param == param and refused.value.type == "invalid_request_error"
    assert refused.value.request_id.startswith("req_")


async def test_a_mind_that_fails_before_its_first_word_is_a_status(emulator: Callable) -> None:
    server: Emulator = await emulator(OPENAI, brain=ScriptedBrain(lambda _: [BrainError("no weights")]))
    async with client_of(server) as client:
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError, match="no weights") as failed:
                await client.chat.completions.create(model=MODEL, messages=ASKED, stream=stream)
            assert failed.value.type == "server_error"


async def test_a_mind_that_fails_in_mid_sentence_is_an_error_in_the_stream(emulator: Callable) -> None:
    server: Emulator = await emulator(OPENAI, brain=ScriptedBrain(lambda _: ["Once upon", BrainError("out of memory")]))
    text = ""
    async with client_of(server) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=ASKED, stream=True)
        with pytest.raises(openai.APIError, match="out of memory"):
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
    assert text == "Once upon"


async def test_a_bug_in_mid_sentence_cuts_the_stream(emulator: Callable, caplog: pytest.LogCaptureFixture) -> None:
    server: Emulator = await emulator(OPENAI, brain=ScriptedBrain(lambda _: ["Once upon", None]))
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer k"}) as session:
        body = {"model": MODEL, "messages": ASKED, "stream": True}
        async with session.post(f"{server.url}/v1/chat/completions", json=body) as response:
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
    assert "openai chat failed" in caplog.text


async def test_the_journal_holds_what_was_asked_but_no_key(server: Emulator) -> None:
    async with client_of(server, "sk-very-secret") as client:
        await client.chat.completions.create(model=MODEL, messages=ASKED)
    entries = server.emulation.journal.as_data()
    received = [entry["content"] for entry in entries if entry["kind"] == "received"]
    assert [(body["model"], body["messages"]) for body in received] == [(MODEL, ASKED)]
    assert {entry["endpoint"] for entry in entries} == {"chat"} and "very-secret" not in json.dumps(entries)
