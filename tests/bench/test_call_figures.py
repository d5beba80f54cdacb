"""The figures of calls whose sound and events are known, and what a run makes of them."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from story.bench import cell, terminal
from story.bench.caller import BenchCaller
from story.bench.ear import Said
from story.bench.export import as_csv
from story.bench.marks import Marks
from story.bench.outcome import Outcome, TurnFigures
from story.bench.scenarios import Scenario, built_in
from story.bench.store import Result
from story.bench.summary import StackFigures, summarise
from story.core import events
from story.core.personas import Chain
from story.core.plan import find_chain
from story.core.plugins import load_plugins
from story.core.registry import DEFAULT_CHAIN
from story.core.settings import Settings


@pytest.fixture(scope="module")
def chain() -> Chain:
    return find_chain(DEFAULT_CHAIN, load_plugins(Settings(env={"STORY_LOAD_PLUGINS": ""})).registry)[1]


@pytest.fixture(scope="module")
def john() -> Scenario:
    return built_in()["john"]


def loud(*spans: tuple[float, float], seconds: float = 40.0) -> list[float]:
    levels = np.zeros(round(seconds * 100))
    for start, end in spans:
        levels[round(start * 100) : round(end * 100)] = 0.1
    return levels.tolist()


def told(kind: type[events.Event], at: float, **values: object) -> tuple[float, events.Event]:
    return at, kind(call="c", t=at, **values)


def handed_over(at: float) -> tuple[float, events.Event]:
    return told(events.Handoff, at, from_="intro", to="story", gap=0.5)


def said_by_agent(at: float, text: str, unheard: str = "") -> tuple[float, events.Event]:
    return told(events.AgentTurn, at, text=text, interrupted=bool(unheard), unheard=unheard)


def caption(at: float, text: str) -> tuple[float, events.Event]:
    return told(events.Partial, at, who="agent", text=text)


def measured(
    scenario: Scenario,
    chain: Chain,
    *happened: tuple[float, events.Event],
    said: list[Said],
    agent: list[float],
    asides: tuple[float, ...] = (),
) -> Outcome:
    """The outcome of a call on a line that began at 0 of its clock."""
    caller = BenchCaller(scenario)
    caller.said, caller.agent, caller.asides = said, agent, list(asides)
    caller.caller = loud(*((line.onset, line.end) for line in said))
    ended = events.CallEnded(call="c", t=40.0, reason="finished", data={}, usage={}, duration=40.0)
    return cell.measured(
        scenario, ended, caller, Marks(told=sorted(happened, key=lambda one: one[0])), None,
        chain=chain, lag=0.0, recording="",
    )  # fmt: skip


LINES = [Said(1, 2.0, 2.5), Said(2, 6.0, 7.0), Said(3, 10.0, 11.0), Said(4, 20.0, 21.0), Said(5, 30.0, 31.0)]
ANSWERS = loud((0.5, 1.5), (3.2, 5.0), (7.8, 9.0), (11.8, 19.0), (21.8, 29.0), (31.8, 33.0))


def test_the_first_word_of_an_answer(john: Scenario, chain: Chain) -> None:
    captions = [
        caption(0.6, "Hello."), said_by_agent(1.5, "Hello."),
        caption(3.35, "Nice"), caption(3.6, "Nice to"), said_by_agent(5.0, "Nice to meet you."),
        caption(7.7, "Yes?"), said_by_agent(9.0, "Yes?"), caption(11.9, "Yes?"), caption(12.1, "Yes? Then"),
    ]  # fmt: skip
    outcome = measured(john, chain, *captions, said=LINES, agent=ANSWERS)
    words = [turn.first_word for turn in outcome.turns]
    assert words[:3] == [0.85, 0.8, 0.9], "never before the sound is heard"
    assert words[3:] == [None, None], "no words were told"
    assert all(turn.latency == pytest.approx(0.8, abs=0.11) for turn in outcome.turns)


def test_words_that_were_going_on_are_no_first_word(john: Scenario, chain: Chain) -> None:
    lines = [Said(1, 2.0, 2.5), Said(2, 4.0, 5.0, barged=True)]
    captions = [caption(3.3, "Once"), caption(4.4, "Once upon"), caption(5.05, "Once upon a"), caption(6.2, "Of")]
    outcome = measured(john, chain, *captions, said=lines, agent=loud((3.2, 4.4), (6.0, 8.0)))
    assert outcome.turns[1].first_word == pytest.approx(1.2)


def test_words_cut_where_the_agent_is_interrupted(john: Scenario, chain: Chain) -> None:
    turns = [said_by_agent(4.5, "Once upon", "a time in Lisbon."), said_by_agent(9.0, "Of course.")]
    outcome = measured(john, chain, *turns, said=LINES, agent=ANSWERS)
    assert (outcome.interruptions, outcome.words_cut) == (1, 4)


@pytest.mark.parametrize(
    ("at", "right"),
    [(11.9, True), (21.9, True), (8.0, False), (10.5, False)],
    ids=["after the last fact", "a line later", "before the place was said", "while it was said"],
)
def test_a_handoff_before_the_last_fact_is_early(john: Scenario, chain: Chain, at: float, right: bool) -> None:
    outcome = measured(john, chain, handed_over(at), said=LINES, agent=ANSWERS)
    assert (outcome.handoffs_right, outcome.early_handoffs) == (right, int(not right))


def test_a_handoff_waits_for_no_fact_that_is_not_said_or_not_gathered(john: Scenario, chain: Chain) -> None:
    for facts in ({"name": "John", "location": "NYC"}, {"name": "John", "wish": "Keep going"}):
        outcome = measured(replace(john, facts=facts), chain, handed_over(8.0), said=LINES, agent=ANSWERS)
        assert outcome.handoffs_right is True
    twice = measured(john, chain, handed_over(12.0), handed_over(22.0), said=LINES, agent=ANSWERS)
    assert (twice.handoffs_right, twice.early_handoffs) == (False, 0)


def test_an_agent_that_stays_silent_at_an_mm_hm_has_given_up_the_floor(john: Scenario, chain: Chain) -> None:
    for gap, yields in ((0.55, 0), (1.4, 1)):
        agent = loud((3.2, 5.0), (7.8, 9.0), (11.8, 14.3), (14.3 + gap, 19.0))
        outcome = measured(john, chain, said=LINES, agent=agent, asides=(14.0,))
        assert (outcome.asides, outcome.false_yields) == (1, yields)
        assert outcome.aside_gaps == (pytest.approx(gap),)


def test_an_agent_that_is_broken_off_by_an_mm_hm(john: Scenario, chain: Chain) -> None:
    agent = loud((3.2, 5.0), (7.8, 9.0), (11.8, 14.3), (14.7, 16.0))
    broken = said_by_agent(14.4, "Once upon", "a time")
    outcome = measured(john, chain, broken, said=LINES, agent=agent, asides=(14.0,))
    assert (outcome.false_yields, outcome.aside_gaps) == (1, (pytest.approx(0.4),))


def test_an_interruption_after_an_mm_hm_is_no_false_yield(john: Scenario, chain: Chain) -> None:
    lines = [*LINES[:3], Said(4, 15.0, 17.0, barged=True)]
    agent = loud((3.2, 5.0), (7.8, 9.0), (11.8, 14.3), (14.85, 15.3), (18.0, 20.0))
    broken = said_by_agent(15.35, "Once upon", "a time")
    outcome = measured(john, chain, broken, said=lines, agent=agent, asides=(14.0,))
    assert (outcome.false_yields, outcome.aside_gaps) == (0, (pytest.approx(0.55),))
    assert outcome.turns[3].stopped == pytest.approx(0.3)


def test_faults_are_counted_by_kind(john: Scenario, chain: Chain) -> None:
    def fault(where: str, *, recoverable: bool) -> tuple[float, events.Event]:
        return told(events.CallFault, 5.0, where=where, provider=None, message="no", recoverable=recoverable)

    faults = [fault("stt", recoverable=True), fault("tts", recoverable=True), fault("tts", recoverable=True)]
    outcome = measured(john, chain, *faults, fault("llm", recoverable=False), said=LINES, agent=ANSWERS)
    assert outcome.faults == {"stt": 1, "tts": 2, "llm": 1}
    assert outcome.retried == {"stt": 1, "tts": 2} and outcome.retries == 3
    assert Outcome.from_dict(outcome.as_dict()) == outcome


TURN = TurnFigures(
    1, 1.0, 2.0, 0.8, final=0.3, turn=0.4, first_word=0.9, stages={"stt": 0.3, "turn": 0.1, "tts": 0.3, "line": 0.1}
)
CALL = Outcome(
    "ok", ended="finished", duration=30.0, greeting=1.1, turns=(TURN,), words=20, errors=1, facts={"name": True},
    names=1, spoken_words=50, misheard=2, unheard=("Lisbon",), handoffs_right=False, early_handoffs=1, interruptions=1,
    words_cut=7, faults={"stt": 2, "tts": 1}, retried={"stt": 2, "tts": 1}, retries=3, fallbacks=1, dead_air=2.5,
    talk_over=0.4, asides=2, false_yields=1, aside_gaps=(0.55, 1.2), cost=0.03,
    cost_by={"intro stt": 0.01, "story llm": 0.02},
)  # fmt: skip
RESULTS = [
    Result("a", "maria", 1, CALL),
    Result("a", "maria", 2, replace(CALL, unheard=(), cost_by={"intro stt": 0.03}, fallbacks=0)),
]


@pytest.fixture(scope="module")
def figures() -> StackFigures:
    (one,) = summarise(RESULTS)
    return one


def test_a_stack_is_summarised(figures: StackFigures) -> None:
    assert (figures.names, figures.fallbacks, figures.interruptions, figures.words_cut) == (0.5, 1, 2, 14)
    assert figures.faults == figures.retried == {"stt": 4, "tts": 2} and figures.retries == 6
    assert (figures.early_handoffs, figures.handoffs) == (2, 0)
    assert figures.cost_by == {"intro stt": pytest.approx(0.02), "story llm": pytest.approx(0.01)}
    spreads = figures.first_word, figures.turn, figures.line, figures.duration, figures.aside_gap
    assert [one and round(one[50], 3) for one in spreads] == [0.9, 0.4, 0.1, 30.0, 0.875]


def test_a_model_alone_has_no_whole_call() -> None:
    (one,) = summarise([Result("stt=a", "maria", 1, replace(CALL, ended=""))])
    assert one.duration is None and not any("dead air" in line for line in terminal.details(one))


def test_names_are_those_that_the_callers_say(john: Scenario, chain: Chain) -> None:
    heard = told(events.UserTurn, 7.5, text="Sure, I'm Joan.")
    outcome = measured(replace(john, facts={"name": "John", "wish": "a bear"}), chain, heard, said=LINES, agent=ANSWERS)
    assert (outcome.names, outcome.unheard) == (1, ("John",))
    none, older = replace(CALL, names=0, unheard=()), replace(CALL, names=None, unheard=())
    assert [summarise([Result("a", "b", 1, one)])[0].names for one in (none, older)] == [None, 1.0]


def test_the_details_on_a_terminal(
    figures: StackFigures, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    prices = {"deepgram stt nova-3": {"units": {"audio_minute": 0.0048}, "source": "deepgram.com", "date": ""}}
    terminal.spreads([figures], prices=prices)
    shown = capsys.readouterr().out
    assert max(len(line) for line in shown.splitlines()) <= 80
    lines = " ".join(shown.split())
    for name, seen in terminal.times(figures):
        if seen is not None:
            assert f"{name} {seen.count} {seen[50] * 1000:.0f} " in lines
    assert "word errors 5%, voice not understood 4%, names heard 50%, facts right 100%" in lines
    assert "dead air 2.5 s at most, talk-over 0.40 s a call" in lines
    assert "faults: 4 stt, 2 tts; fallbacks: 1" in lines and "6 faults that the calls survived (4 stt, 2 tts)" in lines
    assert "intro stt $0.0200, story llm $0.0100" in lines and "a call $0.0300, a minute $0.0600" in lines
    assert "deepgram stt nova-3: audio_minute $0.0048 (deepgram.com, no date)" in lines
    assert "14 words cut where the agent was interrupted 2 times" in lines and "2 came too early" in lines


def test_a_line_of_data_has_the_figures_of_its_call() -> None:
    first, second = csv.DictReader(as_csv(RESULTS).splitlines())
    wanted = {
        "words": "20", "errors": "1", "names": "1", "spoken_words": "50", "misheard": "2", "facts": "1",
        "facts_right": "1", "names_unheard": "1", "handoffs_right": "False", "words_cut": "7", "cost": "0.03",
        "retried": "stt=2 tts=1",
        "duration": "30.0", "greeting": "1.1", "talk_over": "0.4", "dead_air": "2.5", "fallbacks": "1",
        "false_yields": "1", "first_word": "0.9",
    }  # fmt: skip
    assert {name: first[name] for name in wanted} == wanted
    assert second["names_unheard"] == "0"
