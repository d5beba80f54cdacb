"""What was said in a call, line by line of the caller's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from story.bench.outcome import TurnFigures
from story.core import events

if TYPE_CHECKING:
    from story.bench.ear import Said
    from story.bench.marks import Marks
    from story.bench.scenarios import Line


@dataclass(frozen=True)
class Words:
    """heard: what the recogniser, or a realtime model, made of a line. reply: what the agent said to it, as far as it
    was heard."""

    heard: str = ""
    reply: str = ""


def conversation(said: Sequence[Said], marks: Marks, began: float) -> Mapping[int, Words]:
    """The number of each line -> its words; 0: what there was before the first. A reply is that to the last line
    before it began, also where the next one broke into it.

    began: when the line's clock did (the loop's clock).
    """

    def line(at: float) -> int:
        return max((one.number for one in said if one.onset <= at - began), default=0)

    heard, replies = defaultdict[int, list[str]](list), defaultdict[int, list[str]](list)
    state, spoke = "", began
    for at, event in marks.told:
        match event:
            case events.StateChanged():
                if event.agent == "speaking" and state != "speaking":
                    spoke = at
                state = event.agent
            case events.UserTurn():
                heard[line(at)].append(event.text)
            case events.AgentTurn() if event.text:
                replies[line(spoke)].append(event.text)
    numbers = (0, *(one.number for one in said))
    return {number: Words(" ".join(heard[number]), " ".join(replies[number])) for number in numbers}


def with_words(
    turns: Sequence[TurnFigures], lines: Sequence[Line], words: Mapping[int, Words]
) -> tuple[TurnFigures, ...]:
    """Turns with what was said in them. lines: the caller's."""
    return tuple(replace(turn, said=lines[turn.number - 1].text, **vars(words[turn.number])) for turn in turns)
