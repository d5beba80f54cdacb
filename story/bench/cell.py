"""One cell of a benchmark: one call of one stack with one scenario, held in this process and measured."""

from __future__ import annotations

import asyncio
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from story.bench.conversation import conversation, with_words
from story.bench.ear import (
    PAUSE_SECONDS,
    YIELD_SECONDS,
    dead_air,
    heard,
    silence_at,
    stretches,
    talk_over,
)
from story.bench.handing_over import early_handoffs, handoff_gaps
from story.bench.log import VendorLog
from story.bench.marks import Marks, parts
from story.bench.outcome import FAILED, OK, UNBUILT, UNFINISHED, Outcome, TurnFigures
from story.bench.scenarios import Scenario
from story.bench.transports.caller import calling
from story.bench.transports.connection import NotConnected
from story.bench.words import missing, same, there, word_errors, words
from story.core import events
from story.core.errors import RecordingError, StoryError
from story.core.launch import hold_call
from story.core.plan import Plan, find_chain, plan_call
from story.core.redact import redact

if TYPE_CHECKING:
    from story.bench.caller import BenchCaller
    from story.bench.ear import Heard
    from story.bench.stand import Stand
    from story.core.personas import Chain

DEADLINE_SECONDS = 45.0
"""After its time limit a call that has not ended yet is given up."""
BROKEN_OFF_SECONDS = 4.0
"""After an "mm-hm" has begun, in which an agent that is broken off is so because of it."""


@dataclass(frozen=True)
class Cell:
    """stack: a spec. repetition: from 1; 0 is warm-up."""

    stack: str
    scenario: str
    repetition: int

    @property
    def key(self) -> tuple[str, str, int]:
        """That of its result."""
        return self.stack, self.scenario, self.repetition

    @property
    def name(self) -> str:
        return f"{self.stack} / {self.scenario} / {self.repetition}"

    def seed(self, seed: int) -> int:
        """The same for every stack: they are compared under the same drawn latencies."""
        return zlib.crc32(f"{seed}/{self.scenario}/{self.repetition}".encode())


def planned(stack: str, stand: Stand) -> Plan:
    """A call of `stack` for every persona. Raises StoryError where it can't be held here."""
    _, chain = find_chain(stand.chain, stand.registry)
    stacks = dict.fromkeys(chain.personas, stack)
    return plan_call(stand.registry, stand.settings, chain=stand.chain, stacks=stacks)


async def hold(cell: Cell, scenario: Scenario, stand: Stand, *, recording: Path | None = None) -> Outcome:
    """Hold the call. Whatever goes wrong in it is the outcome of this cell and of no other.

    Raises:
        RecordingError: its sound can't be kept.
    """
    marks = Marks()
    try:
        plan = planned(cell.stack, stand)
        caller = calling(scenario, stand.connect, out=recording, on_attached=marks.attached, seed=cell.seed(stand.seed))
    except RecordingError:
        raise
    except StoryError as error:
        return Outcome(UNBUILT, "stack", redact(str(error), stand.settings))
    try:
        async with (
            asyncio.timeout(stand.max_duration + DEADLINE_SECONDS),
            stand.vendors(cell) as vendors,
            _lag() as lag,
        ):
            ended = await hold_call(
                plan,
                caller,
                stand.plugins,
                vendors.settings,
                observers=[marks],
                max_duration=stand.max_duration,
            )
    except TimeoutError:
        return Outcome(FAILED, "deadline", f"the call had not ended after {stand.max_duration + DEADLINE_SECONDS:g} s")
    except RecordingError:
        raise
    except NotConnected as error:
        return Outcome(FAILED, "transport", redact(str(error), stand.settings))
    except StoryError as error:
        status = FAILED if marks.told else UNBUILT
        return Outcome(status, "stack", redact(str(error), stand.settings))
    except Exception as error:
        return Outcome(FAILED, "crash", redact(f"{type(error).__name__}: {error}", stand.settings))
    name = recording.name if recording is not None else ""
    return measured(scenario, ended, caller, marks, vendors.log, chain=plan.chain, lag=lag.late, recording=name)


