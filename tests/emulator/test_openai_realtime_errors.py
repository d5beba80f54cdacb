"""What a realtime client may get wrong, and that the emulator knows the fields that OpenAI's package knows."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import pytest
from conftest import ScriptedBrain
from openai.types import realtime
from openai.types.realtime import (
    conversation_item_create_event,
    realtime_audio_input_turn_detection,
    session_update_event,
)
from pydantic import BaseModel
from realtime_client import KEY, WEATHER, Connect, Event, connecting, message

from story.emulator.openai import OPENAI, realtime_fields
from story.emulator.openai.checks import Table
from story.emulator.server import Emulator


@pytest.fixture
def connect(emulator: Callable) -> Connect:
    return connecting(emulator, ScriptedBrain())


def item(**fields: object) -> Event:
    return {"type": "conversation.item.create", "item": fields}


def session(**fields: object) -> Event:
    return {"type": "session.update", "session": {"type": "realtime", **fields}}


def heard(**fields: object) -> Event:
    return session(audio={"input": fields})


def response(**fields: object) -> Event:
    return {"type": "response.create", "response": fields}


CALL = {"type": "function_call_output", "call_id": "call_1", "output": "x"}
WRONG = [
    ({"type": "nonsense"}, "invalid_value", "type"),
    ({"type": 7}, "invalid_type", "type"),
    ({}, "missing_required_parameter", "type"),
    ({"type": "response.cancel", "why": "x"}, "unknown_parameter", "why"),
    ({"type": "response.cancel"}, "response_cancel_not_active", None),
    ({"type": "output_audio_buffer.clear"}, "invalid_value", None),
    ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
    ({"type": "input_audio_buffer.append", "audio": 7}, "invalid_type", "audio"),
    ({"type": "input_audio_buffer.append", "audio": "!"}, "invalid_value", "audio"),
    ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "invalid_value", "audio"),
    ({"type": "conversation.item.retrieve", "item_id": "x"}, "item_retrieve_invalid_item_id", "item_id"),
    ({"type": "conversation.item.delete"}, "missing_required_parameter", "item_id"),
    ({"type": "conversation.item.create"}, "missing_required_parameter", "item"),
    (item(type="message", role="user"), "missing_required_parameter", "item.content"),
    (item(type="message", role="nobody", content=[]), "invalid_value", "item.role"),
    (
        item(type="message", role="user", content=[{"type": "input_text"}]),
        "missing_required_parameter",
        "item.content[0].text",
    ),
    (item(type="message", role="user", content=[{"type": "output_text"}]), "invalid_value", "item.content[0].type"),
    (item(type="smell"), "invalid_value", "item.type"),
    (item(type="function_call", name="weather"), "missing_required_parameter", "item.arguments"),
    (item(**{**CALL, "id": "x" * 33}), "string_above_max_length", "item.id"),
    (item(**CALL), "invalid_tool_call_id", None),
    ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
    ({"type": "session.update", "session": {"type": "transcription"}}, "invalid_value", "session.type"),
    (session(temperature=0.8), "unknown_parameter", "session.temperature"),
    (session(id="sess_mine"), "unknown_parameter", "session.id"),
    (session(model="gpt-realtime-2"), "invalid_value", "session.model"),
    (session(output_modalities=["audio", "text"]), "invalid_value", "session.output_modalities"),
    (session(max_output_tokens=16384), "integer_above_max_value", "session.max_output_tokens"),
    (session(max_output_tokens="many"), "invalid_type", "session.max_output_tokens"),
    (session(tools=[WEATHER, {**WEATHER, "meta": 1}]), "unknown_parameter", "session.tools[1].meta"),
    (session(tools=[{"type": "mcp", "server_label": "x"}]), "unknown_parameter", "session.tools[0].server_label"),
    (session(tool_choice="perhaps"), "invalid_value", "session.tool_choice"),
    (session(include=["item.input_audio_transcription.logprobs"]), "unsupported_parameter", "session.include"),
    (session(audio={"output": {"voice": "darth"}}), "invalid_value", "session.audio.output.voice"),
    (session(audio={"output": {"speed": 2}}), "decimal_above_max_value", "session.audio.output.speed"),
    (heard(format={"type": "audio/pcm", "rate": 16000}), "invalid_value", "session.audio.input.format.rate"),
    (heard(format={"type": "opus"}), "invalid_value", "session.audio.input.format.type"),
    (heard(turn_detection={}), "missing_required_parameter", "session.audio.input.turn_detection.type"),
    (
        heard(turn_detection={"type": "server_vad", "prefix_padding_ms": "long"}),
        "invalid_type",
        "session.audio.input.turn_detection.prefix_padding_ms",
    ),
    (
        heard(turn_detection={"type": "server_vad", "threshold": 2}),
        "decimal_above_max_value",
        "session.audio.input.turn_detection.threshold",
    ),
    (
        heard(turn_detection={"type": "semantic_vad", "eagerness": []}),
        "invalid_value",
        "session.audio.input.turn_detection.eagerness",
    ),
    (
        heard(turn_detection={"type": "server_vad", "idle_timeout_ms": 10}),
        "integer_below_min_value",
        "session.audio.input.turn_detection.idle_timeout_ms",
    ),
    (response(modalities=["text"]), "unknown_parameter", "response.modalities"),
    (response(conversation="other"), "invalid_value", "response.conversation"),
    (response(tool_choice={"type": "function", "name": "nothing"}), None, "tool_choice"),
    (response(tool_choice="required"), None, "tool_choice"),
    (response(metadata={"a": 1}), "invalid_type", "response.metadata.a"),
    (response(metadata={str(n): "" for n in range(17)}), "object_above_max_properties", "response.metadata"),
    (response(input=[{"type": "item_reference", "id": "x"}]), "invalid_value", "response.input[0].id"),
    (response(input=[{"type": "smell"}]), "invalid_value", "response.input[0].type"),
    ({"type": "response.create", "response": 3}, "invalid_type", "response"),
]


@pytest.mark.parametrize(("event", "code", "param"), WRONG)
async def test_what_is_wrong_is_named(connect: Connect, event: Event, code: str | None, param: str | None) -> None:
    async with connect() as client:
        before = client.events[0]["session"]
        await client.ws.send_json({"event_id": "mine", **event})
        error = (await client.receive())["error"]
        assert (error["type"], error["event_id"]) == ("invalid_request_error", "mine")
        assert (error["code"], error["param"]) == (code, param)
        assert (await client.update())["session"] == before  # nothing has changed, and it goes on


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"type": NaN}', "[" * 5000])
async def test_what_is_no_event(connect: Connect, text: str) -> None:
    async with connect() as client:
        await client.ws.send_str(text)
        assert (await client.receive())["error"]["code"] == "invalid_json"
        await client.update()


async def test_what_can_t_be_truncated(connect: Connect) -> None:
    async with connect() as client:
        await client.send("conversation.item.create", item={"id": "mine", **message("Hello")})
        await client.send("response.create")
        done = (await client.next("response.done"))["response"]
        said = done["output"][0]["id"]
        codes = []
        for item_id, index, end in (
            ("mine", 0, 0),
            ("nothing", 0, 0),
            (said, 1, 0),
            (said, 0, -1),
            (said, 0, 10**6),
        ):
            await client.send("conversation.item.truncate", item_id=item_id, content_index=index, audio_end_ms=end)
            codes.append((await client.next("error"))["error"]["code"])
        await client.send("conversation.item.truncate", item_id=said, content_index=0, audio_end_ms=300)
        await client.send("conversation.item.truncate", item_id=said, content_index=0, audio_end_ms=400)
        error = (await client.next("error"))["error"]
    assert codes == [
        "unsupported_content_type",
        "item_truncate_invalid_item_id",
        "integer_above_max_value",
        "integer_below_min_value",
        "invalid_value",
    ]
    assert error["message"] == "Audio content of 300ms is already shorter than 400ms"


async def test_a_voice_stays_once_it_was_heard(connect: Connect) -> None:
    async with connect() as client:
        assert (await client.update(audio={"output": {"voice": "echo"}}))["session"]["audio"]["output"][
            "voice"
        ] == "echo"
        await client.send("response.create")
        await client.next("response.done")
        assert (await client.update(audio={"output": {"voice": "echo", "speed": 1.2}}))["type"] == "session.updated"
        assert (await client.update(audio={"output": {"voice": "ash"}}))["error"]["code"] == "cannot_update_voice"
        await client.send("response.create", response={"audio": {"output": {"voice": "ash"}}})
        assert (await client.next("error"))["error"]["code"] == "cannot_update_voice"


async def test_null_turns_off_or_restores(connect: Connect) -> None:
    async with connect() as client:
        before = client.events[0]["session"]
        noise = {"type": "near_field", "strength": 0.5}
        heard = {"transcription": {"model": "whisper-1"}, "noise_reduction": noise, "format": {"type": "audio/pcmu"}}
        await client.update(instructions="x", tools=[WEATHER], audio={"input": heard, "output": {"voice": "ash"}})
        told = await client.update(audio={"input": {"noise_reduction": {"type": "far_field"}}})
        assert told["session"]["audio"]["input"]["noise_reduction"] == {"type": "far_field", "strength": 0.5}
        off = {"transcription": None, "noise_reduction": None, "format": None, "turn_detection": None}
        after = await client.update(instructions=None, tools=None, audio={"input": off, "output": {"voice": None}})
        assert after["session"]["audio"]["input"].pop("turn_detection") is None
        assert before["audio"]["input"].pop("turn_detection")["type"] == "server_vad"
        assert after["session"] == before


async def test_a_model_that_can_be_none(emulator: Callable) -> None:
    server: Emulator = await emulator(OPENAI)
    url = f"{server.url}/v1/realtime?model=*"
    async with aiohttp.ClientSession(headers=KEY) as session, session.ws_connect(url) as ws:
        error = (await ws.receive_json())["error"]
        assert error["code"] == "model_not_found" and (await ws.receive()).type is aiohttp.WSMsgType.CLOSE


TABLES: list[tuple[Table, type[BaseModel]]] = [
    (realtime_fields.SESSION, realtime.RealtimeSessionCreateRequest),
    (realtime_fields.TRANSCRIPTION_SESSION, realtime.RealtimeTranscriptionSessionCreateRequest),
    (realtime_fields.INPUT, realtime.RealtimeAudioConfigInput),
    (realtime_fields.OUTPUT, realtime.RealtimeAudioConfigOutput),
    (realtime_fields.TRANSCRIPTION, realtime.AudioTranscription),
    (realtime_fields.NOISE_REDUCTION, realtime.realtime_audio_config_input.NoiseReduction),
    (realtime_fields.SERVER_VAD, realtime_audio_input_turn_detection.ServerVad),
    (realtime_fields.SEMANTIC_VAD, realtime_audio_input_turn_detection.SemanticVad),
    (realtime_fields.TOOL, realtime.RealtimeFunctionTool),
    (realtime_fields.RESPONSE, realtime.RealtimeResponseCreateParams),
    (realtime_fields.SYSTEM_MESSAGE, realtime.RealtimeConversationItemSystemMessage),
    (realtime_fields.USER_MESSAGE, realtime.RealtimeConversationItemUserMessage),
    (realtime_fields.ASSISTANT_MESSAGE, realtime.RealtimeConversationItemAssistantMessage),
    (realtime_fields.FUNCTION_CALL, realtime.RealtimeConversationItemFunctionCall),
    (realtime_fields.FUNCTION_CALL_OUTPUT, realtime.RealtimeConversationItemFunctionCallOutput),
    (realtime_fields.EVENTS["session.update"], session_update_event.SessionUpdateEvent),
    (realtime_fields.EVENTS["input_audio_buffer.append"], realtime.InputAudioBufferAppendEvent),
    (realtime_fields.EVENTS["input_audio_buffer.commit"], realtime.InputAudioBufferCommitEvent),
    (realtime_fields.EVENTS["input_audio_buffer.clear"], realtime.InputAudioBufferClearEvent),
    (realtime_fields.EVENTS["conversation.item.create"], conversation_item_create_event.ConversationItemCreateEvent),
    (realtime_fields.EVENTS["conversation.item.retrieve"], realtime.ConversationItemRetrieveEvent),
    (realtime_fields.EVENTS["conversation.item.delete"], realtime.ConversationItemDeleteEvent),
    (realtime_fields.EVENTS["conversation.item.truncate"], realtime.ConversationItemTruncateEvent),
    (realtime_fields.EVENTS["response.create"], realtime.ResponseCreateEvent),
    (realtime_fields.EVENTS["response.cancel"], realtime.ResponseCancelEvent),
    (realtime_fields.EVENTS["output_audio_buffer.clear"], realtime.OutputAudioBufferClearEvent),
]


@pytest.mark.parametrize(("table", "kind"), TABLES, ids=[kind.__name__ for _, kind in TABLES])
def test_its_fields_are_those_of_the_sdk(table: Table, kind: type[BaseModel]) -> None:
    assert set(table.fields) == set(kind.model_fields)
    required = {name for name, told in kind.model_fields.items() if told.is_required()} - {"type", "role"}
    assert required <= set(table.required)
