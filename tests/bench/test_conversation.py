"""Which words belong to which line of a caller's."""

from __future__ import annotations

from story.bench.conversation import Words, conversation
from story.bench.ear import Said
from story.bench.marks import Marks
from story.core import events

ABOUT = {"call": "c", "t": 0.0}


def speaks(agent: str) -> events.Event:
    return events.StateChanged(agent=agent, caller="silent", **ABOUT)


def test_a_reply_that_is_broken_into_is_that_to_the_line_before() -> None:
    said = [Said(1, 3.0, 4.0), Said(2, 7.0, 8.0, barged=True)]
    marks = Marks()
    marks.told = [
        (10.5, speaks("speaking")),
        (12.0, speaks("listening")),
        (12.0, events.AgentTurn(text="Who is it?", **ABOUT)),
        (14.2, events.UserTurn(text="It's me.", **ABOUT)),
        (15.0, speaks("speaking")),
        (17.1, speaks("speaking")),  # the caller's state has changed
        (17.4, speaks("listening")),
        (17.4, events.AgentTurn(text="Then come", interrupted=True, **ABOUT)),
        (18.3, events.UserTurn(text="No, wait.", **ABOUT)),
        (19.0, speaks("speaking")),
        (20.0, events.AgentTurn(text="All right.", **ABOUT)),
        (21.0, events.AgentTurn(text="Goodbye.", **ABOUT)),
    ]
    assert conversation(said, marks, began=10.0) == {
        0: Words(reply="Who is it?"),
        1: Words("It's me.", "Then come"),
        2: Words("No, wait.", "All right. Goodbye."),
    }
