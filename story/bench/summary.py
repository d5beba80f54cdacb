"""The figures of each stack of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from story.bench.outcome import OK, UNBUILT, Outcome, TurnFigures
from story.bench.scenarios import is_disturbed
from story.bench.statistics import Groups, Spread, spread
from story.bench.store import Result

LATE_SECONDS = 0.02
"""A 95th percentile of the event loop's lag: where it is later, so is all that is heard."""
STAGES = ("stt", "turn", "llm", "tts", "realtime", "line")


@dataclass(frozen=True)
class StackFigures:
    """One stack. Times in seconds, rates from 0 to 1; None where nothing was seen.

    unbuilt: why it can't be built. calls, ok: held, and come to their end. failures: kind -> calls. faults: kind ->
    how often; retried: those that the calls survived, which are `retries`. premature: answers that began before the
    caller had ended. latency: from the caller's last sound to the agent's first, without those. handoff, barge_in,
    greeting, first_word, aside_gap, duration: the same for what their names say. final, turn, llm, tts, realtime: as in
    `TurnFigures`; line: the last of its stages. stages: name -> mean. wer: word errors a word. intelligibility: the
    same of what an independent recogniser understood of the agent. names: calls in which all were heard. facts: those
    gathered right. interruptions, words_cut, early_handoffs, asides, false_yields, fallbacks: as in `Outcome`, of all
    calls. dead_air: the longest; talk_over: seconds a call. cost: dollars a call, cost_a_minute; cost_by: "persona
    role" -> dollars a call, as far as there are prices; assumed: with a price that no source gives. unpriced: models
    without a price. late: calls held while the machine was busy; lag: by how much, at most. held_again: times that
    calls that had failed were held again.
    """

    stack: str
    unbuilt: str = ""
    calls: int = 0
    ok: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    faults: dict[str, int] = field(default_factory=dict)
    retried: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    fallbacks: int = 0
    held_again: int = 0
    latency: Spread | None = None
    handoff: Spread | None = None
    barge_in: Spread | None = None
    greeting: Spread | None = None
    first_word: Spread | None = None
    final: Spread | None = None
    turn: Spread | None = None
    llm: Spread | None = None
    tts: Spread | None = None
    realtime: Spread | None = None
    line: Spread | None = None
    duration: Spread | None = None
    stages: dict[str, float] = field(default_factory=dict)
    premature: int = 0
    unanswered: int = 0
    yielded: int = 0
    broke_in: int = 0
    asides: int = 0
    false_yields: int = 0
    aside_gap: Spread | None = None
    interruptions: int = 0
    words_cut: int = 0
    wer: float | None = None
    intelligibility: float | None = None
    names: float | None = None
    facts: float | None = None
    handoffs: float | None = None
    early_handoffs: int = 0
    dead_air: float | None = None
    talk_over: float | None = None
    cost: float | None = None
    cost_a_minute: float | None = None
    cost_by: dict[str, float] = field(default_factory=dict)
    assumed: bool = False
    unpriced: tuple[str, ...] = ()
    late: int = 0
    lag: float = 0.0


def summarise(results: Iterable[Result], *, by_scenario: bool = False) -> list[StackFigures]:
    """One for each stack, in the order in which they first came; by_scenario: for each scenario of each stack. Calls
    that were made harder are told by scenario alone."""
    by_stack: dict[str, list[Outcome]] = {}
    for result in shown(results, by_scenario=by_scenario):
        by_stack.setdefault(result.stack, []).append(result.outcome)
    return [_figures(stack, outcomes) for stack, outcomes in by_stack.items()]


def shown(results: Iterable[Result], *, by_scenario: bool = False) -> list[Result]:
    """Those that figures are of; by_scenario: under the names of stack and scenario."""
    if by_scenario:
        return [replace(result, stack=f"{result.stack} ({result.scenario})") for result in results]
    return [result for result in results if not is_disturbed(result.scenario)]


def harder(results: Iterable[Result]) -> int:
    """How many of them were made harder, and are `shown` by scenario alone."""
    return sum(is_disturbed(result.scenario) for result in results)


def quickest_first(figures: Iterable[StackFigures]) -> list[StackFigures]:
    """By the median of the response latency; those without an answer last."""
    return sorted(figures, key=lambda one: one.latency[50] if one.latency else float("inf"))


