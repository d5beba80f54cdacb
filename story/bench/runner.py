"""Holds the calls of a run: several at a time where that changes no figure, each kept as soon as it has ended."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from statistics import median

from story.bench.cell import Cell, hold, planned
from story.bench.component import hold_component, planned_component
from story.bench.outcome import FAILED, OK, OUTSIDE, UNBUILT, Outcome
from story.bench.prices import Prices
from story.bench.request import Request, expected_cost
from story.bench.scenarios import Scenario, is_disturbed
from story.bench.stand import Stand
from story.bench.store import RECORDINGS, Result, Results, ResultsError
from story.bench.summary import LATE_SECONDS, latencies
from story.bench.transports.choice import PROCESS
from story.core.errors import RecordingError, StoryError
from story.core.plan import Plan
from story.core.redact import redact
from story.core.registry import Role

AT_ONCE, AT_ONCE_CONNECTED = 6, 2
"""Calls on one core of which livekit takes a sixth each, by default; both ends of a connection take as much again."""
STAGGER_SECONDS = 1.3
"""Between the beginnings of calls: those of one scenario would else all answer at the same moment, and be late."""

Tell = Callable[[str], None]
Key = tuple[str, str, int]
"""Of a cell."""
Done = Mapping[Key, Outcome]


def done_in(results: Results) -> Done:
    """What a run has."""
    return {result.key: result.outcome for result in results.all()}


@dataclass
class _Held:
    """A call that is being held. limit: of calls at a time, when it began. alone: nobody else has been held since."""

    cell: Cell
    limit: int
    alone: bool = True


@dataclass
class Runner:
    """plans: the stacks that can be built. unbuilt: those that can't, and why. tell: progress, line by line.
    retry_failed: hold the calls once more that failed before this run was taken up again."""

    request: Request
    scenarios: Mapping[str, Scenario]
    stand: Stand
    results: Results
    prices: Prices
    tell: Tell
    retry_failed: bool = False
    plans: dict[str, Plan] = field(default_factory=dict)
    unbuilt: dict[str, str] = field(default_factory=dict)
    _spent: float = 0.0
    _limit: int = 1
    _unpriced: set[str] = field(default_factory=set)
    _ended: dict[tuple[str, bool], dict[Key, Outcome]] = field(default_factory=dict)
    _next_start: float = 0.0

    def check(self) -> None:
        """See which stacks can be built here."""
        for stack in self.request.stacks:
            try:
                self.plans[stack] = self._planned(stack)
            except StoryError as error:
                self.leave_out(stack, error)

    def leave_out(self, stack: str, error: StoryError) -> None:
        """Have a stack be a row with the reason for which it can't be built."""
        self.plans.pop(stack, None)
        self.unbuilt[stack] = redact(" ".join(str(error).split()), self.stand.settings)

    def _planned(self, stack: str) -> Plan:
        role = self.request.component
        return planned(stack, self.stand) if role is None else planned_component(stack, Role(role), self.stand)

    @property
    def concurrency(self) -> int:
        """How many calls are held at a time, as asked or by default: one, or with emulated vendors several."""
        if self.request.concurrency is not None:
            return self.request.concurrency
        if self.stand.emulation is None:
            return 1
        return AT_ONCE if self.request.transport == PROCESS else AT_ONCE_CONNECTED

    def alone(self, stack: str) -> bool:
        """Whether calls of a stack have to be held alone: a model on this machine takes all of its cores."""
        plan = self.plans[stack]
        heavy = (Role.STT, Role.LLM, Role.TTS, Role.REALTIME, Role.TURN_DETECTOR)
        refs = [ref for one in plan.every_stack for ref in one.refs_for(plan.roles) if ref.role in heavy]
        stand_ins = self.request.stand_ins()
        takes_cores = stand_ins is not None and stand_ins.takes_cores
        return takes_cores or any(ref.provider == "local" for ref in refs)

    async def run(self) -> bool:
        """Hold all calls that have no result yet. Returns whether all of them have one now.

        Raises:
            ResultsError: a result can't be kept.
        """
        done = done_in(self.results)
        self._spent = self._spent_before(done)
        for key, outcome in done.items():
            self._count(Cell(*key), outcome)
        cells = self.wanted(done)
        for cell in [cell for cell in cells if cell.stack in self.unbuilt]:
            self._keep(cell, Outcome(UNBUILT, "stack", self.unbuilt[cell.stack]))
        for stack, why in self.unbuilt.items():
            self.tell(f"{stack} can't be built: {why}")
        waiting = [cell for cell in cells if cell.stack in self.plans]
        for stack in dict.fromkeys(cell.stack for cell in waiting):
            self._warn(expected_cost(self.plans[stack], self.scenarios.values(), self.prices)[1])
        if waiting:
            await self._warm_up(waiting[0])
        await self._hold_all(
            waiting, Counter({key: one.held_again + 1 for key, one in done.items() if one.status == FAILED})
        )
        return not self._missing(done_in(self.results))

    async def _hold_all(self, waiting: list[Cell], before: Counter[Key]) -> None:
        """before: how often calls have been held already, and failed."""
        self._limit = self.concurrency
        began, total = time.monotonic(), len(waiting)
        running: dict[asyncio.Task[Outcome], _Held] = {}
        again: Counter[Key] = Counter()
        try:
            while running or waiting:
                if waiting and (why := self._exhausted(began)):
                    self.tell(f"{why}: {len(waiting)} calls are not held")
                    waiting.clear()
                while waiting and self._may_start(waiting[0], running):
                    cell = waiting.pop(0)
                    running[asyncio.create_task(self._hold(cell))] = _Held(cell, self._limit)
                    for held in running.values():
                        held.alone = held.alone and len(running) == 1
                if not running:
                    break
                ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in sorted(ended, key=lambda task: task.exception() is not None):  # what can be kept first
                    held = running.pop(task)
                    cell = held.cell
                    outcome = self._priced(cell, task.result())
                    outcome = replace(outcome, held_again=before[cell.key] + again[cell.key])
                    self._keep(cell, outcome)
                    self.tell(f"[{total - len(waiting) - len(running)}/{total}] {cell.name}")
                    self.tell(f"  {_told(outcome)}; {self._so_far(cell)}")
                    self._slow_down(held, outcome)
                    if outcome.status == FAILED and outcome.kind in OUTSIDE and again[cell.key] < self.request.retry:
                        again[cell.key] += 1
                        waiting.append(cell)  # after all others: what is wrong may pass
                        total += 1
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    def wanted(self, done: Done) -> list[Cell]:
        """The cells that are to be held, now that others are done."""
        again = [key for key, one in done.items() if self.retry_failed and one.status == FAILED]
        return self._missing({key: one for key, one in done.items() if key not in again})

    def _missing(self, done: Done) -> list[Cell]:
        cells = self.request.cells(tuple(self.scenarios.values()))
        return [cell for cell in cells if not self._is_done(cell, done)]

    def _is_done(self, cell: Cell, done: Done) -> bool:
        """A cell whose stack could not be built is tried again where it can be by now."""
        outcome = done.get(cell.key)
        return outcome is not None and (outcome.status != UNBUILT or cell.stack in self.unbuilt)

    def _spent_before(self, done: Done) -> float:
        """Dollars, until this run was taken up again."""
        if self.stand.emulation is not None:
            return 0.0
        known: float | None = self.results.about.get("spent")
        return sum(sum(one.cost_by.values()) for one in done.values()) if known is None else known

    async def _warm_up(self, cell: Cell) -> None:
        """Calls that don't count: the first of a process pays for what is loaded and compiled once."""
        for number in range(self.request.warm_up):
            self.tell(f"warming up ({number + 1}/{self.request.warm_up})")
            first, scenario = replace(cell, repetition=0), self.scenarios[cell.scenario].beginning()
            if self.request.component is not None:
                outcome = await hold_component(first, Role(self.request.component), scenario, self.stand)
            else:
                outcome = await hold(first, scenario, self.stand)
            self._priced(first, outcome)

    async def _hold(self, cell: Cell) -> Outcome:
        scenario, recording = self.scenarios[cell.scenario], None
        try:
            if self.request.record:
                folder = self.results.folder / RECORDINGS
                folder.mkdir(exist_ok=True)
                number = self.request.stacks.index(cell.stack) + 1
                recording = folder / f"{number:02}-{cell.scenario}-{cell.repetition}.wav"
            if self.request.component is not None:
                role = Role(self.request.component)
                return await hold_component(cell, role, scenario, self.stand, recording=recording)
            await self._own_moment()
            return await hold(cell, scenario, self.stand, recording=recording)
        except (OSError, RecordingError) as error:  # so it would be with all that come after
            go_on = f"story bench --resume {self.results.folder}"
            raise ResultsError(f"{error}: the calls that had ended are kept, go on with: {go_on}") from None

    async def _own_moment(self) -> None:
        """Wait until no other call has just begun."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._next_start)
        self._next_start = start + STAGGER_SECONDS
        await asyncio.sleep(start - now)

    def _may_start(self, cell: Cell, running: Mapping[asyncio.Task[Outcome], _Held]) -> bool:
        if not running:
            return True
        if self.alone(cell.stack) or any(self.alone(other.cell.stack) for other in running.values()):
            return False
        return len(running) < self._limit

    def _slow_down(self, held: _Held, outcome: Outcome) -> None:
        """Hold fewer calls at a time if they hinder one another: as many as there are by now, since what was late
        before says nothing of those."""
        if outcome.lag <= LATE_SECONDS or held.alone or held.limit > self._limit or self._limit == 1:
            return
        self._limit -= 1
        self.tell(f"this machine is busy (late by {outcome.lag * 1000:.0f} ms): on with {self._limit} calls at a time")
        self.results.note("concurrency_lowered_to", self._limit)

    def _exhausted(self, began: float) -> str:
        """Why no further call may begin; empty where one may."""
        if self.request.max_cost is not None and self._spent >= self.request.max_cost:
            return f"${self._spent:.2f} of ${self.request.max_cost:.2f} are spent"
        if self.request.max_time is not None and time.monotonic() - began >= self.request.max_time:
            return f"the {self.request.max_time:g} s are over"
        return ""

    def _priced(self, cell: Cell, outcome: Outcome) -> Outcome:
        if not outcome.usage:
            return outcome
        cost = self.prices.cost(outcome.usage, self.plans[cell.stack].stacks)
        if self.stand.emulation is None:
            self._spent += sum(cost.by.values())
            self.results.note("spent", round(self._spent, 6))
        self._warn(cost.missing)
        known = self.results.about.get("prices", {})
        if (prices := known | {name: asdict(price) for name, price in cost.prices.items()}) != known:
            self.results.note("prices", prices)
        return replace(
            outcome, cost=cost.total, cost_by=dict(cost.by), assumed=bool(cost.assumed), unpriced=cost.missing
        )

    def _warn(self, unpriced: Iterable[str]) -> None:
        """Tell of models that no limit on the costs can count."""
        if self.request.max_cost is None or self.stand.emulation is not None:
            return
        for name in sorted(set(unpriced) - self._unpriced):
            self.tell(f"{name} has no price: --max-cost does not count it; give it one with --prices")
        self._unpriced.update(unpriced)

    def _keep(self, cell: Cell, outcome: Outcome) -> None:
        self.results.add(Result(*cell.key, outcome))
        self._count(cell, outcome)

    def _count(self, cell: Cell, outcome: Outcome) -> None:
        self._alike(cell)[cell.key] = outcome

    def _alike(self, cell: Cell) -> dict[Key, Outcome]:
        """The calls so far with the same stack, whether made harder or not."""
        return self._ended.setdefault((cell.stack, is_disturbed(cell.scenario)), {})

    def _so_far(self, cell: Cell) -> str:
        """The figures of a call's stack so far: medians alone, as ranges would take time from calls that are held."""
        held = self._alike(cell).values()
        ok = [one for one in held if one.status == OK]
        waits = [wait for waits in latencies(ok) for wait in waits]
        words = sum(one.words for one in ok)
        told = [f"so far {len(ok)}/{len(held)}"]
        told += [f"p50 {median(waits) * 1000:.0f} ms"] if waits else []
        told += [f"WER {sum(one.errors for one in ok) / words * 100:.1f}%"] if words else []
        return ", ".join(told)


def _told(outcome: Outcome) -> str:
    """A call in a few words."""
    if outcome.status == FAILED:
        return f"failed ({outcome.kind}): {outcome.reason}"
    if outcome.status == UNBUILT:
        return outcome.reason
    waits = sorted(turn.latency for turn in outcome.turns if turn.latency is not None)
    middle = f"answers after {waits[len(waits) // 2] * 1000:.0f} ms" if waits else "no answer"
    if not outcome.ended:  # no call, but a model alone
        return f"{middle}, {outcome.duration:.0f} s"
    return f"{middle}, {outcome.errors} of {outcome.words} words wrong"
