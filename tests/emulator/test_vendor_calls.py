"""Whole calls with the vendors' real plugins: what docs/proven.toml promises, and what goes wrong in the middle."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import pytest_asyncio
from emulated_calls import ROOT, HeldCall, Wanted, check_storyteller, held, hold_all

from story.core import events

PAIR = {"intro": "deepgram+gpt4o-mini", "story": "openai-realtime"}
PROVEN = tomllib.loads((ROOT / "docs" / "proven.toml").read_text())["call"]
PROOFS = {
    f"{proof['intro']} to {proof['story']}": Wanted(
        proof["caller"],
        {"intro": proof["intro"], "story": proof["story"]},
        barge_in={2: 3.0} if proof["caller"] == "barge" else {},
    )
    for proof in PROVEN
}
EDGES = {
    "out of credit": Wanted("maria", PAIR, faults=["openai/realtime error=insufficient_quota after=30"]),
    "hanging": Wanted("maria", PAIR, faults=["deepgram/listen hang"]),
    "and back": Wanted(
        "emma",
        {"outro": "cartesia/ink-2+gpt4o-mini+sonic-3", **PAIR},
        turns=["emma/turn1.wav", "emma/turn2.wav", "emma/turn3.wav", "barge/turn4.wav"],
        chain=str(Path(__file__).parent / "three_personas.toml"),
        brain=str(Path(__file__).parent / "three_personas_script.toml"),
    ),
}


pytestmark = [pytest.mark.full, pytest.mark.timeout(400)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def calls() -> dict[str, HeldCall | Exception]:
    """Every call of this file, held once."""
    return await hold_all({**PROOFS, **EDGES})


@pytest.mark.parametrize("name", PROOFS)
def test_a_whole_call(calls: dict[str, HeldCall | Exception], name: str) -> None:
    call = held(calls, name)
    check_storyteller(call, PROOFS[name].caller)
    assert [(fault.where, fault.message) for fault in call.of(events.CallFault)] == []


def test_a_realtime_model_that_fails_in_mid_call_is_replaced(calls: dict[str, HeldCall | Exception]) -> None:
    call = held(calls, "out of credit")
    assert [fallback.from_ for fallback in call.of(events.Fallback)] == ["realtime=openai/gpt-realtime"]
    assert call.ended.reason == "finished" and call.ended.data["name"] == "Maria"
    assert "Maria" in call.of(events.AgentTurn)[-1].text


def test_a_recogniser_that_hangs_is_given_up(calls: dict[str, HeldCall | Exception]) -> None:
    call = held(calls, "hanging")
    assert call.ended.reason == "error"
    faults = call.of(events.CallFault)
    assert [fault.recoverable for fault in faults if fault.where == "stt"] == [True, True, False]
    assert call.ended.duration < 40


def test_from_a_realtime_model_back_to_a_pipeline(calls: dict[str, HeldCall | Exception]) -> None:
    call = held(calls, "and back")
    assert [(handoff.from_, handoff.to) for handoff in call.of(events.Handoff)] == [
        ("intro", "story"),
        ("story", "outro"),
    ]
    assert [tool.name for tool in call.of(events.ToolCall)] == ["information_gathered", "story_told", "call_over"]
    assert call.ended.reason == "finished"
    assert "Emma" in call.said("outro")
    assert call.journal("cartesia", "turns", "request") and call.journal("cartesia", "tts", "request")
