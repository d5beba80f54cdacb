"""Turns end soon after what is finished and late after what is not, by the thresholds that are asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import SaidEars, silence, speech
from wire import Told, converse

from story.emulator.cartesia import CARTESIA
from story.emulator.deepgram import DEEPGRAM
from story.emulator.server import Emulator
from story.emulator.turns import unfinished

DEEPGRAM_KEY = {"Authorization": "Token k"}
CARTESIA_KEY = {"X-API-Key": "k"}
FLUX = "/v2/listen?model=flux-general-en&encoding=linear16&sample_rate=16000"
INK = "/stt/turns/websocket?model=ink-2&encoding=pcm_s16le&sample_rate=16000"
WHOLE = "My name is Emma."
OPEN = "My name is"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("Yes.", False),
        ("Where are you from?", False),
        ('She said "no."', False),
        ("ok", False),
        ("I would take plan A.", False),
        ("i live in paris", False),
        ("元気ですか？", False),
        ("My name is", True),
        ("I live in Paris,", True),
        ("i live in paris and", True),
        ("Well, it is the.", True),
        ("So I was thinking...", True),
        ("My", True),
        ("And.", True),
    ],
)
def test_unfinished(text: str, expected: bool) -> None:
    assert unfinished(text) is expected


def events(told: Told) -> list[str]:
    return [str(message["event"]) for message in told if message.get("event", "Update") != "Update"]


async def flux_events(emulator: Callable, line: str, query: str, pcm: bytes) -> tuple[list[str], list[str]]:
    """The events of what is heard but for updates, and the triggers of the turns' ends."""
    server: Emulator = await emulator(DEEPGRAM, ears=SaidEars(line))
    told, _ = await converse(server.url + FLUX + query, DEEPGRAM_KEY, [pcm, {"type": "CloseStream"}])
    return events(told), [str(message["trigger"]) for message in told if "trigger" in message]


@pytest.mark.parametrize(
    ("line", "query", "seconds", "trigger"),
    [
        (WHOLE, "", 0.45, "model"),
        (WHOLE, "&eot_threshold=0.9", 0.6, "manual"),
        (WHOLE, "&eot_threshold=0.9", 0.85, "model"),
        (WHOLE, "&eot_threshold=1.0&eot_timeout_ms=1500", 1.4, "manual"),
        (WHOLE, "&eot_threshold=1.0&eot_timeout_ms=1500", 1.6, "timeout"),
        (OPEN, "", 4.0, "manual"),
        (OPEN, "", 5.1, "timeout"),
        (OPEN, "&eot_timeout_ms=500", 0.6, "timeout"),
        (OPEN.lower(), "", 0.45, "model"),
    ],
)
async def test_flux_ends_turns(emulator: Callable, line: str, query: str, seconds: float, trigger: str) -> None:
    """`manual`: it hadn't ended when the client closed the stream."""
    told, triggers = await flux_events(emulator, line, query, speech(1.0) + silence(seconds))
    assert told == ["StartOfTurn", "EndOfTurn"] and triggers == [trigger]


async def test_flux_waits_for_what_was_not_finished(emulator: Callable) -> None:
    sound = speech(1.0) + silence(2.0) + speech(1.0) + silence(2.0)
    assert (await flux_events(emulator, OPEN, "", sound))[0] == ["StartOfTurn", "EndOfTurn"]
    assert (await flux_events(emulator, WHOLE, "", sound))[0] == ["StartOfTurn", "EndOfTurn"] * 2


async def test_flux_is_eager_when_asked_and_when_the_words_are_finished(emulator: Callable) -> None:
    sound = speech(1.0) + silence(0.3) + speech(0.5) + silence(0.6)
    eager = ["EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn"]
    query = "&eager_eot_threshold=0.5"
    assert (await flux_events(emulator, WHOLE, query, sound))[0] == ["StartOfTurn", *eager, "EndOfTurn"]
    assert (await flux_events(emulator, WHOLE, "", sound))[0] == ["StartOfTurn", "EndOfTurn"]
    assert (await flux_events(emulator, OPEN, query, sound))[0] == ["StartOfTurn", "EndOfTurn"]
    late = "&eager_eot_threshold=0.65&eot_threshold=0.8"  # the first pause is too short for it
    assert (await flux_events(emulator, WHOLE, late, sound))[0] == ["StartOfTurn", "EagerEndOfTurn", "EndOfTurn"]


async def test_flux_is_configured_on_the_way(emulator: Callable) -> None:
    server: Emulator = await emulator(DEEPGRAM, ears=SaidEars(OPEN))
    sound = speech(1.0) + silence(1.0)
    shorter = {"type": "Configure", "thresholds": {"eot_timeout_ms": 700}}
    told, _ = await converse(server.url + FLUX, DEEPGRAM_KEY, [shorter, sound, {"type": "CloseStream"}])
    assert [message["trigger"] for message in told if "trigger" in message] == ["timeout"]


@pytest.mark.parametrize("event", ["EndOfTurn", "EagerEndOfTurn"])
async def test_flux_is_as_sure_as_was_asked(emulator: Callable, event: str) -> None:
    server: Emulator = await emulator(DEEPGRAM, ears=SaidEars(WHOLE))
    query = "&eot_threshold=0.75&eager_eot_threshold=0.55"
    told, _ = await converse(
        server.url + FLUX + query, DEEPGRAM_KEY, [speech(1.0) + silence(0.8), {"type": "CloseStream"}]
    )
    sure = [message["end_of_turn_confidence"] for message in told if message.get("event") == event]
    assert len(sure) == 1 and sure[0] == pytest.approx(0.75 if event == "EndOfTurn" else 0.55, abs=0.03)


async def ink(emulator: Callable, line: str, query: str, pcm: bytes) -> list[str]:
    server: Emulator = await emulator(CARTESIA, ears=SaidEars(line))
    told, _ = await converse(server.url + INK + query, CARTESIA_KEY, [pcm, {"type": "close"}])
    return [str(message["type"]) for message in told[1:] if message["type"] != "turn.update"]


async def test_ink_2_reads_the_words_too(emulator: Callable) -> None:
    sound = speech(1.0) + silence(2.0) + speech(1.0) + silence(2.0)
    turn = ["turn.start", "turn.eager_end", "turn.end"]
    assert await ink(emulator, WHOLE, "", sound) == turn * 2
    assert await ink(emulator, OPEN, "", sound) == ["turn.start", "turn.end"]
    assert await ink(emulator, OPEN, "&turn_end_timeout_ms=1000", sound) == ["turn.start", "turn.end"] * 2
    resumed = ["turn.start", "turn.eager_end", "turn.resume", "turn.end"]
    patient = "&turn_end_threshold=0.05"
    assert await ink(emulator, WHOLE, patient, speech(1.0) + silence(0.6) + speech(1.0)) == resumed
