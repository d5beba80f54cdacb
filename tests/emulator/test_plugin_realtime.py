"""livekit's realtime model against the emulator: turns, tools, interruptions, text out, instructions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from conftest import SaidEars, ScriptedBrain, silence, speech
from livekit import rtc
from livekit.agents import llm
from livekit.agents.utils import http_context
from livekit.plugins import openai

from story.emulator.brain import Prompt, ToolCall
from story.emulator.server import Emulator
from story.emulator.tones import seconds_of
from story.emulator.vendors import VENDORS

LINE = "What is the weather in Paris?"
RATE = 24_000
LONG = " ".join(["and then the boat went on"] * 12) + "."


def script(prompt: Prompt) -> list[str | ToolCall]:
    if prompt.answers_tool():
        return [f"It is {prompt.said[-1].text}."]
    if prompt.tools and prompt.caller and "weather" in prompt.caller[-1]:
        return [ToolCall("weather", {"location": "Paris"})]
    return ["Hello there. What a day!"]


@pytest.fixture
async def brain() -> ScriptedBrain:
    return ScriptedBrain(script)


@pytest.fixture
async def server(emulator: Callable, brain: ScriptedBrain) -> AsyncIterator[Emulator]:
    async with http_context.open():
        yield await emulator(*VENDORS, brain=brain, ears=SaidEars(LINE))


def realtime(server: Emulator, **options: object) -> openai.realtime.RealtimeModel:
    return openai.realtime.RealtimeModel(base_url=f"{server.url}/v1", api_key="k", **options)


async def heard(generation: llm.GenerationCreatedEvent) -> tuple[str, float]:
    """What is said, and how long it sounds (seconds)."""
    text, seconds = "", 0.0
    async for message in generation.message_stream:
        async for piece in message.text_stream:
            text += piece
        async for frame in message.audio_stream:
            seconds += frame.duration
    return text, seconds


def push(session: llm.RealtimeSession, pcm: bytes) -> None:
    size = 2 * RATE // 10
    for at in range(0, len(pcm), size):
        piece = pcm[at : at + size]
        session.push_audio(rtc.AudioFrame(piece, RATE, 1, len(piece) // 2))


def first(session: llm.RealtimeSession, event: str) -> asyncio.Future:
    """The next event of that name."""
    waiting = asyncio.get_running_loop().create_future()
    session.once(event, lambda told: waiting.done() or waiting.set_result(told))
    return waiting


async def test_an_answer_that_is_asked_for(server: Emulator, brain: ScriptedBrain) -> None:
    model = realtime(server)
    session = model.session()
    async with asyncio.timeout(10):
        await session.update_instructions("You are Echo.")
        text, seconds = await heard(await session.generate_reply(instructions="Greet the caller."))
    assert text == "Hello there. What a day!"
    assert seconds == pytest.approx(seconds_of("Hello there.") + seconds_of("What a day!"), abs=0.1)
    assert "You are Echo." in brain.prompts[0].instructions and "Greet the caller." in brain.prompts[0].instructions
    await session.aclose()
    await model.aclose()


async def test_text_alone_for_a_voice_of_another_vendor(server: Emulator) -> None:
    model = realtime(server, modalities=["text"])
    session = model.session()
    async with asyncio.timeout(10):
        text, seconds = await heard(await session.generate_reply())
    assert (text, seconds) == ("Hello there. What a day!", 0.0)
    await session.aclose()
    await model.aclose()


async def test_a_spoken_turn_a_tool_and_its_result(server: Emulator, brain: ScriptedBrain) -> None:
    model = realtime(server)
    session = model.session()
    schema = {"name": "weather", "description": "The weather", "parameters": {"type": "object", "properties": {}}}

    async def weather(raw_arguments: dict[str, object]) -> str:
        return "sunny"

    async with asyncio.timeout(10):
        await session.update_tools([llm.function_tool(weather, raw_schema=schema)])
        transcript, started = asyncio.get_running_loop().create_future(), first(session, "generation_created")
        session.on(
            "input_audio_transcription_completed",
            lambda told: transcript.set_result(told.transcript) if told.is_final and not transcript.done() else None,
        )
        metrics = first(session, "metrics_collected")
        push(session, silence(0.2, RATE) + speech(2.0, RATE) + silence(0.8, RATE))
        assert await transcript == LINE
        calls = [call async for call in (await started).function_stream]
        assert [(call.name, call.arguments) for call in calls] == [("weather", '{"location": "Paris"}')]
        await metrics
        context = session.chat_ctx.copy()
        assert [m.text_content for m in context.messages() if m.role == "user"] == [LINE]
        output = llm.FunctionCallOutput(call_id=calls[0].call_id, name="weather", output="sunny", is_error=False)
        context.items.append(output)
        await session.update_chat_ctx(context)
        text, _ = await heard(await session.generate_reply())
    assert text == "It is sunny."
    assert brain.prompts[-1].caller == (LINE,)
    await session.aclose()
    await model.aclose()


async def test_an_interrupted_answer_is_remembered_as_far_as_it_was_heard(emulator: Callable) -> None:
    from story.emulator.latency import Distribution, Profile, Stage

    paced = Profile("paced", {("openai", "realtime", "*"): {Stage.AUDIO: Distribution(0.2, 0.2)}}, fixed=True)
    brain = ScriptedBrain(lambda prompt: [LONG] if len(prompt.said) < 2 else ["I see."])
    async with http_context.open():
        server: Emulator = await emulator(*VENDORS, brain=brain, ears=SaidEars("Stop."), profile=paced)
        model = realtime(server)
        session = model.session()
        async with asyncio.timeout(15):
            generation = await session.generate_reply(instructions="Tell a story.")
            async for message in generation.message_stream:
                async for _ in message.audio_stream:
                    break
                break
            answered = first(session, "generation_created")
            push(session, speech(1.0, RATE) + silence(0.8, RATE))
            session.truncate(message_id=message.message_id, modalities=["audio"], audio_end_ms=100)
            text, _ = await heard(await answered)
        assert text == "I see."
        told = [entry["content"] for entry in server.emulation.journal.as_data() if entry["kind"] == "sent"]
        done = [event["response"] for event in told if isinstance(event, dict) and event.get("type") == "response.done"]
        assert done[0]["status"] == "cancelled" and done[0]["status_details"]["reason"] == "turn_detected"
        assert len([event for event in told if isinstance(event, dict) and "truncated" in event.get("type", "")]) >= 1
        await session.aclose()
        await model.aclose()


EVENTS = [
    ({"type": "nonsense"}, "invalid_value"),
    ({"type": "response.cancel"}, "response_cancel_not_active"),
    ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty"),
    ({"type": "conversation.item.delete", "item_id": "x"}, "item_delete_invalid_item_id"),
    ({"type": "conversation.item.retrieve", "item_id": "x"}, "item_retrieve_invalid_item_id"),
    (
        {
            "type": "conversation.item.create",
            "previous_item_id": "x",
            "item": {"type": "message", "role": "user", "content": []},
        },
        "item_create_invalid_previous_item_id",
    ),
    ({"type": "conversation.item.create", "item": {"type": "message", "role": "nobody"}}, "invalid_value"),
    ({"type": "input_audio_buffer.append", "audio": "!"}, "invalid_value"),
    ({"type": "session.update", "session": {"type": "realtime", "output_modalities": ["smell"]}}, "invalid_value"),
]


@pytest.mark.parametrize(("event", "code"), EVENTS, ids=[code for _, code in EVENTS])
async def test_errors_name_the_event(server: Emulator, event: dict[str, object], code: str) -> None:
    url, headers = f"{server.url}/v1/realtime?model=gpt-realtime", {"Authorization": "Bearer k"}
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=headers) as ws:
        assert (await ws.receive_json())["type"] == "session.created"
        await ws.send_json({"event_id": "mine", **event})
        told = await ws.receive_json()
        assert (told["type"], told["error"]["code"], told["error"]["event_id"]) == ("error", code, "mine")
        await ws.send_json({"type": "input_audio_buffer.clear"})
        assert (await ws.receive_json())["type"] == "input_audio_buffer.cleared"


async def test_items_keep_the_ids_and_places_that_a_client_gives_them(server: Emulator) -> None:
    url, headers = f"{server.url}/v1/realtime?model=gpt-realtime", {"Authorization": "Bearer k"}
    added: list[tuple[str | None, str]] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=headers) as ws:
        for item_id, previous in (("b", None), ("a", "root"), ("c", "b"), ("d", None)):
            message = {"id": item_id, "type": "message", "role": "user", "content": []}
            await ws.send_json({"type": "conversation.item.create", "previous_item_id": previous, "item": message})
        while len(added) < 4:
            told = await ws.receive_json()
            if told["type"] == "conversation.item.added":
                added.append((told["previous_item_id"], told["item"]["id"]))
        await ws.send_json({"type": "conversation.item.create", "item": message})
        while (told := await ws.receive_json())["type"] != "error":
            pass
    assert added == [(None, "b"), (None, "a"), ("b", "c"), ("c", "d")]
    assert told["error"]["code"] == "item_create_duplicate_item_id"
