"""Transcriptions and speech, with livekit's plugins and OpenAI's own client."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable

import aiohttp
import openai
import pytest
from conftest import SaidEars, silence, speech
from livekit import rtc
from livekit.agents.utils import http_context
from livekit.plugins import openai as plugin

from story.emulator.audio import Codec, Format, decode, encode
from story.emulator.openai import OPENAI
from story.emulator.openai.speech import CODECS
from story.emulator.server import Emulator
from story.emulator.tones import seconds_of

LINES = ("Where is the boat?", "It is on the lake.")
TEXT = "Once upon a time there was a little boat on a lake."
RATE = 16_000
SOUND = silence(0.5, RATE) + speech(1.6, RATE) + silence(1.5, RATE) + speech(1.6, RATE) + silence(0.5, RATE)
KEY = {"Authorization": "Bearer k"}


def recording(codec: Codec = "wav") -> tuple[str, bytes]:
    return f"turn.{codec}", encode(SOUND, RATE, Format(codec, RATE))


def seconds(data: bytes, format: str | None = None) -> float:
    pcm, rate = decode(data, format=format)
    return len(pcm) / 2 / rate


@pytest.fixture
async def server(emulator: Callable) -> Emulator:
    return await emulator(OPENAI, ears=SaidEars(*LINES))


@pytest.fixture
async def client(server: Emulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(server) as client:
        yield client


def client_of(server: Emulator, key: str = "k") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=key, base_url=f"{server.url}/v1", max_retries=0)


class TestTranscriptions:
    @pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-mini-transcribe"])
    async def test_livekit_s_plugin(self, server: Emulator, model: str) -> None:
        async with http_context.open():
            stt = plugin.STT(model=model, base_url=f"{server.url}/v1", api_key="k", language="en")
            frame = rtc.AudioFrame(SOUND, RATE, 1, len(SOUND) // 2)
            heard = await stt.recognize(frame)
            await stt.aclose()
        assert heard.alternatives[0].text == " ".join(LINES)
        received = [entry["content"] for entry in server.emulation.journal.as_data() if entry["kind"] == "received"]
        assert [form["model"] for form in received] == [[model]]
        assert received[0]["language"] == ["en"]

    @pytest.mark.parametrize("codec", ["wav", "mp3", "opus", "flac", "aac"])
    async def test_any_recording(self, client: openai.AsyncOpenAI, codec: Codec) -> None:
        heard = await client.audio.transcriptions.create(model="gpt-4o-transcribe", file=recording(codec))
        assert heard.text == " ".join(LINES)
        assert heard.usage.type == "tokens" and heard.usage.input_tokens == pytest.approx(57, abs=3)

    async def test_times_of_words_and_segments(self, client: openai.AsyncOpenAI) -> None:
        heard = await client.audio.transcriptions.create(
            model="whisper-1",
            file=recording(),
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
        assert [word.word for word in heard.words] == " ".join(LINES).split()
        assert all(before.end <= after.start + 0.01 for before, after in itertools.pairwise(heard.words))
        assert [segment.text.strip() for segment in heard.segments] == list(LINES)
        assert [segment.start for segment in heard.segments] == [heard.words[0].start, heard.words[4].start]
        assert heard.segments[0].start == pytest.approx(0.5, abs=0.1)
        assert heard.duration == pytest.approx(5.7, abs=0.1) and heard.language == "english"
        assert heard.usage.type == "duration" and heard.usage.seconds == 6

    async def test_segments_alone_unless_words_are_asked_for(self, client: openai.AsyncOpenAI) -> None:
        shared = {"model": "whisper-1", "file": recording(), "response_format": "verbose_json"}
        assert (await client.audio.transcriptions.create(**shared)).words is None
        words = await client.audio.transcriptions.create(**shared, timestamp_granularities=["word"])
        assert words.words and words.segments is None

    async def test_as_text_and_as_subtitles(self, client: openai.AsyncOpenAI) -> None:
        shared = {"model": "whisper-1", "file": recording()}
        assert (await client.audio.transcriptions.create(**shared, response_format="text")).strip() == " ".join(LINES)
        srt = await client.audio.transcriptions.create(**shared, response_format="srt")
        assert srt.startswith("1\n00:00:00,5") and "\n\n2\n" in srt and LINES[1] in srt
        vtt = await client.audio.transcriptions.create(**shared, response_format="vtt")
        assert vtt.startswith("WEBVTT\n\n00:00:00.5") and vtt.count(" --> ") == 2

    async def test_streamed(self, client: openai.AsyncOpenAI) -> None:
        stream = await client.audio.transcriptions.create(model="gpt-4o-mini-transcribe", file=recording(), stream=True)
        *deltas, done = [event async for event in stream]
        assert "".join(event.delta for event in deltas) == done.text == " ".join(LINES)
        assert len(deltas) == len(done.text.split()) and done.usage.total_tokens > 0

    async def test_who_speaks(self, client: openai.AsyncOpenAI) -> None:
        shared = {"model": "gpt-4o-transcribe-diarize", "file": recording(), "response_format": "diarized_json"}
        heard = await client.audio.transcriptions.create(**shared)
        assert [(segment.speaker, segment.text.strip()) for segment in heard.segments] == [
            ("A", line) for line in LINES
        ]
        assert heard.text == " ".join(LINES) and heard.usage.total_tokens > 0
        stream = await client.audio.transcriptions.create(**shared, stream=True)
        *segments, done = [event async for event in stream]
        assert [segment.to_dict() for segment in segments] == [segment.to_dict() for segment in heard.segments]
        assert done.text == heard.text

    async def test_silence_has_no_words(self, client: openai.AsyncOpenAI) -> None:
        quiet = ("quiet.wav", encode(silence(1.0, RATE), RATE, Format("wav", RATE)))
        heard = await client.audio.transcriptions.create(model="whisper-1", file=quiet, response_format="verbose_json")
        assert heard.text == "" and heard.segments == []

    @pytest.mark.parametrize(
        ("fields", "data", "param", "told"),
        [
            ({}, b"no sound at all", "file", "corrupted"),
            ({}, b"", "file", "corrupted"),
            ({}, encode(silence(0.05), RATE, Format("wav", RATE)), "file", "too short"),
            ({"response_format": "verbose_json"}, recording()[1], "response_format", "not compatible"),
            ({"response_format": "xml"}, recording()[1], "response_format", "'xml'"),
            ({"response_format": "diarized_json"}, recording()[1], "response_format", "not compatible"),
            ({"include": ["logprobs"]}, recording()[1], "include", "not emulated"),
            ({"known_speaker_names": ["Maria"]}, recording()[1], "known_speaker_names", "not emulated"),
            ({"timestamp_granularities": ["word"]}, recording()[1], "timestamp_granularities[]", "verbose_json"),
        ],
    )
    async def test_what_is_wrong_is_named(
        self, client: openai.AsyncOpenAI, fields: dict, data: bytes, param: str, told: str
    ) -> None:
        with pytest.raises(openai.BadRequestError, match=told) as refused:
            await client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("turn.wav", data), **fields)
        assert refused.value.param == param

    async def test_more_than_is_taken(self, client: openai.AsyncOpenAI) -> None:
        with pytest.raises(openai.APIStatusError) as refused:
            await client.audio.transcriptions.create(model="whisper-1", file=("long.wav", bytes(25 * 2**20 + 1)))
        assert refused.value.status_code == 413 and "26214400" in refused.value.message

    @pytest.mark.parametrize("body", [b"", b"--x\r\n", b'{"model": "whisper-1"}', b"--x\r\nContent-Disp"])
    @pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "multipart/form-data", "application/json"])
    async def test_no_form(self, server: Emulator, body: bytes, kind: str) -> None:
        async with (
            aiohttp.ClientSession(headers={**KEY, "Content-Type": kind}) as session,
            session.post(f"{server.url}/v1/audio/transcriptions", data=body) as response,
        ):
            assert response.status == 400
            assert (await response.json())["error"]["type"] == "invalid_request_error"


class TestSpeech:
    @pytest.mark.parametrize("codec", CODECS)
    @pytest.mark.parametrize("model", ["tts-1", "gpt-4o-mini-tts"])  # as bytes, as events
    async def test_livekit_s_plugin(self, server: Emulator, model: str, codec: Codec) -> None:
        async with http_context.open():
            tts = plugin.TTS(model=model, voice="echo", response_format=codec, base_url=f"{server.url}/v1", api_key="k")
            frame = await tts.synthesize(TEXT).collect()
            await tts.aclose()
        assert frame.duration == pytest.approx(seconds_of(TEXT), abs=0.15)
        received = [entry["content"] for entry in server.emulation.journal.as_data() if entry["kind"] == "received"]
        assert [(body["input"], body["voice"]) for body in received] == [(TEXT, "echo")]

    @pytest.mark.parametrize("codec", CODECS)
    async def test_the_client(self, client: openai.AsyncOpenAI, codec: Codec) -> None:
        spoken = await client.audio.speech.create(model="tts-1", voice="nova", input=TEXT, response_format=codec)
        assert spoken.response.headers["content-type"] == Format(codec).media_type
        length = len(spoken.content) / 48_000 if codec == "pcm" else seconds(spoken.content)
        assert length == pytest.approx(seconds_of(TEXT), abs=0.15)

    @pytest.mark.parametrize("speed", [0.25, 0.8, 1.5, 4.0])
    async def test_speed(self, client: openai.AsyncOpenAI, speed: float) -> None:
        spoken = await client.audio.speech.create(
            model="tts-1", voice="nova", input=TEXT, response_format="pcm", speed=speed
        )
        assert len(spoken.content) / 48_000 == pytest.approx(seconds_of(TEXT) / speed, abs=0.1)

    async def test_events(self, server: Emulator) -> None:
        body = {"model": "gpt-4o-mini-tts", "input": TEXT, "voice": {"id": "voice_1"}, "response_format": "pcm"}
        async with (
            aiohttp.ClientSession(headers=KEY) as session,
            session.post(f"{server.url}/v1/audio/speech", json={**body, "stream_format": "sse"}) as response,
        ):
            lines = [line.removeprefix("data: ") for line in (await response.text()).split("\n\n") if line]
        *deltas, done = [json.loads(line) for line in lines]
        sound = b"".join(base64.b64decode(event["audio"]) for event in deltas)
        assert len(sound) / 48_000 == pytest.approx(seconds_of(TEXT), abs=0.01)
        assert done["usage"]["output_tokens"] == pytest.approx(20 * seconds_of(TEXT), abs=1)

    @pytest.mark.parametrize(
        ("wrong", "param", "told"),
        [
            ({"input": ""}, "input", "too short"),
            ({"input": " \n"}, "input", "too short"),
            ({"input": "x" * 4097}, "input", "length 4097"),
            ({"input": 7}, "input", "a string"),
            ({"voice": None}, "voice", "Missing"),
            ({"voice": "robot"}, "voice", "'alloy'"),
            ({"voice": "marin"}, "voice", "'alloy'"),  # tts-1 has no such voice
            ({"voice": {}}, "id", "Missing"),
            ({"response_format": "midi"}, "response_format", "'midi'"),
            ({"stream_format": "drips"}, "stream_format", "'drips'"),
            ({"stream_format": "sse"}, "stream_format", "tts-1"),
            ({"speed": 0.2}, "speed", ">= 0.25"),
            ({"speed": 5}, "speed", "<= 4"),
        ],
    )
    async def test_what_is_wrong_is_named(self, client: openai.AsyncOpenAI, wrong: dict, param: str, told: str) -> None:
        body = {"model": "tts-1", "input": TEXT, "voice": "nova", **wrong}
        with pytest.raises(openai.BadRequestError, match=told) as refused:
            await client.post("/audio/speech", body=body, cast_to=object)
        assert refused.value.param == param
