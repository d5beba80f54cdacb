"""Every voice of livekit's vendor plugins against the emulator: the whole text, as long as it takes to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from livekit.agents import tts
from livekit.agents.utils import http_context
from livekit.plugins import cartesia, deepgram, elevenlabs, openai

from story.emulator.server import Emulator
from story.emulator.tones import seconds_of
from story.emulator.vendors import VENDORS

SENTENCES = ("Once upon a time there was a boat. ", "It sailed to an island of its own.")


@pytest.fixture
async def server(emulator: Callable) -> AsyncIterator[Emulator]:
    async with http_context.open():
        yield await emulator(*VENDORS)


def voices(url: str) -> dict[str, Callable[[], tts.TTS]]:
    v1 = f"{url}/v1"
    return {
        "openai": lambda: openai.TTS(base_url=v1, api_key="k"),
        "openai-tts-1": lambda: openai.TTS(model="tts-1", base_url=v1, api_key="k"),
        "aura": lambda: deepgram.TTS(base_url=f"{v1}/speak", api_key="k"),
        "flux": lambda: deepgram.TTSv2(base_url=f"{url}/v2/speak", api_key="k"),
        "sonic": lambda: cartesia.TTS(base_url=url, api_key="k"),
        "eleven": lambda: elevenlabs.TTS(base_url=v1, api_key="k"),
        "eleven-pcm": lambda: elevenlabs.TTS(base_url=v1, api_key="k", encoding="pcm_24000"),
        "eleven-dialogue": lambda: elevenlabs.TTS(base_url=v1, api_key="k", model="eleven_v3"),
    }


@pytest.mark.parametrize("name", voices(""))
async def test_streamed(server: Emulator, name: str) -> None:
    voice = voices(server.url)[name]()
    if not voice.capabilities.streaming:
        voice = tts.StreamAdapter(tts=voice)
    seconds, said = 0.0, ""
    for _ in range(2):  # a socket serves more than one utterance
        async with asyncio.timeout(15), voice.stream() as stream:
            for sentence in SENTENCES:
                stream.push_text(sentence)
            stream.end_input()
            async for event in stream:
                seconds += event.frame.duration
                said += "".join(event.frame.userdata.get("lk.timed_transcripts", []))
        said += " "
    asked = 2 * sum(map(seconds_of, SENTENCES))
    whole = 2 * seconds_of(" ".join(SENTENCES))
    assert min(asked, whole) * 0.9 < seconds < max(asked, whole) * 1.15
    if voice.capabilities.aligned_transcript:
        assert said.split() == " ".join(SENTENCES * 2).split()
    await voice.aclose()


@pytest.mark.parametrize("name", ["openai", "aura", "flux", "sonic", "eleven", "eleven-dialogue"])
async def test_whole(server: Emulator, name: str) -> None:
    voice = voices(server.url)[name]()
    async with asyncio.timeout(15):
        frame = await voice.synthesize(SENTENCES[0]).collect()
    assert frame.duration == pytest.approx(seconds_of(SENTENCES[0]), rel=0.1)
    await voice.aclose()