def measured(
    scenario: Scenario,
    ended: events.CallEnded,
    caller: BenchCaller,
    marks: Marks,
    log: VendorLog | None,
    *,
    chain: Chain,
    lag: float,
    recording: str,
) -> Outcome:
    """The figures of a call that was held."""
    began = caller.began
    sound = stretches(caller.agent, gap=PAUSE_SECONDS)
    gaps = dict(handoff_gaps(marks, caller.said, caller.agent, began))
    limits = [line.onset for line in caller.said[1:]] + [float("inf")]
    turns = tuple(
        _turn(one, marks, log, began, before=limit, handoff=one.said.number in gaps)
        for one, limit in zip(heard(caller.said, caller.agent), limits, strict=True)
    )
    said = " ".join(line.text for line in scenario.lines[: len(caller.said)])
    text = " ".join(event.text for _, event in marks.of(events.UserTurn))
    errors = word_errors(said, text)
    names = there(scenario.facts.values(), said)  # only what is said as it is can be heard rightly or wrongly
    faults = [fault for _, fault in marks.of(events.CallFault)]
    retried = Counter(fault.where for fault in faults if fault.recoverable)
    broken_off = [event for _, event in marks.of(events.AgentTurn) if event.interrupted]
    asides = [_aside(marks, caller, aside) for aside in caller.asides]
    words_of = conversation(caller.said, marks, began)
    status, kind, reason = _verdict(scenario, ended, caller, marks)
    handoffs = tuple((event.from_, event.to) for _, event in marks.of(events.Handoff))
    early = early_handoffs(marks, caller.said, scenario, chain, began)
    return Outcome(
        status,
        kind,
        reason,
        ended=ended.reason,
        duration=ended.duration,
        greeting=sound[0].start if sound else None,
        turns=with_words(turns, scenario.lines, words_of),
        handoff_gaps=tuple(gap for gap in gaps.values() if gap is not None),
        words=errors.said,
        errors=errors.errors,
        heard=text,
        spoken=" ".join(event.text for _, event in marks.of(events.AgentTurn) if event.text),
        opening=words_of[0].reply,
        names=len(names),
        unheard=tuple(missing(names, text)),
        facts={name: same(ended.data.get(name, ""), wanted) for name, wanted in scenario.facts.items()},
        handoffs_right=None if scenario.handoffs is None else handoffs == scenario.handoffs and not early,
        early_handoffs=early,
        interruptions=len(broken_off),
        words_cut=sum(len(words(event.unheard)) for event in broken_off),
        faults=dict(Counter(fault.where for fault in faults)),
        retried=dict(retried),
        retries=retried.total(),
        fallbacks=len(marks.of(events.Fallback)),
        dead_air=dead_air(caller.caller, caller.agent),
        talk_over=talk_over(caller.caller, caller.agent),
        lag=lag,
        asides=len(caller.asides),
        false_yields=sum(aside.yielded for aside in asides),
        aside_gaps=tuple(round(aside.gap, 4) for aside in asides if aside.gap is not None),
        usage=ended.usage,
        recording=recording,
    )


@dataclass(frozen=True)
class _Aside:
    """What an agent did at an "mm-hm". gap: for how long it was silent, None where it said no more."""

    gap: float | None
    yielded: bool


def _aside(marks: Marks, caller: BenchCaller, at: float) -> _Aside:
    """at: when it began, seconds since the line did."""
    until = min((line.onset for line in caller.said if line.onset > at), default=float("inf"))
    gap = silence_at(at, caller.agent, until)
    broken_off = any(
        event.interrupted and at <= told - caller.began <= min(at + BROKEN_OFF_SECONDS, until)
        for told, event in marks.of(events.AgentTurn)
    )
    return _Aside(gap, broken_off or (gap is not None and gap > YIELD_SECONDS))


def _verdict(scenario: Scenario, ended: events.CallEnded, caller: BenchCaller, marks: Marks) -> tuple[str, str, str]:
    """status, kind and reason."""
    fatal = [fault for _, fault in marks.of(events.CallFault) if not fault.recoverable]
    if ended.reason in ("error", "lost"):
        fault = fatal[-1] if fatal else None
        return FAILED, fault.where if fault else ended.reason, fault.message if fault else f"ended: {ended.reason}"
    unanswered = next((line.number for line in caller.said if not line.answered), None)
    if unanswered is not None:
        before = "the greeting" if unanswered == 1 else f"line {unanswered - 1}"
        return FAILED, "unanswered", f"nothing came after {before}"
    if scenario.disturbance.change_of_mind and len(caller.said) < len(scenario.lines) and ended.reason == "finished":
        return FAILED, UNFINISHED, "the agent ended the call, though the caller had changed their mind"
    wanted = ("caller_left", "finished") if scenario.hangs_up else ("finished",)
    if ended.reason not in wanted:
        return FAILED, UNFINISHED, f"the call ended because of {ended.reason}, not because it was finished"
    return OK, "", ""


def _turn(
    one: Heard, marks: Marks, log: VendorLog | None, began: float, *, before: float, handoff: bool
) -> TurnFigures:
    """before: the caller's next line."""
    led = parts(one, marks, began)
    figures: dict[str, Any] = {}
    if led is not None:
        figures = {"final": _rounded(led.final), "turn": _rounded(led.turn)}
        word = marks.first_word(began + one.said.end, began + before)
        if word is not None and one.answer is not None:  # over a transport a word is told before it is heard
            figures["first_word"] = _rounded(max(word - began, one.answer) - one.said.end)
        for role, asked in (("llm", led.llm), ("tts", led.tts), ("realtime", led.realtime)):
            figures[role] = None if asked is None else _rounded(asked.first - asked.start)
    return TurnFigures(
        number=one.said.number,
        onset=round(one.said.onset, 3),
        end=round(one.said.end, 3),
        latency=_rounded(one.latency),
        barged=one.said.barged,
        broke_in=one.broke_in,
        premature=one.premature,
        answered=one.said.answered,
        stopped=None if one.stopped is None or not one.said.barged else _rounded(one.stopped - one.said.onset),
        handoff=handoff,
        stages={} if led is None else led.stages.as_dict(),
        log={} if led is None or log is None else log.stages(led, began + one.said.end, began + (one.answer or 0.0)),
        **figures,
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


@dataclass
class _Lag:
    """late: by how many seconds the event loop was late, 95th percentile."""

    late: float = 0.0


@asynccontextmanager
async def _lag() -> AsyncIterator[_Lag]:
    """Within the block it is watched how late the event loop is."""
    lag, seen = _Lag(), [0.0]
    loop = asyncio.get_running_loop()

    async def watch() -> None:
        while True:
            due = loop.time() + 0.05
            await asyncio.sleep(0.05)
            seen.append(loop.time() - due)

    watching = asyncio.create_task(watch())
    try:
        yield lag
    finally:
        watching.cancel()
        seen.sort()
        lag.late = round(seen[int(len(seen) * 0.95)] if len(seen) > 1 else 0.0, 4)
