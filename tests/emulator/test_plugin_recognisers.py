"""Every recogniser of livekit's vendor plugins against the emulator: words in, in order, interims before finals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from conftest import SaidEars, silence, speech
from livekit import rtc
from livekit.agents import stt
from livekit.agents.utils import http_context
from livekit.plugins import cartesia, deepgram, elevenlabs, openai

from story.emulator.server import Emulator
from story.emulator.vendors import VENDORS

LINE = "What is the weather in Paris?"
RATE = 16_000
Kind = stt.SpeechEventType


@pytest.fixture
async def server(emulator: Callable) -> AsyncIterator[Emulator]:
    async with http_context.open():
        yield await emulator(*VENDORS, ears=SaidEars(LINE, "And in Rome?"))


def streaming(url: str) -> dict[str, Callable[[], stt.STT]]:
    return {
        "nova": lambda: deepgram.STT(model="nova-3", base_url=f"{url}/v1/listen", api_key="k"),
        "flux": lambda: deepgram.STTv2(base_url=f"{url}/v2/listen", api_key="k"),
        "flux-eager": lambda: deepgram.STTv2(base_url=f"{url}/v2/listen", api_key="k", eager_eot_threshold=0.4),
        "ink-2": lambda: cartesia.STT(model="ink-2", base_url=url, api_key="k"),
        "ink-whisper": lambda: cartesia.STT(model="ink-whisper", language="en", base_url=url, api_key="k"),
        "scribe-vad": lambda: elevenlabs.STT(
            model="scribe_v2_realtime",
            base_url=f"{url}/v1",
            api_key="k",
            server_vad={"vad_silence_threshold_secs": 0.3},
        ),
        "openai-realtime": lambda: openai.STT(use_realtime=True, base_url=f"{url}/v1", api_key="k"),
    }


def frames(pcm: bytes) -> list[rtc.AudioFrame]:
    size = 2 * RATE // 50
    pieces = [pcm[at : at + size] for at in range(0, len(pcm), size)]
    return [rtc.AudioFrame(piece, RATE, 1, len(piece) // 2) for piece in pieces]


async def finals(recogniser: stt.STT, pcm: bytes, count: int) -> tuple[list[str], list[Kind]]:
    """The final texts of what is said, and the kinds of all events."""
    stream = recogniser.stream()
    texts: list[str] = []
    kinds: list[Kind] = []
    try:
        for frame in frames(pcm):
            stream.push_frame(frame)
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            async for event in stream:
                kinds.append(event.type)
                if event.type is Kind.FINAL_TRANSCRIPT:
                    texts.append(event.alternatives[0].text)
                    if len(texts) == count:
                        return texts, kinds
    finally:
        await stream.aclose()
        await recogniser.aclose()
    return texts, kinds


@pytest.mark.parametrize("name", streaming(""))
async def test_streamed(server: Emulator, name: str) -> None:
    sound = silence(0.2) + speech(2.0) + silence(0.8) + speech(1.0) + silence(0.8)
    texts, kinds = await finals(streaming(server.url)[name](), sound, 2)
    ink = name.startswith("ink")  # its texts are put together as they are: later ones bring their space
    assert texts == [LINE, " And in Rome?" if ink else "And in Rome?"]
    assert Kind.START_OF_SPEECH in kinds[: kinds.index(Kind.FINAL_TRANSCRIPT)] or name == "ink-whisper"
    if name != "ink-whisper":  # it has no interim results
        assert Kind.INTERIM_TRANSCRIPT in kinds[: kinds.index(Kind.FINAL_TRANSCRIPT)]
    if name == "flux-eager":
        assert Kind.PREFLIGHT_TRANSCRIPT in kinds


async def test_scribe_commits_what_the_client_says_is_over(server: Emulator) -> None:
    recogniser = elevenlabs.STT(model="scribe_v2_realtime", base_url=f"{server.url}/v1", api_key="k")
    stream = recogniser.stream()
    for frame in frames(speech(1.5) + silence(0.3)):
        stream.push_frame(frame)
    stream.flush()
    async with asyncio.timeout(10):
        async for event in stream:
            if event.type is Kind.FINAL_TRANSCRIPT:
                assert event.alternatives[0].text == LINE
                break
    await stream.aclose()


async def test_a_commit_of_hardly_any_sound_is_refused(server: Emulator) -> None:
    import aiohttp

    url = f"{server.url}/v1/speech-to-text/realtime?model_id=scribe_v2_realtime&audio_format=pcm_16000"
    chunk = {"message_type": "input_audio_chunk", "audio_base_64": "AAAA", "commit": True, "sample_rate": 16000}
    async with aiohttp.ClientSession() as session, session.ws_connect(url, headers={"xi-api-key": "k"}) as ws:
        assert (await ws.receive_json())["message_type"] == "session_started"
        await ws.send_json(chunk)
        assert (await ws.receive_json())["message_type"] == "input_error"


@pytest.mark.parametrize("name", ["openai", "whisper", "deepgram", "scribe_v1"])
async def test_recorded(server: Emulator, name: str) -> None:
    url = server.url
    recogniser = {
        "openai": lambda: openai.STT(model="gpt-4o-mini-transcribe", base_url=f"{url}/v1", api_key="k"),
        "whisper": lambda: openai.STT(model="whisper-1", base_url=f"{url}/v1", api_key="k"),
        "deepgram": lambda: deepgram.STT(model="nova-3", base_url=f"{url}/v1/listen", api_key="k"),
        "scribe_v1": lambda: elevenlabs.STT(model="scribe_v1", base_url=f"{url}/v1", api_key="k"),
    }[name]()
    event = await recogniser.recognize(frames(speech(2.0)))
    assert event.type is Kind.FINAL_TRANSCRIPT
    assert event.alternatives[0].text == LINE
    await recogniser.aclose()


async def test_without_punctuation_the_words_are_bare(server: Emulator) -> None:
    plain = deepgram.STT(model="nova-3", base_url=f"{server.url}/v1/listen", api_key="k", punctuate=False)
    texts, _ = await finals(plain, speech(2.0) + silence(0.5), 1)
    assert texts == ["what is the weather in paris"]
