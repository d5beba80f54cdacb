"""What came of one call of a benchmark, as plain values: kept in the results, read by the reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

OK, FAILED, UNBUILT = "ok", "failed", "unbuilt"
UNFINISHED = "unfinished"
"""The kind of failure of a call that went well as far as it went."""
OUTSIDE = frozenset(("stt", "llm", "tts", "realtime", "lost"))
"""Kinds of failure that are a vendor's or the network's."""


@dataclass(frozen=True)
class TurnFigures:
    """One line of the caller and what followed; seconds, None where it was not seen.

    onset, end: since the line began. latency: from the caller's last sound to the agent's first; negative where it
    came too early. stages: where it went, see `marks.Stages`. final, turn: from the caller's last sound to the
    recogniser's final words, and to the decision that the turn is over. llm, tts, realtime: first token or sound after
    the request. first_word: from the caller's last sound until the first word of the answer is told as heard. stopped:
    from the first sound of a line that broke in to the agent's last. handoff: the answer is the next persona's. log:
    what the emulated vendors' own log says of the same stages. said: the line's words. heard: what was made of them.
    reply: the agent's words, as far as they were heard.
    """

    number: int
    onset: float
    end: float
    latency: float | None
    barged: bool = False
    broke_in: bool = False
    premature: bool = False
    answered: bool = True
    stopped: float | None = None
    handoff: bool = False
    final: float | None = None
    turn: float | None = None
    llm: float | None = None
    tts: float | None = None
    realtime: float | None = None
    first_word: float | None = None
    stages: Mapping[str, float] = field(default_factory=dict)
    log: Mapping[str, float] = field(default_factory=dict)
    said: str = ""
    heard: str = ""
    reply: str = ""


@dataclass(frozen=True)
class Outcome:
    """One call.

    status: ok, failed or unbuilt (its stack can't be built here). kind: of failure ("stt", "tts", "unanswered", ...),
    reason: in words. ended: the call's own reason for its end. greeting: seconds until the agent's first sound.
    handoff_gaps: from the caller's last sound to the next persona's first. words, errors: said, and wrongly heard.
    heard: what was. spoken: what the agent said, as far as it was heard; opening: before the first line. understood:
    what an independent recogniser made of that; of its spoken_words words misheard were wrong (`story bench listen`).
    names: how many names and places of the facts the caller said (None: not counted, by an older version); unheard:
    those that are not in what was heard. facts: name -> whether it was gathered right. handoffs_right: whether they
    were those that the scenario wants, none of them early. early_handoffs: those before the caller had said what the
    persona gathers. interruptions: times that the agent was broken off; words_cut: what it would have gone on to say.
    faults: where -> how many. retried, retries: those of them that the call survived, and how many these are. dead_air,
    talk_over, duration, lag (the event loop was late by, 95th percentile): seconds. usage: as the call tells it. cost:
    in dollars; None where a price is missing; cost_by: "persona role" -> dollars. assumed: a price of it has no source.
    unpriced: the models without one. asides: times that the caller said "mm-hm"; false_yields: those at which the agent
    gave up the floor; aside_gaps: of those after which it spoke on, the silence it made. held_again: times that it was
    held before, and failed.
    """

    status: str
    kind: str = ""
    reason: str = ""
    ended: str = ""
    duration: float = 0.0
    greeting: float | None = None
    turns: tuple[TurnFigures, ...] = ()
    handoff_gaps: tuple[float, ...] = ()
    words: int = 0
    errors: int = 0
    heard: str = ""
    spoken: str = ""
    opening: str = ""
    understood: str = ""
    spoken_words: int = 0
    misheard: int = 0
    names: int | None = None
    unheard: tuple[str, ...] = ()
    facts: Mapping[str, bool] = field(default_factory=dict)
    handoffs_right: bool | None = None
    early_handoffs: int = 0
    interruptions: int = 0
    words_cut: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    retried: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    fallbacks: int = 0
    dead_air: float = 0.0
    talk_over: float = 0.0
    asides: int = 0
    false_yields: int = 0
    aside_gaps: tuple[float, ...] = ()
    lag: float = 0.0
    usage: Mapping[str, Any] = field(default_factory=dict)
    cost: float | None = None
    cost_by: Mapping[str, float] = field(default_factory=dict)
    assumed: bool = False
    unpriced: tuple[str, ...] = ()
    recording: str = ""
    held_again: int = 0

    @property
    def whole(self) -> bool:
        """Whether it went well as far as it went: of a call that broke down what was answered says nothing of the
        stack."""
        return self.status == OK or self.kind == UNFINISHED

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Outcome:
        """What `as_dict` gave, from this version or from another: what is unknown here is left out."""
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        turns = tuple(_turn(turn) for turn in data.get("turns", ()))
        lists = {name: tuple(values.get(name, ())) for name in ("handoff_gaps", "aside_gaps", "unheard", "unpriced")}
        return cls(**{**values, **lists, "turns": turns})


def _turn(data: Mapping[str, Any]) -> TurnFigures:
    known = {f.name for f in fields(TurnFigures)}
    return TurnFigures(**{name: value for name, value in data.items() if name in known})