def _figures(stack: str, outcomes: Sequence[Outcome]) -> StackFigures:
    if all(outcome.status == UNBUILT for outcome in outcomes):
        return StackFigures(stack, unbuilt=outcomes[0].reason)
    held = outcomes  # what could be built once and then no more has failed
    ok = [outcome for outcome in held if outcome.status == OK]
    failed = [outcome for outcome in held if outcome.status != OK]
    whole = [outcome for outcome in held if outcome.whole]
    turns = [turn for outcome in whole for turn in outcome.turns]
    words = sum(outcome.words for outcome in ok)
    costs = [outcome.cost for outcome in ok if outcome.cost is not None]
    minutes = sum(outcome.duration for outcome in ok if outcome.ended) / 60  # of calls: a model alone has no minutes
    priced = bool(ok) and len(costs) == len(ok)
    return StackFigures(
        stack,
        calls=len(held),
        ok=len(ok),
        failures=dict(Counter(outcome.kind for outcome in failed)),
        reasons=tuple(dict.fromkeys(outcome.reason for outcome in failed)),
        faults=_added(outcome.faults for outcome in held),
        retried=_added(outcome.retried for outcome in held),
        retries=sum(outcome.retries for outcome in held),
        fallbacks=sum(outcome.fallbacks for outcome in held),
        held_again=sum(outcome.held_again for outcome in held),
        latency=spread(latencies(whole)),
        handoff=spread([outcome.handoff_gaps for outcome in whole]),
        barge_in=spread(of_turns(whole, lambda turn: turn.stopped)),
        greeting=spread([[outcome.greeting] for outcome in whole if outcome.greeting is not None]),
        first_word=spread(of_turns(whole, lambda turn: turn.first_word)),
        final=spread(of_turns(whole, lambda turn: turn.final)),
        turn=spread(of_turns(whole, lambda turn: turn.turn)),
        llm=spread(of_turns(whole, lambda turn: turn.llm)),
        tts=spread(of_turns(whole, lambda turn: turn.tts)),
        realtime=spread(of_turns(whole, lambda turn: turn.realtime)),
        line=spread(of_turns(whole, lambda turn: turn.stages.get("line"))),
        duration=spread([[outcome.duration] for outcome in ok if outcome.ended]),
        stages=_stages(turns),
        premature=sum(turn.premature for turn in turns),
        unanswered=sum(turn.latency is None for turn in turns),
        yielded=sum(turn.stopped is not None for turn in turns if turn.barged and turn.broke_in),
        broke_in=sum(turn.barged and turn.broke_in for turn in turns),
        asides=sum(outcome.asides for outcome in whole),
        false_yields=sum(outcome.false_yields for outcome in whole),
        aside_gap=spread([outcome.aside_gaps for outcome in whole]),
        interruptions=sum(outcome.interruptions for outcome in whole),
        words_cut=sum(outcome.words_cut for outcome in whole),
        intelligibility=_misheard(ok),
        wer=sum(outcome.errors for outcome in ok) / words if words else None,
        names=_rate([not outcome.unheard for outcome in ok if _names(outcome)]),
        facts=_rate([right for outcome in ok for right in outcome.facts.values()]),
        handoffs=_rate([outcome.handoffs_right for outcome in ok if outcome.handoffs_right is not None]),
        early_handoffs=sum(outcome.early_handoffs for outcome in whole),
        dead_air=max((outcome.dead_air for outcome in whole), default=None),
        talk_over=_mean([outcome.talk_over for outcome in whole]),
        cost=_mean(costs) if priced else None,
        cost_a_minute=sum(costs) / minutes if priced and minutes else None,
        cost_by=_cost_by(ok),
        assumed=any(outcome.assumed for outcome in ok),
        late=sum(outcome.lag > LATE_SECONDS for outcome in held),
        lag=max(outcome.lag for outcome in held),
        unpriced=tuple(dict.fromkeys(name for outcome in ok for name in outcome.unpriced)),
    )


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """How often each was counted, by the name."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)


def _cost_by(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Dollars a call, by "persona role"."""
    keys = dict.fromkeys(key for outcome in outcomes for key in outcome.cost_by)
    return {key: sum(one.cost_by.get(key, 0.0) for one in outcomes) / len(outcomes) for key in keys}


def _misheard(outcomes: Iterable[Outcome]) -> float | None:
    """Errors a word of what was listened to."""
    listened = [outcome for outcome in outcomes if outcome.spoken_words]
    words = sum(outcome.spoken_words for outcome in listened)
    return sum(outcome.misheard for outcome in listened) / words if words else None


def latencies(outcomes: Iterable[Outcome]) -> Groups:
    """The response latencies of each call, premature answers left out."""
    return of_turns(outcomes, lambda turn: None if turn.premature else turn.latency)


def of_turns(outcomes: Iterable[Outcome], figure: Callable[[TurnFigures], float | None]) -> Groups:
    """A figure of each turn that has it, by call."""
    return [[value for turn in one.turns if (value := figure(turn)) is not None] for one in outcomes]


def _stages(turns: Sequence[TurnFigures]) -> dict[str, float]:
    """The mean of each stage, which unlike medians add up to the mean latency; those that took no time left out."""
    seen = [turn.stages for turn in turns if turn.stages]
    means = {name: _mean([stages.get(name, 0.0) for stages in seen]) for name in STAGES}
    return {name: round(mean, 4) for name, mean in means.items() if mean}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _rate(hits: Sequence[bool]) -> float | None:
    return sum(hits) / len(hits) if hits else None


def _names(outcome: Outcome) -> int:
    """How many names and places its caller said; older versions did not count them."""
    return len(outcome.facts) if outcome.names is None else outcome.names
