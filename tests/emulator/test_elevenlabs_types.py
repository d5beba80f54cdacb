"""What ElevenLabs sends, field by field, as its own SDK types it."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable

import aiohttp
import pytest
from conftest import SaidEars, speech
from elevenlabs import types
from wire import checked, converse

from story.emulator.elevenlabs import ELEVENLABS
from story.emulator.server import Emulator

KEY = {"xi-api-key": "k"}
TEXT = "Once upon a time there was a little boat. "
SPEAKING = "/v1/text-to-speech/hpp4J3VqNfWAUOO0d1Us"


@pytest.fixture
async def server(emulator: Callable) -> Emulator:
    return await emulator(ELEVENLABS, ears=SaidEars("What is the weather in Paris?"))


async def test_contexts(server: Emulator) -> None:
    said = [{"text": TEXT, "context_id": "one", "flush": True}, {"context_id": "one", "close_context": True}]
    url = f"{server.url}{SPEAKING}/multi-stream-input?model_id=eleven_flash_v2_5&output_format=pcm_24000"
    told, _ = await converse(url, KEY, [*said, {"close_socket": True}])
    for message in told:  # the SDK writes one name otherwise than the API reference and livekit's plugin
        checked(types.WebsocketTtsServerMessageMulti, message, also=frozenset({"isFinal"}))
    assert told[0]["alignment"] and told[-1] == {"contextId": "one", "isFinal": True}


async def test_dialogues(server: Emulator) -> None:
    inputs = [{"text": TEXT, "voice_id": "x"}]
    said = [{"context_id": "one", "inputs": inputs, "flush": True}, {"context_id": "one", "close_context": True}]
    url = f"{server.url}/v1/text-to-dialogue/multi-stream-input?model_id=eleven_v3&output_format=pcm_24000"
    told, _ = await converse(url, KEY, [*said, {"close_socket": True}])
    for message in told[:-1]:
        checked(types.TextToDialogueWebsocketAudioChunkMulti, message, also=frozenset({"is_final"}))
    checked(types.TextToDialogueWebsocketFinalMulti, told[-1])
    told, _ = await converse(url, KEY, ["{"])
    checked(types.TextToDialogueWebsocketError, told[0])


async def test_answers(server: Emulator) -> None:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(speech(2.0))
    async with aiohttp.ClientSession(server.url, headers=KEY) as session:
        form = aiohttp.FormData({"model_id": "scribe_v1"})
        form.add_field("file", written.getvalue(), filename="turn.wav")
        async with session.post("/v1/speech-to-text", data=form) as response:
            checked(types.SpeechToTextChunkResponseModel, await response.json())
        async with session.post(f"{SPEAKING}/with-timestamps", json={"text": TEXT}) as response:
            checked(types.AudioWithTimestampsResponse, await response.json())
        async with session.get("/v2/voices") as response:
            checked(types.GetVoicesV2Response, await response.json())


@pytest.mark.parametrize("path", ["/stream-input", "/multi-stream-input"])
async def test_eleven_v3_has_dialogues_alone(server: Emulator, path: str) -> None:
    url = f"{server.url}{SPEAKING}{path}?model_id=eleven_v3"
    async with aiohttp.ClientSession(headers=KEY) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(url)
    assert refused.value.status == 403
