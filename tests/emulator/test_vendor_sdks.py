"""The vendors' own Python clients against the emulator: one happy path a protocol."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import wave
from collections.abc import Callable

import cartesia
import openai
import pytest
from conftest import SaidEars, ScriptedBrain, silence, speech
from deepgram import AsyncDeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from elevenlabs.client import AsyncElevenLabs
from elevenlabs.realtime.scribe import AudioFormat, CommitStrategy, ScribeRealtime

from story.emulator.audio import decode
from story.emulator.brain import Prompt, ToolCall
from story.emulator.server import Emulator
from story.emulator.tones import seconds_of
from story.emulator.vendors import VENDORS

LINE = "What is the weather in Paris?"
TEXT = "Once upon a time there was a little boat."
KATIE = {"mode": "id", "id": "f786b574-daa5-4673-aa0c-cbe3e8534c02"}
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}
TOOL = {"name": "weather", "description": "The weather", "parameters": {"type": "object", "properties": {}}}


def recording(seconds: float = 2.0, rate: int = 16_000) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(speech(seconds, rate))
    return written.getvalue()


def script(prompt: Prompt) -> list[str | ToolCall]:
    return [ToolCall("weather", {"location": "Paris"})] if prompt.tools else [TEXT]


@pytest.fixture
async def server(emulator: Callable) -> Emulator:
    return await emulator(*VENDORS, ears=SaidEars(LINE), brain=ScriptedBrain(script))


def seconds(data: bytes, format: str | None = None) -> float:
    pcm, rate = decode(data, format=format)
    return len(pcm) / 2 / rate


class TestOpenAI:
    @pytest.fixture
    async def client(self, server: Emulator) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0)

    async def test_chat(self, client: openai.AsyncOpenAI) -> None:
        messages = [{"role": "user", "content": "hello"}]
        whole = await client.chat.completions.create(model="gpt-4o-mini", messages=messages)
        assert whole.choices[0].message.content == TEXT
        tools = [{"type": "function", "function": TOOL}]
        stream = await client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=tools, stream=True)
        chunks = [chunk async for chunk in stream]
        calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
        assert json.loads("".join(call.function.arguments for call in calls)) == {"location": "Paris"}
        assert chunks[-1].choices[0].finish_reason == "tool_calls"

    async def test_responses(self, client: openai.AsyncOpenAI) -> None:
        whole = await client.responses.create(model="gpt-4.1", input="hello")
        assert whole.output_text == TEXT and whole.usage.output_tokens > 0
        async with client.responses.stream(model="gpt-4.1", input="more", previous_response_id=whole.id) as stream:
            async for _ in stream:
                pass
            assert (await stream.get_final_response()).output_text == TEXT
        with pytest.raises(openai.BadRequestError, match="not found"):
            await client.responses.create(model="gpt-4.1", input="more", previous_response_id="resp_0")

    async def test_transcriptions(self, client: openai.AsyncOpenAI) -> None:
        file = ("turn.wav", recording())
        heard = await client.audio.transcriptions.create(model="gpt-4o-mini-transcribe", file=file)
        assert heard.text == LINE
        verbose = await client.audio.transcriptions.create(
            model="whisper-1", file=file, response_format="verbose_json", timestamp_granularities=["word"]
        )
        assert [word.word for word in verbose.words] == LINE.split()
        stream = await client.audio.transcriptions.create(model="gpt-4o-mini-transcribe", file=file, stream=True)
        assert "".join([event.delta async for event in stream if event.type == "transcript.text.delta"]) == LINE
        with pytest.raises(openai.BadRequestError, match="corrupted"):
            await client.audio.transcriptions.create(model="whisper-1", file=("turn.wav", b"no sound"))

    @pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav"])
    async def test_speech(self, client: openai.AsyncOpenAI, name: str) -> None:
        spoken = await client.audio.speech.create(model="tts-1", voice="echo", input=TEXT, response_format=name)
        assert seconds(spoken.content) == pytest.approx(seconds_of(TEXT), abs=0.15)

    async def test_models_and_errors(self, client: openai.AsyncOpenAI, emulator: Callable) -> None:
        assert "gpt-4o-mini" in [model.id async for model in client.models.list()]
        with pytest.raises(openai.BadRequestError, match="messages"):
            await client.chat.completions.create(model="gpt-4o-mini", messages="hello")
        with pytest.raises(openai.NotFoundError):
            await client.get("/nothing", cast_to=object)
        guarded: Emulator = await emulator(*VENDORS, keys=["right"])
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
            await openai.AsyncOpenAI(api_key="wrong", base_url=f"{guarded.url}/v1").models.list()

    async def test_realtime(self, client: openai.AsyncOpenAI) -> None:
        async with asyncio.timeout(10), client.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(
                session={"type": "realtime", "output_modalities": ["audio"], "instructions": "Be brief."}
            )
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
            await connection.conversation.item.create(item=item)
            await connection.response.create()
            sound, text = b"", ""
            async for event in connection:
                if event.type == "response.output_audio.delta":
                    sound += base64.b64decode(event.delta)
                elif event.type == "response.output_audio_transcript.delta":
                    text += event.delta
                elif event.type == "response.done":
                    assert event.response.status == "completed" and event.response.usage.total_tokens > 0
                    break
            assert text == TEXT
            assert len(sound) / 48_000 == pytest.approx(seconds_of(TEXT), abs=0.1)


class TestDeepgram:
    @pytest.fixture
    async def client(self, server: Emulator) -> AsyncDeepgramClient:
        socket = server.url.replace("http", "ws")
        places = {"base": server.url, "production": socket, "agent": socket, "agent_rest": server.url}
        return AsyncDeepgramClient(api_key="k", environment=DeepgramClientEnvironment(**places))

    async def test_prerecorded(self, client: AsyncDeepgramClient) -> None:
        heard = await client.listen.v1.media.transcribe_file(request=recording(), model="nova-3", punctuate=True)
        assert heard.results.channels[0].alternatives[0].transcript == LINE

    async def test_listen(self, client: AsyncDeepgramClient) -> None:
        options = {"encoding": "linear16", "sample_rate": 16000, "punctuate": "true", "interim_results": "true"}
        async with asyncio.timeout(10), client.listen.v1.connect(model="nova-3", **options) as connection:
            await connection.send_media(speech(2.0) + silence(0.5))
            await connection.send_close_stream()
            messages = [message async for message in connection]
        finals = [m for m in messages if m.type == "Results" and m.is_final]
        assert finals[0].channel.alternatives[0].transcript == LINE
        assert messages[-1].type == "Metadata" and messages[-1].duration == pytest.approx(2.5)

    async def test_flux(self, client: AsyncDeepgramClient) -> None:
        options = {"encoding": "linear16", "sample_rate": "16000"}
        async with asyncio.timeout(10), client.listen.v2.connect(model="flux-general-en", **options) as connection:
            await connection.send_media(speech(2.0) + silence(0.5))
            await connection.send_close_stream()
            messages = [message async for message in connection]
        assert messages[0].type == "Connected"
        turns = [message for message in messages if message.type == "TurnInfo"]
        assert turns[0].event == "StartOfTurn" and turns[-1].event == "EndOfTurn"
        assert turns[-1].transcript == LINE

    async def test_speak(self, client: AsyncDeepgramClient) -> None:
        whole = b"".join([chunk async for chunk in client.speak.v1.audio.generate(text=TEXT, encoding="mp3")])
        assert seconds(whole, "mp3") == pytest.approx(seconds_of(TEXT), abs=0.15)
        async with asyncio.timeout(10), client.speak.v1.connect(encoding="linear16", sample_rate="24000") as connection:
            from deepgram.speak.v1.types import SpeakV1Text

            await connection.send_text(SpeakV1Text(text=TEXT, type="Speak"))
            await connection.send_flush()
            sound = b""
            async for message in connection:
                if isinstance(message, bytes):
                    sound += message
                elif message.type == "Flushed":
                    break
        assert len(sound) / 48_000 == pytest.approx(seconds_of(TEXT), abs=0.05)

    async def test_flux_speak(self, client: AsyncDeepgramClient) -> None:
        from deepgram.speak.v2.types import SpeakV2Interrupt, SpeakV2InterruptPlaybackOffset, SpeakV2Speak

        options = {"encoding": "linear16", "sample_rate": "24000"}
        async with asyncio.timeout(10), client.speak.v2.connect(model="flux-alexis-en", **options) as connection:
            await connection.send_speak(SpeakV2Speak(text=TEXT))
            await connection.send_flush()
            sound, kinds = b"", []
            async for message in connection:
                if isinstance(message, bytes):
                    sound += message
                    continue
                kinds.append(message.type)
                if message.type == "Flushed":
                    break
            assert kinds == ["Connected", "SpeechStarted", "SpeechMetadata", "Flushed"]
            assert len(sound) / 48_000 == pytest.approx(seconds_of(TEXT), abs=0.05)
            half = SpeakV2InterruptPlaybackOffset(value=round(seconds_of(TEXT) * 500))
            await connection.send_interrupt(SpeakV2Interrupt(playback_offset=half))
            interrupted = await connection.recv()
            assert f"{interrupted.text_spoken} {interrupted.text_remaining}" == TEXT
            await connection.send_close()
            ended = await connection.recv()
            assert ended.total_audio_duration_ms == half.value and ended.total_input_character_count == len(TEXT)


class TestCartesia:
    @pytest.fixture
    async def client(self, server: Emulator) -> cartesia.AsyncCartesia:
        return cartesia.AsyncCartesia(
            api_key="k", base_url=server.url, websocket_base_url=server.url.replace("http", "ws"), max_retries=0
        )

    async def test_tts(self, client: cartesia.AsyncCartesia) -> None:
        spoken = await client.tts.generate(
            model_id="sonic-3", transcript=TEXT, voice=KATIE, output_format={**RAW, "container": "wav"}
        )
        assert seconds(await spoken.read()) == pytest.approx(seconds_of(TEXT), abs=0.05)

    async def test_tts_websocket(self, client: cartesia.AsyncCartesia) -> None:
        sound, words = b"", []
        request = {"model_id": "sonic-3", "transcript": TEXT, "voice": KATIE, "output_format": RAW}
        async with asyncio.timeout(10), client.tts.websocket_connect() as connection:
            await connection.send({**request, "context_id": "one", "add_timestamps": True, "continue": False})
            async for event in connection:
                if event.type == "chunk":
                    sound += base64.b64decode(event.data) if isinstance(event.data, str) else event.audio
                elif event.type == "timestamps":
                    words += event.word_timestamps.words
                elif event.type == "done":
                    break
        assert len(sound) / 48_000 == pytest.approx(seconds_of(TEXT), abs=0.05)
        assert words == TEXT.split()

    async def test_turns(self, client: cartesia.AsyncCartesia) -> None:
        options = {"model": "ink-2", "encoding": "pcm_s16le", "sample_rate": 16000}
        async with asyncio.timeout(10), client.stt.auto_finalize.websocket(**options) as connection:
            await connection.send_raw(speech(2.0) + silence(0.5))
            async for event in connection:
                if event.type == "turn.end":
                    assert event.transcript == LINE
                    break

    async def test_tts_events(self, client: cartesia.AsyncCartesia) -> None:
        sound = b""
        stream = await client.tts.generate_sse(
            model_id="sonic-3", transcript=TEXT, voice=KATIE, output_format=RAW, add_timestamps=True
        )
        kinds = []
        async for event in stream:
            kinds.append(event.type)
            if event.type == "chunk":
                sound += base64.b64decode(event.data)
        assert len(sound) / 48_000 == pytest.approx(seconds_of(TEXT), abs=0.05)
        assert kinds[-2:] == ["timestamps", "done"]

    async def test_finalised(self, client: cartesia.AsyncCartesia) -> None:
        options = {"model": "ink-whisper", "encoding": "pcm_s16le", "sample_rate": 16000}
        async with asyncio.timeout(10), client.stt.manual_finalize.websocket(**options) as connection:
            await connection.send_raw(speech(2.0))
            await connection.send_raw("finalize")
            async for event in connection:
                if event.type == "transcript":
                    assert event.is_final and event.text == LINE
                    break

    async def test_recording_and_refusal(self, client: cartesia.AsyncCartesia) -> None:
        heard = await client.stt.transcribe(file=("turn.wav", recording()), model="ink-whisper")
        assert heard.text == LINE
        with pytest.raises(cartesia.BadRequestError):
            await client.tts.generate(
                model_id="sonic-3", transcript=TEXT, voice=KATIE, output_format={"container": "x"}
            )


class TestElevenLabs:
    VOICE = "hpp4J3VqNfWAUOO0d1Us"

    @pytest.fixture
    async def client(self, server: Emulator) -> AsyncElevenLabs:
        return AsyncElevenLabs(api_key="k", base_url=server.url)

    async def test_tts(self, client: AsyncElevenLabs) -> None:
        speaking = client.text_to_speech
        for spoken in (speaking.convert(self.VOICE, text=TEXT), speaking.stream(self.VOICE, text=TEXT)):
            whole = b"".join([chunk async for chunk in spoken])
            assert seconds(whole, "mp3") == pytest.approx(seconds_of(TEXT), abs=0.15)
        timed = await speaking.convert_with_timestamps(self.VOICE, text=TEXT)
        assert "".join(timed.alignment.characters) == TEXT

    async def test_stream_input(self, server: Emulator) -> None:
        """As its client speaks it: that one goes to wss:// alone."""
        import aiohttp

        query = "model_id=eleven_flash_v2_5&output_format=pcm_24000"
        url = f"{server.url}/v1/text-to-speech/{self.VOICE}/stream-input?{query}"
        sound, aligned = b"", ""
        async with aiohttp.ClientSession() as session, session.ws_connect(url, headers={"xi-api-key": "k"}) as ws:
            for text in (" ", "Once upon a time ", "there was a little boat. ", ""):
                await ws.send_json({"text": text})
            async for message in ws:
                told = json.loads(message.data)
                if told["isFinal"]:
                    break
                sound += base64.b64decode(told["audio"])
                aligned += "".join((told["alignment"] or {}).get("chars", []))
        assert aligned.strip() == TEXT
        assert len(sound) / 48_000 == pytest.approx(seconds_of(TEXT), abs=0.05)

    async def test_dialogue(self, client: AsyncElevenLabs) -> None:
        from elevenlabs.types import DialogueInput

        lines = [DialogueInput(text=TEXT, voice_id=self.VOICE)]
        whole = b"".join([chunk async for chunk in client.text_to_dialogue.convert(inputs=lines)])
        assert seconds(whole, "mp3") == pytest.approx(seconds_of(TEXT), abs=0.15)

    async def test_scribe(self, client: AsyncElevenLabs) -> None:
        heard = await client.speech_to_text.convert(model_id="scribe_v1", file=("turn.wav", recording()))
        assert heard.text == LINE
        assert [word.text for word in heard.words if word.type == "word"] == LINE.split()

    async def test_scribe_realtime(self, server: Emulator) -> None:
        committed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        scribe = ScribeRealtime(api_key="k", base_url=server.url)
        connection = await scribe.connect(
            {
                "model_id": "scribe_v2_realtime",
                "audio_format": AudioFormat.PCM_16000,
                "sample_rate": 16000,
                "commit_strategy": CommitStrategy.MANUAL,
            }
        )
        connection.on("committed_transcript", lambda told: committed.done() or committed.set_result(told["text"]))
        sound = base64.b64encode(speech(2.0)).decode()
        await connection.send({"audio_base_64": sound, "sample_rate": 16000})
        await connection.commit()
        async with asyncio.timeout(10):
            assert await committed == LINE
        await connection.close()

    async def test_voices(self, client: AsyncElevenLabs) -> None:
        assert [voice.voice_id for voice in (await client.voices.get_all()).voices] == [self.VOICE]
        assert (await client.voices.search()).voices
