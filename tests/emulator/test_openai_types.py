"""Every answer over HTTP as OpenAI's own types have it, to the letter."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from conftest import SaidEars, ScriptedBrain, speech
from openai.types import Model
from openai.types.audio import (
    Transcription,
    TranscriptionDiarized,
    TranscriptionStreamEvent,
    TranscriptionVerbose,
)
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from vendor_types import check

from story.emulator.audio import Format, encode
from story.emulator.brain import ToolCall
from story.emulator.openai import OPENAI
from story.emulator.server import Emulator

ANSWER = ["One moment.", ToolCall("weather", {"location": "Paris"})]
WEATHER = {"name": "weather", "description": "The weather", "parameters": {"type": "object", "properties": {}}}
ASKED = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "The weather?"}], "n": 2}
RESPOND = {"model": "gpt-4.1", "input": "The weather?", "metadata": {"a": "b"}}
UNNAMED = ("store", "task")
"""Of responses and of Whisper's verbose answers: in OpenAI's reference, but not in its package."""
TRANSCRIPTIONS = [
    ("gpt-4o-transcribe", "json", Transcription),
    ("whisper-1", "verbose_json", TranscriptionVerbose),
    ("gpt-4o-transcribe-diarize", "diarized_json", TranscriptionDiarized),
]


@pytest.fixture
async def session(emulator: Callable) -> AsyncIterator[aiohttp.ClientSession]:
    server: Emulator = await emulator(OPENAI, brain=ScriptedBrain(lambda _: ANSWER), ears=SaidEars("One. Two."))
    async with aiohttp.ClientSession(server.url, headers={"Authorization": "Bearer k"}) as session:
        yield session


async def events(session: aiohttp.ClientSession, path: str, **body: object) -> list[dict[str, object]]:
    """What a stream holds."""
    async with session.post(path, **body) as response:
        assert response.status == 200
        lines = (await response.text()).splitlines()
    told = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [json.loads(data) for data in told if data != "[DONE]"]


async def test_chat(session: aiohttp.ClientSession) -> None:
    body = {**ASKED, "tools": [{"type": "function", "function": WEATHER}]}
    async with session.post("/v1/chat/completions", json=body) as response:
        check(await response.json(), ChatCompletion)
    chunks = {**body, "stream": True, "stream_options": {"include_usage": True}}
    for chunk in await events(session, "/v1/chat/completions", json=chunks):
        check(chunk, ChatCompletionChunk)


async def test_responses(session: aiohttp.ClientSession) -> None:
    body = {**RESPOND, "tools": [{"type": "function", "strict": True, **WEATHER}]}
    async with session.post("/v1/responses", json=body) as response:
        check(await response.json(), Response, besides=UNNAMED)
    told = await events(session, "/v1/responses", json={**body, "stream": True, "max_output_tokens": 16})
    for event in told:
        check(event, ResponseStreamEvent, besides=UNNAMED)
    assert told[-1]["type"] == "response.completed"


@pytest.mark.parametrize(("model", "format", "kind"), TRANSCRIPTIONS)
async def test_transcriptions(session: aiohttp.ClientSession, model: str, format: str, kind: type) -> None:
    def form(**fields: str) -> aiohttp.FormData:
        data = aiohttp.FormData({"model": model, "response_format": format, **fields})
        data.add_field("file", encode(speech(1.0), 16_000, Format("wav", 16_000)), filename="turn.wav")
        return data

    async with session.post("/v1/audio/transcriptions", data=form()) as response:
        check(await response.json(), kind, besides=UNNAMED)
    if model != "whisper-1":
        for event in await events(session, "/v1/audio/transcriptions", data=form(stream="true")):
            check(event, TranscriptionStreamEvent)


async def test_models(session: aiohttp.ClientSession) -> None:
    async with session.get("/v1/models") as response:
        for model in (await response.json())["data"]:
            check(model, Model)
