"""Scribe: what is committed by the client or by a silence, partial transcripts, and what it refuses."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import wave
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from conftest import SaidEars, silence, speech
from elevenlabs.client import AsyncElevenLabs
from elevenlabs.core.api_error import ApiError
from livekit import rtc
from livekit.agents import stt
from livekit.agents.utils import http_context
from livekit.plugins import elevenlabs

from story.emulator.audio import Format, encode
from story.emulator.elevenlabs import ELEVENLABS
from story.emulator.server import Emulator

LINES = ("What is the weather in Paris?", "And in Rome?")
RATE = 16_000
KEY = {"xi-api-key": "k"}
Messages = list[dict[str, object]]


@pytest.fixture
async def server(emulator: Callable) -> AsyncIterator[Emulator]:
    async with http_context.open():
        yield await emulator(ELEVENLABS, ears=SaidEars(*LINES))


def chunk(pcm: bytes = b"", *, commit: bool = False) -> dict[str, object]:
    sound = base64.b64encode(pcm).decode()
    return {"message_type": "input_audio_chunk", "audio_base_64": sound, "commit": commit, "sample_rate": RATE}


async def hear(server: Emulator, sent: list[object], until: Callable[[Messages], bool], **query: str) -> Messages:
    """What comes until `until` is satisfied or the server closes; the close code as the last message."""
    told: Messages = []
    url = f"{server.url}/v1/speech-to-text/realtime"
    params = {"model_id": "scribe_v2_realtime", **query}
    async with (
        asyncio.timeout(10),
        aiohttp.ClientSession(headers=KEY) as session,
        session.ws_connect(url, params=params) as ws,
    ):
        for message in sent:
            await (ws.send_str(message) if isinstance(message, str) else ws.send_json(message))
        async for frame in ws:
            told.append(json.loads(frame.data))
            if until(told):
                return told
        return [*told, {"closed": ws.close_code}]


def committed(count: int) -> Callable[[Messages], bool]:
    return lambda told: sum(m["message_type"] == "committed_transcript" for m in told) == count


def texts(told: Messages, kind: str) -> list[object]:
    return [message["text"] for message in told if message["message_type"] == kind]


async def test_a_client_commits_all_that_was_said_since(server: Emulator) -> None:
    sound = speech(2.0) + silence(0.5) + speech(1.0) + silence(0.3)
    told = await hear(server, [chunk(sound), chunk(commit=True)], committed(1))
    assert told[0]["message_type"] == "session_started"
    assert texts(told, "committed_transcript") == [" ".join(LINES)]
    partial = texts(told, "partial_transcript")
    assert partial == sorted(partial, key=len)  # a pause inside it takes nothing back
    assert partial[-1].startswith(LINES[0])


async def test_a_silence_commits_each_utterance(server: Emulator) -> None:
    sound = speech(2.0) + silence(0.6) + speech(1.0) + silence(0.6)
    query = {"commit_strategy": "vad", "vad_silence_threshold_secs": "0.5"}
    told = await hear(server, [chunk(sound)], committed(2), **query)
    assert texts(told, "committed_transcript") == list(LINES)
    kinds = [message["message_type"] for message in told]
    assert "partial_transcript" in kinds[: kinds.index("committed_transcript")]


async def test_times_come_with_a_second_message(server: Emulator) -> None:
    sent = [chunk(silence(1.0) + speech(2.0) + silence(0.3)), chunk(commit=True)]
    timed = "committed_transcript_with_timestamps"
    query = {"include_timestamps": "true", "language_code": "fr"}
    told = await hear(server, sent, lambda told: told[-1]["message_type"] == timed, **query)
    assert told[-2]["message_type"] == "committed_transcript"
    assert (told[-1]["text"], told[-1]["language_code"]) == (LINES[0], "fr")
    words = told[-1]["words"]
    assert [word["text"] for word in words if word["type"] == "word"] == LINES[0].split()
    assert [word["type"] for word in words[:3]] == ["word", "spacing", "word"]
    assert words[0]["start"] == pytest.approx(1.0, abs=0.03)


async def test_keep_alives_are_no_sound(server: Emulator) -> None:
    sent = [chunk(), chunk(speech(1.0)), chunk(), chunk(silence(0.2)), chunk(commit=True)]
    assert texts(await hear(server, sent, committed(1)), "committed_transcript") == [LINES[0]]


async def test_an_empty_commit_of_silence_has_no_words(server: Emulator) -> None:
    told = await hear(server, [chunk(silence(0.5), commit=True)], committed(1))
    assert texts(told, "committed_transcript") == [""]


async def test_mulaw_is_heard(server: Emulator) -> None:
    sound = encode(speech(2.0) + silence(0.3), RATE, Format("mulaw", 8000))
    told = await hear(server, [chunk(sound), chunk(commit=True)], committed(1), audio_format="ulaw_8000")
    assert texts(told, "committed_transcript") == [LINES[0]]
    assert told[0]["config"]["sample_rate"] == 8000


@pytest.mark.parametrize(
    "sent",
    [
        chunk(speech(0.2), commit=True),
        chunk(b"odd"),
        {**chunk(), "audio_base_64": "!"},
        {**chunk(), "audio_base_64": 3},
        {**chunk(speech(0.5)), "commit": "yes"},
        {"message_type": "nothing"},
        {},
        "not JSON",
    ],
)
async def test_what_is_wrong_is_an_input_error(server: Emulator, sent: object) -> None:
    told = await hear(server, [sent], committed(1))
    assert [message.get("message_type") for message in told[-2:]] == ["input_error", None]
    assert told[-1] == {"closed": 1008}


@pytest.mark.parametrize("name", ["pcm", "pcm_0", "pcm_x", "mp3_44100", "pcm_99999999999999999999"])
async def test_a_format_of_sound_that_it_lacks(server: Emulator, name: str) -> None:
    told = await hear(server, [], committed(1), audio_format=name)
    assert told[-2]["message_type"] == "input_error" and told[-1] == {"closed": 1008}


async def test_who_leaves_is_forgotten(emulator: Callable) -> None:
    ears = SaidEars(*LINES)
    server: Emulator = await emulator(ELEVENLABS, ears=ears)
    sent = [chunk(speech(1.0) + silence(0.5) + speech(0.5))]
    await hear(server, sent, lambda told: len(texts(told, "partial_transcript")) > 2)
    async with asyncio.timeout(5):
        while server.connections:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
    assert (ears.utterances, ears.abandoned) == (2, 2)


async def test_a_recording_in_any_format(server: Emulator) -> None:
    client = AsyncElevenLabs(api_key="k", base_url=server.url)
    for codec in ("wav", "mp3", "flac"):
        data = encode(speech(2.0), RATE, Format(codec, RATE))
        heard = await client.speech_to_text.convert(model_id="scribe_v1", file=(f"turn.{codec}", io.BytesIO(data)))
        assert heard.text in LINES
        words = [word for word in heard.words if word.type == "word"]
        assert " ".join(word.text for word in words) == heard.text
        assert all(one.end <= other.start + 0.001 for one, other in itertools.pairwise(words))
    told = [entry["content"] for entry in server.emulation.journal.as_data() if entry["kind"] == "received"]
    assert [content["model_id"] for content in told] == [["scribe_v1"]] * 3


@pytest.mark.parametrize("data", [b"", b"no sound", b"RIFF\xff\xff\xff\xffWAVEfmt "])
async def test_a_recording_that_is_none(server: Emulator, data: bytes) -> None:
    with pytest.raises(ApiError) as told:
        await AsyncElevenLabs(api_key="k", base_url=server.url).speech_to_text.convert(
            model_id="scribe_v1", file=("turn.wav", data)
        )
    assert told.value.status_code in (400, 422) and told.value.body["detail"]["status"]


async def test_an_empty_wav_has_no_words(server: Emulator) -> None:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
    client = AsyncElevenLabs(api_key="k", base_url=server.url)
    heard = await client.speech_to_text.convert(model_id="scribe_v1", file=("turn.wav", written.getvalue()))
    assert (heard.text, heard.words) == ("", [])


@pytest.mark.parametrize("vad", [True, False])
async def test_what_livekit_s_plugin_asks_for_and_hears(server: Emulator, vad: bool) -> None:
    options = {"server_vad": {"vad_silence_threshold_secs": 0.4}} if vad else {}
    recogniser = elevenlabs.STT(model="scribe_v2_realtime", base_url=f"{server.url}/v1", api_key="k", **options)
    stream = recogniser.stream()
    pcm = speech(2.0) + silence(0.6)
    for at in range(0, len(pcm), 640):
        stream.push_frame(rtc.AudioFrame(pcm[at : at + 640], RATE, 1, len(pcm[at : at + 640]) // 2))
    if not vad:
        stream.flush()
    async with asyncio.timeout(10):
        async for event in stream:
            if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                assert event.alternatives[0].text == LINES[0]
                break
    await stream.aclose()
    entries = server.emulation.journal.as_data()
    query = next(entry["content"]["query"] for entry in entries if entry["kind"] == "request")
    assert query["commit_strategy"] == ["vad" if vad else "manual"]
    assert query["audio_format"] == ["pcm_16000"]
    assert any(entry["content"].get("commit") for entry in entries if entry["kind"] == "received") is not vad
    assert sum(entry["bytes"] for entry in entries if entry["kind"] == "received") >= len(pcm) - 1600
