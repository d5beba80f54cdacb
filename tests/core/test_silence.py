"""The watch over a silent caller, where a whole call would take too long to show it."""

from __future__ import annotations

import asyncio

from story.core.silence import SilenceWatch


async def silences(*steps: str) -> list[int]:
    """The silences that a watch with no patience tells after these steps."""
    told: list[int] = []
    watch = SilenceWatch(lambda: 0.0, told.append)
    for step in steps:
        match step:
            case "hold":
                watch.hold(True)
            case "let go":
                watch.hold(False)
            case "stop":
                watch.stop()
            case "answered":
                watch.answered()
            case "agent speaks":
                watch.agent(quiet=False)
            case "agent listens":
                watch.agent(quiet=True)
            case "caller speaks":
                watch.caller(quiet=False)
            case "caller ends":
                watch.caller(quiet=True)
            case "caller ends, is owed an answer":
                watch.caller(quiet=True, owed=60.0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # a timer of 0 s is due in the next round of the loop
    watch.stop()
    return told


async def test_a_silence_is_told_when_both_are_quiet() -> None:
    assert await silences("agent speaks") == []
    assert await silences("agent speaks", "agent listens", "agent speaks", "agent listens") == [0, 1]


async def test_an_answer_makes_the_next_silence_the_first_again() -> None:
    assert await silences("agent listens", "answered") == [0, 0]


async def test_nothing_is_told_while_it_is_held() -> None:
    assert await silences("hold", "agent listens") == []
    assert await silences("hold", "agent listens", "let go") == [0]


async def test_a_caller_who_unmutes_during_the_goodbye_is_not_asked_again() -> None:
    assert await silences("hold", "stop", "let go") == []


async def test_a_caller_who_waits_for_an_answer_is_not_silent() -> None:
    assert await silences("caller speaks", "caller ends") == [0]
    assert await silences("caller speaks", "caller ends, is owed an answer", "answered") == []
    assert await silences("caller ends, is owed an answer", "agent speaks", "agent listens") == [0]
