"""Callers who pause inside a sentence: how often they are answered before they have said it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from benchmarks.web_calls.caller import LONG_QUIET
from benchmarks.web_calls.figures import Found, rate, spread
from benchmarks.web_calls.servers import Kind, Place, stand
from benchmarks.web_calls.sound import Clip, heard

SETTLED_SECONDS = 2.0
"""Of silence after a turn: what was held to be a turn of its own has been answered then."""


def groups(clips: Sequence[Clip]) -> list[list[Clip]]:
    """Clips of one recording go into different groups: the emulator's ears could not tell their beginnings apart."""
    by_recording: dict[str, list[Clip]] = {}
    for clip in clips:
        by_recording.setdefault(clip.name.rpartition("-")[0], []).append(clip)
    rounds = itertools.zip_longest(*by_recording.values())
    return [[clip for clip in one if clip is not None] for one in rounds]


async def pauses(kind: Kind, place: Place, paused: Sequence[Clip], others: Sequence[Clip]) -> Found:
    """Say sentences with a pause in each. others: what the emulator's ears know besides."""
    rows: list[dict[str, object]] = []
    for number, group in enumerate(groups(paused)):
        known = heard([*group, *others], place.folder / f"heard-paused-{number}" / "heard.json")
        async with stand(kind, place, known) as there, there.caller() as caller:
            for clip in group:
                await caller.ear.quiet(LONG_QUIET)
                said = await caller.microphone.say(clip.utterance)
                assert said.pause is not None
                early = caller.ear.between(said.pause, said.end)
                answer = await caller.ear.sound(said.end)
                rows.append(
                    {
                        "utterance": clip.name,
                        "end": said.end,
                        "early": early[0] - said.pause if early else None,
                        "latency": None if early or answer is None else answer - said.end,
                    }
                )
                await caller.ear.quiet(SETTLED_SECONDS)
    rows.sort(key=lambda row: str(row["utterance"]))
    early = [row for row in rows if row["early"] is not None]
    found = Found(data={"pauses": rows})
    found.tell("answered in a pause", rate(len(early), len(rows)))
    if early:
        found.tell("  in", ", ".join(str(row["utterance"]) for row in early), summary=False)
    found.tell(
        "  latency of the others", spread([row["latency"] for row in rows if row["early"] is None]), summary=False
    )
    return found
