"""Handoffs at the caller's ear: how long they take, and whether they come too early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from story.bench.ear import AUDIBLE, PAUSE_SECONDS, stretches
from story.bench.words import missing, there
from story.core import events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from story.bench.ear import Said
    from story.bench.marks import Marks
    from story.bench.scenarios import Scenario
    from story.core.personas import Chain

NEAR_SECONDS = 0.5
"""Between the word of a handoff and the next persona's first sound."""


def handoff_gaps(
    marks: Marks, said: Sequence[Said], agent: Sequence[float], began: float
) -> list[tuple[int, float | None]]:
    """The line before each handoff, and how long it was from its last sound to the next persona's first."""
    sound = stretches(agent, gap=PAUSE_SECONDS, threshold=AUDIBLE)
    found: list[tuple[int, float | None]] = []
    for told, event in marks.of(events.Handoff):
        at = told - began
        before = [line for line in said if line.end <= at]
        if not before:
            continue
        first = min((one.start for one in sound), key=lambda start: abs(start - at), default=None)
        heard_at = first if first is not None and abs(first - at) <= NEAR_SECONDS and event.gap is not None else None
        found.append((before[-1].number, None if heard_at is None else round(heard_at - before[-1].end, 4)))
    return found


def early_handoffs(marks: Marks, said: Sequence[Said], scenario: Scenario, chain: Chain, began: float) -> int:
    """How many came before the end of the line with which the caller has said all that the persona gathers.

    Of what a persona gathers only those facts count that the caller says word for word.
    """
    count = 0
    for told, event in marks.of(events.Handoff):
        ended = sum(line.end <= told - began for line in said)
        so_far = " ".join(line.text for line in scenario.lines[:ended])
        count += bool(missing(_needed(event, scenario, chain), so_far))
    return count


def _needed(handoff: events.Handoff, scenario: Scenario, chain: Chain) -> list[str]:
    """The facts that the persona who leaves has to know, as the caller says them."""
    persona = chain.personas.get(handoff.from_)
    ways = [way for way in persona.then if way.next == handoff.to] if persona is not None else []
    if persona is None or not ways:
        return []
    facts = [scenario.facts[name] for name in persona.arguments(ways[0]) if name in scenario.facts]
    return there(facts, scenario.text)
