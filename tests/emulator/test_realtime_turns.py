"""A caller and a realtime persona, in sound: how long an answer takes, and who has the word."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import SaidEars, ScriptedBrain, speech

from story.core import events
from story.core.call import Call
from story.core.live import LiveStack
from story.core.personas import load_chain
from story.emulator.server import Emulator
from story.emulator.vendors import VENDORS
from story.providers.openai_realtime import RealtimeModel
from story.transports.file import FileTransport
from story.transports.sound import SAMPLE_RATE

CHAIN = Path(__file__).parents[1] / "core" / "two_personas.toml"
LONG = " ".join(["Here is a greeting that takes its time."] * 3)
SHORTEST_PAUSE = 0.5
"""Seconds of silence after which the vendor's turn detection, as the plugin asks for it, ends a turn."""


class Talk:
    """Calls with a realtime persona on an emulator, whose caller says one sentence."""

    def __init__(self, server: Emulator, folder: Path) -> None:
        self.server = server
        self._turn = folder / "turn.wav"
        with wave.open(str(self._turn), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(speech(1.0, SAMPLE_RATE))

    async def hold(self, turns: int, *, barge_in: Mapping[int, float] | None = None) -> Sequence[events.AgentTurn]:
        """A call that ends after so many turns of the agent, which it returns."""
        model = RealtimeModel(base_url=f"{self.server.url}/v1", api_key="k")
        stack = LiveStack(llm=model)
        stacks = {"intro": stack, "story": stack}
        transport = FileTransport([self._turn], barge_in=barge_in)
        call = Call(load_chain(CHAIN), transport, stacks, specs={key: key for key in stacks})
        told: list[events.AgentTurn] = []

        def follow(event: events.Event) -> None:
            if isinstance(event, events.AgentTurn):
                told.append(event)
                if len(told) == turns:
                    call.hang_up()

        call.subscribe(follow)
        async with asyncio.timeout(60):
            await call.run()
        return told


@pytest.fixture
async def talk(emulator: Callable[..., Any], tmp_path: Path) -> Talk:
    brain = ScriptedBrain(lambda prompt: ["I like them, too." if prompt.caller else LONG])
    return Talk(await emulator(*VENDORS, brain=brain, ears=SaidEars("I like boats.")), tmp_path)


async def test_an_answer_of_a_realtime_model_is_timed_from_the_callers_last_sound(talk: Talk) -> None:
    greeting, answer = await talk.hold(turns=2)
    assert "response_latency" not in greeting.metrics
    assert SHORTEST_PAUSE <= answer.metrics["end_of_turn_delay"] <= answer.metrics["response_latency"]


async def test_what_a_caller_cuts_off_is_told_beside_what_they_heard(talk: Talk) -> None:
    greeting, answer = await talk.hold(turns=2, barge_in={1: 1.0})
    assert greeting.interrupted and greeting.text and greeting.unheard
    assert f"{greeting.text} {greeting.unheard}" == LONG
    assert (answer.text, answer.interrupted, answer.unheard) == ("I like them, too.", False, "")
