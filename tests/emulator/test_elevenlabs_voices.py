"""ElevenLabs speaks: contexts, alignments, formats and refusals, as its own client and livekit's plugin take them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable

import aiohttp
import pytest
from elevenlabs.client import AsyncElevenLabs, ElevenLabs
from elevenlabs.core.api_error import ApiError
from livekit.agents.utils import http_context
from livekit.plugins import elevenlabs

from story.emulator.audio import decode, from_logarithmic
from story.emulator.elevenlabs import ELEVENLABS
from story.emulator.elevenlabs.formats import FORMATS
from story.emulator.elevenlabs.streaming import MOST_CONTEXTS
from story.emulator.server import Emulator
from story.emulator.tones import seconds_of

VOICE = "hpp4J3VqNfWAUOO0d1Us"
TEXT = "Once upon a time there was a little boat. "
MORE = "It sailed to an island of its own. "
KEY = {"xi-api-key": "k"}
Messages = list[dict[str, object]]


@pytest.fixture
async def server(emulator: Callable) -> Emulator:
    return await emulator(ELEVENLABS)


def received(server: Emulator) -> Messages:
    """What clients sent, oldest first."""
    return [entry["content"] for entry in server.emulation.journal.as_data() if entry["kind"] == "received"]


def queries(server: Emulator) -> list[dict[str, list[str]]]:
    return [entry["content"]["query"] for entry in server.emulation.journal.as_data() if entry["kind"] == "request"]


def sound_of(told: Messages) -> bytes:
    return b"".join(base64.b64decode(message["audio"]) for message in told if message.get("audio"))


async def talk(server: Emulator, path: str, sent: Messages, **query: str) -> tuple[Messages, int | None]:
    """Send everything, then all that comes until the server closes, and the close code."""
    told: Messages = []
    url = f"{server.url}/v1/{path}"
    async with asyncio.timeout(10), aiohttp.ClientSession(headers=KEY) as session:
        async with session.ws_connect(url, params={"output_format": "pcm_24000", **query}) as ws:
            for message in sent:
                await ws.send_json(message)
            async for frame in ws:
                told.append(json.loads(frame.data))
        return told, ws.close_code


@pytest.mark.parametrize("name", FORMATS)
async def test_every_format_holds_the_whole_text(server: Emulator, name: str) -> None:
    url = f"{server.url}/v1/text-to-speech/{VOICE}"
    asked = {"params": {"output_format": name}, "json": {"text": TEXT}}
    async with aiohttp.ClientSession(headers=KEY) as session, session.post(url, **asked) as response:
        assert response.status == 200
        data = await response.read()
    codec, rate = name.split("_")[:2]
    if codec in ("ulaw", "alaw"):
        pcm = from_logarithmic(data, "mulaw" if codec == "ulaw" else "alaw")
    else:
        pcm, decoded_rate = (data, int(rate)) if codec == "pcm" else decode(data)
        assert decoded_rate == int(rate)
    assert len(pcm) / 2 / int(rate) == pytest.approx(seconds_of(TEXT), abs=0.15)


@pytest.mark.parametrize("name", ["mp3_9000_32", "mp3_44100_1", "pcm_24001", "pcm", "opus_48000", "x" * 5000, ""])
async def test_a_format_that_it_lacks_is_refused_in_its_own_words(server: Emulator, name: str) -> None:
    client = AsyncElevenLabs(api_key="k", base_url=server.url)
    with pytest.raises(ApiError) as told:
        _ = [chunk async for chunk in client.text_to_speech.convert(VOICE, text=TEXT, output_format=name)]
    assert told.value.status_code == 422
    assert told.value.body["detail"]["status"] == "invalid_output_format"


async def test_a_wrong_key_is_refused_in_its_own_words(emulator: Callable) -> None:
    server = await emulator(ELEVENLABS, keys=["right"])
    with pytest.raises(ApiError) as told:
        await AsyncElevenLabs(api_key="wrong", base_url=server.url).voices.get_all()
    assert told.value.status_code == 401
    assert told.value.body["detail"]["status"] == "invalid_api_key"


async def test_streamed_timestamps_cover_the_text_and_the_sound(server: Emulator) -> None:
    client = AsyncElevenLabs(api_key="k", base_url=server.url)
    stream = client.text_to_speech.stream_with_timestamps(VOICE, text=TEXT, output_format="pcm_24000")
    chunks = [chunk async for chunk in stream]
    data = b"".join(base64.b64decode(chunk.audio_base_64) for chunk in chunks)
    alignments = [chunk.alignment for chunk in chunks if chunk.alignment is not None]
    assert "".join(char for one in alignments for char in one.characters) == TEXT
    ends = [end for one in alignments for end in one.character_end_times_seconds]
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(len(data) / 48_000, abs=0.01)


async def test_a_dialogue_is_streamed_whole(server: Emulator) -> None:
    from elevenlabs.types import DialogueInput

    client = AsyncElevenLabs(api_key="k", base_url=server.url)
    lines = [DialogueInput(text=text.strip(), voice_id=VOICE) for text in (TEXT, MORE)]
    stream = client.text_to_dialogue.stream(inputs=lines, output_format="pcm_24000")
    data = b"".join([chunk async for chunk in stream])
    assert len(data) / 48_000 == pytest.approx(seconds_of(f"{TEXT}{MORE}"), abs=0.1)


async def test_the_client_s_own_websocket(server: Emulator) -> None:
    speaking = ElevenLabs(api_key="k", base_url=server.url).text_to_speech
    speaking._ws_base_url = server.url.replace("http", "ws")  # it would have TLS whatever its base_url says

    def speak() -> bytes:
        texts = iter([TEXT, MORE])
        return b"".join(speaking.convert_realtime(VOICE, text=texts, model_id="m", output_format="pcm_24000"))

    async with asyncio.timeout(10):
        data = await asyncio.to_thread(speak)
    assert len(data) / 48_000 == pytest.approx(seconds_of(TEXT + MORE), rel=0.1)
    assert queries(server) == [{"model_id": ["m"], "output_format": ["pcm_24000"]}]
    told = received(server)
    assert "".join(message["text"] for message in told[1:]).split() == (TEXT + MORE).split()
    assert told[-1]["text"] == ""


async def test_times_run_on_over_a_context_and_contexts_run_side_by_side(server: Emulator) -> None:
    sent: Messages = [
        {"text": " ", "context_id": "one"},
        {"text": TEXT, "context_id": "one", "flush": True},
        {"text": MORE, "context_id": "two", "flush": True},
        {"text": MORE, "context_id": "one", "flush": True},
        {"context_id": "one", "close_context": True},
        {"context_id": "unknown", "close_context": True},
        {"close_socket": True},
    ]
    told, code = await talk(server, f"text-to-speech/{VOICE}/multi-stream-input", sent)
    assert code == 1000
    one = [message for message in told if message["contextId"] == "one"]
    aligned = [message["normalizedAlignment"] for message in one if message.get("normalizedAlignment")]
    assert [message["alignment"] for message in one if message.get("alignment")] == aligned
    assert "".join(char for part in aligned for char in part["chars"]).split() == (TEXT + MORE).split()
    starts = [start for part in aligned for start in part["charStartTimesMs"]]
    assert starts == sorted(starts)
    last = starts[-1] + aligned[-1]["charDurationsMs"][-1]
    assert last == pytest.approx(len(sound_of(one)) / 48, abs=15)
    assert [message["contextId"] for message in told if message.get("isFinal")] == ["one", "two"]
    assert one[-1] == {"contextId": "one", "isFinal": True}


async def test_a_closed_context_drops_what_was_not_flushed(server: Emulator) -> None:
    sent: Messages = [
        {"text": TEXT, "context_id": "one"},
        {"text": MORE, "context_id": "one", "close_context": True},
        {"close_socket": True},
    ]
    told, _ = await talk(server, f"text-to-speech/{VOICE}/multi-stream-input", sent)
    assert told == [{"contextId": "one", "isFinal": True}]


async def test_too_many_contexts_close_the_socket(server: Emulator) -> None:
    sent: Messages = [{"text": " ", "context_id": str(number)} for number in range(MOST_CONTEXTS + 1)]
    told, code = await talk(server, f"text-to-speech/{VOICE}/multi-stream-input", sent)
    assert (told[-1]["error"], told[-1]["contextId"], code) == ("max_active_conversations", str(MOST_CONTEXTS), 1008)


async def test_an_idle_context_ends_and_an_idle_socket_closes(server: Emulator) -> None:
    path = f"text-to-speech/{VOICE}"
    async with asyncio.timeout(10), aiohttp.ClientSession(headers=KEY) as session:
        params = {"output_format": "pcm_24000", "inactivity_timeout": "1"}
        async with session.ws_connect(f"{server.url}/v1/{path}/multi-stream-input", params=params) as ws:
            await ws.send_json({"text": " ", "context_id": "idle"})
            assert await ws.receive_json() == {"contextId": "idle", "isFinal": True}
            await ws.send_json({"text": MORE, "context_id": "idle", "flush": True})  # its name is free again
            assert (await ws.receive_json())["audio"]
    told, code = await talk(server, f"{path}/stream-input", [{"text": " "}], inactivity_timeout="1")
    assert ([message["error"] for message in told], code) == (["input_timeout_exceeded"], 1008)


async def test_a_dialogue_s_times_begin_anew_with_each_message(server: Emulator) -> None:
    sent: Messages = [
        {"context_id": "one", "voices": [VOICE]},
        {"context_id": "one", "inputs": [{"text": TEXT, "voice_id": VOICE}], "flush": True},
        {"context_id": "one", "keep_alive": True},
        {"context_id": "one", "inputs": [{"text": MORE, "voice_id": VOICE}]},
        {"context_id": "one", "close_context": True},
        {"close_socket": True},
    ]
    told, code = await talk(server, "text-to-dialogue/multi-stream-input", sent, model_id="eleven_v3")
    assert code == 1000
    aligned = [message["alignment"] for message in told if message.get("alignment")]
    assert ["".join(part["chars"]) for part in aligned] == [TEXT, MORE]
    assert [part["char_start_times_ms"][0] for part in aligned] == [0, 0]
    assert len(sound_of(told)) / 48_000 == pytest.approx(seconds_of(TEXT) + seconds_of(MORE), abs=0.05)
    assert told[-1] == {"context_id": "one", "is_final": True}


@pytest.mark.parametrize(
    "message",
    [
        [],
        "text",
        {"text": 7, "context_id": "one"},
        {"text": TEXT, "flush": "yes"},
        {"text": " ", "voice_settings": []},
    ],
)
@pytest.mark.parametrize("path", ["stream-input", "multi-stream-input"])
async def test_nonsense_is_told_and_closes_the_socket(server: Emulator, path: str, message: object) -> None:
    told, code = await talk(server, f"text-to-speech/{VOICE}/{path}", [message])
    assert isinstance(told[-1]["error"], str) and isinstance(told[-1]["message"], str)
    assert code == 1008


@pytest.mark.parametrize("encoding", ["mp3_22050_32", "pcm_24000"])
async def test_what_livekit_s_plugin_sends_and_hears(server: Emulator, encoding: str) -> None:
    async with http_context.open():
        voice = elevenlabs.TTS(base_url=f"{server.url}/v1", api_key="k", encoding=encoding)
        said, seconds, last = "", 0.0, 0.0
        async with asyncio.timeout(15), voice.stream() as stream:
            for sentence in (TEXT, MORE):
                stream.push_text(sentence)
            stream.end_input()
            async for event in stream:
                seconds += event.frame.duration
                for word in event.frame.userdata.get("lk.timed_transcripts", []):
                    said += word
                    assert word.start_time >= last - 0.001
                    last = word.start_time
        await voice.aclose()
    assert said.split() == (TEXT + MORE).split()
    assert last < seconds
    query = queries(server)[0]
    assert (query["output_format"], query["model_id"]) == ([encoding], ["eleven_turbo_v2_5"])
    told = received(server)
    assert told[0]["text"] == " "
    assert len({message["context_id"] for message in told}) == 1
    assert "".join(message.get("text") or "" for message in told).split() == (TEXT + MORE).split()
    assert told[-1]["close_context"] is True
