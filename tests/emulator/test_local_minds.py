"""The emulator with this machine's own models behind it: what is said is recognised, what is answered is speech."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit import rtc
from livekit.agents import llm
from livekit.agents.utils import http_context
from livekit.plugins import deepgram, openai

from story.core.plugins import load_plugins
from story.core.settings import Settings
from story.emulator.assemble import Options, assemble, emulator
from story.emulator.audio import decode, resample
from story.emulator.server import Emulator

pytestmark = [pytest.mark.full, pytest.mark.weights, pytest.mark.timeout(240)]

TURN = Path(__file__).parents[1] / "callers" / "barge" / "turn1.wav"
RATE = 16_000


@pytest.fixture
async def server() -> AsyncIterator[Emulator]:
    settings = Settings()
    emulation = assemble(Options(), load_plugins(settings), settings)
    async with http_context.open(), emulator(emulation) as started:
        yield started


async def test_a_caller_is_heard_answered_and_spoken_to(server: Emulator) -> None:
    pcm, rate = decode(TURN.read_bytes())
    pcm = resample(pcm, rate, RATE)
    hearing = deepgram.STT(model="nova-3", base_url=f"{server.url}/v1/listen", api_key="k")
    event = await hearing.recognize([rtc.AudioFrame(pcm, RATE, 1, len(pcm) // 2)])
    heard = event.alternatives[0].text
    assert "Olivia" in heard and "Toronto" in heard

    thinking = openai.LLM(model="gpt-4o-mini", base_url=f"{server.url}/v1", api_key="k", timeout=60)
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You are a friendly storyteller. Answer in one short sentence.")
    context.add_message(role="user", content=heard)
    answer = await thinking.chat(chat_ctx=context).collect()
    assert len(answer.text.split()) > 2

    speaking = openai.TTS(base_url=f"{server.url}/v1", api_key="k")
    frame = await speaking.synthesize(answer.text).collect()
    again = await hearing.recognize([frame])
    said = {word.strip(".,!?").lower() for word in answer.text.split()}
    assert said & {word.strip(".,!?").lower() for word in again.alternatives[0].text.split()}
    for model in (hearing, thinking, speaking):
        await model.aclose()
