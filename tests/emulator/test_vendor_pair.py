"""Whole calls with Deepgram, OpenAI's pipeline and OpenAI's realtime model, by their real plugins."""

from __future__ import annotations

import pytest
import pytest_asyncio
from emulated_calls import HeldCall, Wanted, check_storyteller, held, hold_all

from story.core import events

PAIR = {"intro": "deepgram+gpt4o-mini", "story": "openai-realtime"}
MARIA = ["maria/turn1.wav", "maria/turn2.wav", "maria/turn3.wav"]
CALLS = {
    "undisturbed": Wanted("maria", PAIR),
    "talked over": Wanted("maria", PAIR, turns=[*MARIA, "barge/turn2.wav"], barge_in={4: 0.4}),
    "refused": Wanted("maria", PAIR, faults=["openai/realtime status=401"]),
}

pytestmark = [pytest.mark.full, pytest.mark.timeout(200)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls() -> dict[str, HeldCall | Exception]:
    """Every call of this file, held once."""
    return await hold_all(CALLS)


def test_a_whole_call(calls: dict[str, HeldCall | Exception]) -> None:
    call = held(calls, "undisturbed")
    check_storyteller(call, "maria")
    assert [(fault.where, fault.message) for fault in call.of(events.CallFault)] == []


def test_a_realtime_persona_says_its_opening(calls: dict[str, HeldCall | Exception]) -> None:
    told = held(calls, "undisturbed").said("story")
    assert told.startswith("Lovely to meet you, Maria! Here is a story that begins in Lisbon. Once upon a time")


def test_usage_is_counted_by_persona_and_model(calls: dict[str, HeldCall | Exception]) -> None:
    usage = held(calls, "undisturbed").ended.usage
    used = {(persona, model["model"]) for persona, models in usage.items() for model in models}
    assert {("intro", "nova-3"), ("intro", "gpt-4o-mini"), ("story", "gpt-realtime")} <= used
    realtime = next(model for model in usage["story"] if model["model"] == "gpt-realtime")
    assert realtime["input_audio_tokens"] > 0 and realtime["output_audio_tokens"] > 0


def test_a_realtime_persona_pays_for_no_second_recogniser(calls: dict[str, HeldCall | Exception]) -> None:
    call = held(calls, "undisturbed")
    ended = call.journal("deepgram", "listen", "ended")
    spoken = call.journal("openai", "realtime", "sent")
    assert len(ended) == 1
    assert ended[0]["t"] < spoken[len(spoken) // 2]["t"]


def test_nobody_talks_a_realtime_goodbye_down(calls: dict[str, HeldCall | Exception]) -> None:
    call = held(calls, "talked over")
    check_storyteller(call, "maria")
    last = call.of(events.AgentTurn)[-1]
    assert not last.interrupted and last.text == "Thank you for listening, Maria. Goodbye!"
    told = [entry["content"] for entry in call.journal("openai", "realtime", "sent")]
    kinds = [content.get("type") for content in told if isinstance(content, dict)]
    called = len(kinds) - kinds[::-1].index("response.function_call_arguments.done")
    assert "input_audio_buffer.speech_started" not in kinds[called:]


def test_a_realtime_model_that_can_t_start_is_replaced(calls: dict[str, HeldCall | Exception]) -> None:
    call = held(calls, "refused")
    assert [fallback.from_ for fallback in call.of(events.Fallback)] == ["realtime=openai/gpt-realtime"]
    check_storyteller(call, "maria")
