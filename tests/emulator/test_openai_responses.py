"""Responses, over HTTP and over a websocket, with OpenAI's own client and by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import aiohttp
import openai
import pytest
from conftest import ScriptedBrain

from story.emulator.brain import BrainError, Prompt, ToolCall
from story.emulator.openai import OPENAI
from story.emulator.server import Emulator

MODEL = "gpt-4.1"
TOOL = {"type": "function", "name": "weather", "description": "The weather", "parameters": {"type": "object"}}
ASKED = {"type": "response.create", "model": MODEL}
KEY = {"Authorization": "Bearer k"}


def script(prompt: Prompt) -> list[str | ToolCall]:
    if prompt.answers_tool():
        return [f"It is {prompt.said[-1].text}."]
    if prompt.tools:
        return ["Let me see.", ToolCall("weather", {"location": "Paris"}, "call_1")]
    return ["You said " + ", then ".join(prompt.caller)]


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


@pytest.fixture
async def ws(server: Emulator) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession(headers=KEY) as session,
        session.ws_connect(f"{server.url}/v1/responses") as ws,
    ):
        yield ws


async def answered(ws: aiohttp.ClientWebSocketResponse) -> list[dict]:
    """The events of one response, or of one error."""
    events: list[dict] = []
    async with asyncio.timeout(10):
        while not events or events[-1]["type"] not in ("response.completed", "response.failed", "error"):
            events.append(json.loads(await ws.receive_str()))
    return events


def text_in(event: dict) -> str:
    return "".join(part["text"] for item in event["response"]["output"] for part in item.get("content", []))


async def test_a_stream_tells_how_its_items_grow(client: openai.AsyncOpenAI) -> None:
    stream = await client.responses.create(model=MODEL, input="Weather?", tools=[TOOL], stream=True)
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = list(dict.fromkeys(event.type.removeprefix("response.") for event in events))
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "completed",
    ]
    response = events[-1].response
    assert response.output_text == "Let me see." and response.usage.total_tokens > response.usage.output_tokens > 0
    message, call = response.output
    assert (call.call_id, json.loads(call.arguments)) == ("call_1", {"location": "Paris"})
    places = {event.item_id: event.output_index for event in events if hasattr(event, "item_id")}
    assert places == {message.id: 0, call.id: 1}


async def test_a_tool_s_output_goes_back_to_the_response_that_asked(
    client: openai.AsyncOpenAI, brain: ScriptedBrain
) -> None:
    first = await client.responses.create(model=MODEL, input="Weather?", tools=[TOOL], instructions="Be brief.")
    output = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    final = await client.responses.create(
        model=MODEL, input=[output], tools=[TOOL], previous_response_id=first.id, instructions="Be kind."
    )
    assert final.output_text == "It is sunny." and final.previous_response_id == first.id
    prompt = brain.prompts[-1]
    assert [said.who for said in prompt.said] == ["system", "caller", "agent", "agent", "tool"]
    assert prompt.instructions == "Be kind."  # those of the response before are not carried over


async def test_an_answer_ends_at_the_most_tokens_asked_for(client: openai.AsyncOpenAI) -> None:
    told = "a very long story about a little boat " * 9
    answer = await client.responses.create(model=MODEL, input=told, max_output_tokens=16)
    assert answer.status == "incomplete" and answer.incomplete_details.reason == "max_output_tokens"
    assert told.startswith(answer.output_text.removeprefix("You said ")) and answer.usage.output_tokens <= 16


async def test_what_is_not_stored_can_not_be_gone_on_from(client: openai.AsyncOpenAI) -> None:
    kept_out = await client.responses.create(model=MODEL, input="one", store=False)
    with pytest.raises(openai.BadRequestError, match="not found") as refused:
        await client.responses.create(model=MODEL, input="two", previous_response_id=kept_out.id)
    assert (refused.value.code, refused.value.param) == ("previous_response_not_found", "previous_response_id")


async def test_what_one_emulator_remembers_another_does_not(client: openai.AsyncOpenAI, emulator: Callable) -> None:
    first = await client.responses.create(model=MODEL, input="one")
    other: Emulator = await emulator(OPENAI)
    async with client_of(other) as stranger:
        with pytest.raises(openai.BadRequestError, match="not found"):
            await stranger.responses.create(model=MODEL, input="two", previous_response_id=first.id)


@pytest.mark.parametrize(
    ("wrong", "param", "told"),
    [
        ({"background": True}, "background", "not emulated"),
        ({"conversation": "conv_1"}, "conversation", "not emulated"),
        ({"top_logprobs": 3}, "top_logprobs", "not emulated"),
        ({"input": None}, "input", "Missing"),
        ({"input": 7}, "input", "an array"),
        ({"input": [{"type": "function_call_output", "call_id": "x", "output": ""}]}, "input", "No tool call found"),
        (
            {"input": [{"type": "function_call", "call_id": "x", "name": "weather", "arguments": "{}"}]},
            "input",
            "No tool output found for function call x",
        ),
        ({"tool_choice": {"type": "function", "name": "other"}}, "tool_choice", "not found"),
        ({"max_output_tokens": 1}, "max_output_tokens", ">= 16"),
        ({"temperature": 10**400}, "temperature", "a number"),
        ({"store": "no"}, "store", "a boolean"),
        ({"metadata": []}, "metadata", "an object"),
        ({"previous_response_id": 3}, "previous_response_id", "a string"),
    ],
)
async def test_what_is_wrong_is_named_over_either(
    server: Emulator, ws: aiohttp.ClientWebSocketResponse, wrong: dict, param: str, told: str
) -> None:
    body = {**ASKED, "input": "Hello", **wrong}
    async with (
        aiohttp.ClientSession(headers=KEY) as session,
        session.post(f"{server.url}/v1/responses", data=json.dumps(body)) as response,
    ):
        error = (await response.json())["error"]
        assert response.status == 400 and error["param"] == param and told in error["message"]
    await ws.send_json(body)
    frame = (await answered(ws))[-1]
    assert (frame["type"], frame["status"], frame["error"]) == ("error", 400, error)
    await ws.send_json({**ASKED, "input": "Hello"})  # and the socket goes on
    assert text_in((await answered(ws))[-1]) == "You said Hello"


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "7",
        "[" * 900 + "]" * 900,
        '{"type": "\\ud800"}',
        '{"type": "response.destroy"}',
        "{}",
        b"\x00\x01",
    ],
)
async def test_no_message_ends_the_socket(ws: aiohttp.ClientWebSocketResponse, message: str | bytes) -> None:
    await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))
    frame = (await answered(ws))[-1]
    assert frame["type"] == "error" and frame["status"] == 400 and frame["error"]["type"] == "invalid_request_error"
    await ws.send_json({**ASKED, "input": "Hello"})
    assert text_in((await answered(ws))[-1]) == "You said Hello"


async def test_a_socket_remembers_its_last_response_though_it_is_not_stored(
    ws: aiohttp.ClientWebSocketResponse, client: openai.AsyncOpenAI
) -> None:
    previous: dict = {}
    ids = []
    for word in ("one", "two"):
        await ws.send_json({**ASKED, "input": word, "store": False, **previous})
        last = (await answered(ws))[-1]
        ids.append(last["response"]["id"])
        previous = {"previous_response_id": ids[-1]}
    assert text_in(last) == "You said one, then two"
    await ws.send_json({**ASKED, "input": "three", "previous_response_id": ids[0]})  # not the last any more
    assert (await answered(ws))[-1]["error"]["code"] == "previous_response_not_found"
    with pytest.raises(openai.BadRequestError, match="not found"):
        await client.responses.create(model=MODEL, input="three", **previous)


async def test_requests_that_come_at_once_are_answered_one_after_the_other(
    ws: aiohttp.ClientWebSocketResponse,
) -> None:
    for word in ("one", "two", "three"):
        await ws.send_json({**ASKED, "input": word})
    assert [text_in((await answered(ws))[-1]) for _ in range(3)] == ["You said one", "You said two", "You said three"]


async def test_a_response_that_generates_nothing_is_there_to_go_on_from(
    ws: aiohttp.ClientWebSocketResponse, brain: ScriptedBrain
) -> None:
    await ws.send_json({**ASKED, "input": "one", "generate": False})
    warm = (await answered(ws))[-1]["response"]
    assert warm["output"] == [] and warm["usage"]["output_tokens"] == 0 and brain.prompts == []
    await ws.send_json({**ASKED, "input": "two", "previous_response_id": warm["id"]})
    assert text_in((await answered(ws))[-1]) == "You said one, then two"


async def test_the_client_s_own_socket(client: openai.AsyncOpenAI) -> None:
    async with asyncio.timeout(10), client.responses.connect() as connection:
        await connection.response.create(model=MODEL, input="Hello")
        async for event in connection:
            if event.type == "response.completed":
                assert event.response.output[0].content[0].text == "You said Hello"
                break


async def test_a_mind_that_fails_in_mid_sentence_is_a_failed_response(emulator: Callable) -> None:
    server: Emulator = await emulator(OPENAI, brain=ScriptedBrain(lambda _: ["Once upon", BrainError("out of memory")]))
    async with client_of(server) as client:
        stream = await client.responses.create(model=MODEL, input="Hello", stream=True)
        last = [event async for event in stream][-1]
    assert last.type == "response.failed" and last.response.status == "failed"
    assert last.response.error.code == "server_error" and "out of memory" in last.response.error.message
