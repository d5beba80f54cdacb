"""What counts as an answer, so that a scripted caller speaks neither too early nor never."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import AgentStateChangedEvent, ConversationItemAddedEvent
from livekit.agents.llm import AgentHandoff
from livekit.rtc import EventEmitter

from story.transports.floor import Floor


class Stage:
    """A floor that believes at once (no settling, no patience) and a session to move it with."""

    def __init__(self) -> None:
        self.session: EventEmitter[str] = EventEmitter()
        self.floor = Floor(settle=0, patience=0)
        self.floor.watch(self.session)  # type: ignore[arg-type]
        self.state("listening")

    def state(self, state: str) -> None:
        event = AgentStateChangedEvent(old_state="thinking", new_state=state)  # type: ignore[arg-type]
        self.session.emit("agent_state_changed", event)

    def hand_over(self, old: str | None, new: str) -> None:
        item = AgentHandoff(old_agent_id=old, new_agent_id=new)
        self.session.emit("conversation_item_added", ConversationItemAddedEvent(item=item))

    def act(self, steps: str) -> None:
        """C, c: the caller begins, ends. A, a, x: the agent begins, ends, is cut off."""
        for step in steps:
            match step:
                case "C":
                    self.floor.caller_began()
                case "c":
                    self.floor.caller_ended()
                case "A":
                    self.floor.agent_began()
                case _:
                    self.floor.agent_ended(interrupted=step == "x")


@pytest.mark.parametrize(
    ("steps", "answered"),
    [
        ("", False),
        ("Aa", True),
        ("AaCc", False),
        ("AaCcAa", True),
        ("ACcx", False),  # the rest of what the caller broke into
        ("ACca", False),  # and where the agent would not be interrupted
        ("ACcxAa", True),
        ("CAac", False),  # a reply to half a turn
        ("CAxcAa", True),
        ("CAca", True),  # begun before the caller had quite finished
        ("CcAx", False),  # cut off by something else: more is to come
        ("CcAaAa", True),
    ],
)
async def test_what_is_an_answer(steps: str, answered: bool) -> None:
    stage = Stage()
    stage.act(steps)
    assert await stage.floor.until_free() is answered


async def test_after_a_handoff_the_next_persona_speaks_first() -> None:
    stage = Stage()
    stage.hand_over(None, "intro")
    stage.act("Aa")
    assert await stage.floor.until_free()
    stage.hand_over("intro", "story")
    assert not await stage.floor.until_free()
    stage.act("Aa")
    assert await stage.floor.until_free()


@pytest.mark.parametrize("steps", ["A", "AaC", "CcA"])
async def test_the_floor_is_not_free_while_anybody_speaks(steps: str) -> None:
    stage = Stage()
    stage.act(steps)
    waiting = asyncio.ensure_future(stage.floor.until_free())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    stage.act("c" if steps.endswith("C") else "a")
    await waiting


async def test_an_answer_that_thinks_on_is_not_over() -> None:
    stage = Stage()
    stage.floor = Floor(settle=0, patience=3600)
    stage.floor.watch(stage.session)  # type: ignore[arg-type]
    stage.act("Aa")
    stage.state("thinking")
    waiting = asyncio.ensure_future(stage.floor.until_free())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    stage.state("listening")
    assert await waiting


async def test_a_wait_is_cancelled_also_together_with_a_change() -> None:
    stage = Stage()
    stage.act("A")
    waiting = asyncio.ensure_future(stage.floor.until_free())
    for _ in range(3):
        await asyncio.sleep(0)
    stage.state("speaking")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 5)
