"""What the agent has said so far in its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from story.core import events
from story.core.captions import Captions


class Told:
    """As much of a call as captions need."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._observers: list[Callable[[events.Event], None]] = []

    def subscribe(self, observer: Callable[[events.Event], None]) -> None:
        self._observers.append(observer)

    def tell(self, kind: type[events.Event], **fields: Any) -> None:
        event = kind(call="call_1", t=0.0, persona="story", **fields)
        if isinstance(event, events.Partial):
            self.texts.append(event.text)
        for observer in self._observers:
            observer(event)


async def say(captions: Captions, *words: str) -> None:
    for word in words:
        await captions.capture_text(word)
    captions.flush()


async def test_a_turn_that_waits_for_its_next_sentence_goes_on() -> None:
    call = Told()
    captions = Captions(call)  # type: ignore[arg-type]
    call.tell(events.StateChanged, agent="thinking", caller="silent")
    call.tell(events.StateChanged, agent="speaking", caller="silent")
    await say(captions, "Hello,", " Maria!")
    call.tell(events.StateChanged, agent="speaking", caller="speaking")
    await say(captions, "Once", " upon")
    assert call.texts == ["Hello,", "Hello, Maria!", "Hello, Maria! Once", "Hello, Maria! Once upon"]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (events.AgentTurn, {"text": "Hello, Maria!", "interrupted": False, "metrics": {}}),
        (events.StateChanged, {"agent": "listening", "caller": "silent"}),
    ],
    ids=["told", "silent"],
)
async def test_the_next_turn_begins_anew(kind: type[events.Event], fields: dict[str, object]) -> None:
    call = Told()
    captions = Captions(call)  # type: ignore[arg-type]
    await say(captions, "Hello,", " Maria!")
    call.tell(kind, **fields)
    await say(captions, "Once", " upon")
    assert call.texts[2:] == ["Once", "Once upon"]


async def test_a_late_word_of_a_turn_that_was_told_belongs_to_it() -> None:
    call = Told()
    captions = Captions(call)  # type: ignore[arg-type]
    await captions.capture_text("Hello,")
    call.tell(events.AgentTurn, text="Hello,", interrupted=True, metrics={})
    await say(captions, " Maria!")
    await say(captions, "Yes?")
    assert call.texts == ["Hello,", "Hello, Maria!", "Yes?"]
