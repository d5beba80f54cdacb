"""How a run holds its calls: how many at a time, until when, and what is kept. The calls themselves are stand-ins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from story.bench.cell import Cell
from story.bench.outcome import FAILED, OK, Outcome, TurnFigures
from story.bench.prices import load_prices
from story.bench.request import Request
from story.bench.runner import Runner
from story.bench.scenarios import built_in
from story.bench.stand import Stand
from story.bench.store import Results, ResultsError
from story.core.errors import RecordingError
from story.core.plugins import load_plugins
from story.core.settings import Settings
from story.emulator.assemble import pretend_keys

VENDORS = "deepgram+gpt4o-mini+cartesia"
USAGE = {"intro": [{"type": "llm_usage", "model": "gpt-4o-mini", "input_tokens": 1_000_000}]}
"""15 cents."""

Holder = Callable[[Cell], Awaitable[Outcome]]


class Held:
    """Runs with calls that `each` stands in for. told: the lines of progress. cells: those that were held."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._monkeypatch = monkeypatch
        self.told: list[str] = []
        self.cells: list[Cell] = []

    async def run(self, each: Holder, *, emulated: bool = False, **request: Any) -> bool:
        async def hold(cell: Cell, *_: object, **__: object) -> Outcome:
            self.cells.append(cell)
            return await each(cell)

        self._monkeypatch.setattr("story.bench.runner.hold", hold)
        self._monkeypatch.setattr("story.bench.runner.STAGGER_SECONDS", 0.0)
        asked = Request(**{"stacks": (VENDORS,), "warm_up": 0, **request})
        settings = pretend_keys(Settings(env={"STORY_LOAD_PLUGINS": ""}))
        emulation: Any = object() if emulated else None
        stand = Stand(load_plugins(settings), settings, asked.chain, 60.0, emulation)
        there = (self._folder / "results.sqlite").exists()
        with Results.open(self._folder) if there else Results.create(self._folder, {}) as results:
            scenarios = {"maria": built_in()["maria"]}
            runner = Runner(asked, scenarios, stand, results, load_prices([]), self.told.append)
            runner.check()
            assert runner.unbuilt == {}
            return await runner.run()

    def kept(self) -> list[Outcome]:
        with Results.open(self._folder) as results:
            return [result.outcome for result in results.all()]

    def noted(self, name: str) -> object:
        with Results.open(self._folder) as results:
            return results.about.get(name)

    def lines(self, part: str) -> list[str]:
        return [line for line in self.told if part in line]


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(tmp_path, monkeypatch)


class Together:
    """Calls that end only once `count` are being held. lag: of each, by its number."""

    def __init__(self, count: int, lag: Callable[[int], float]) -> None:
        self._count = count
        self._lag = lag
        self._full = asyncio.Event()
        self._now = 0
        self.most = 0
        """At a time, since the first of them ended."""

    async def __call__(self, cell: Cell) -> Outcome:
        self._now += 1
        if self._full.is_set():
            self.most = max(self.most, self._now)
        if self._now == self._count:
            self._full.set()
        await self._full.wait()
        await asyncio.sleep(0)
        self._now -= 1
        return Outcome(OK, lag=self._lag(cell.repetition))


async def test_calls_that_hinder_one_another_are_fewer_from_then_on_and_a_burst_counts_once(held: Held) -> None:
    calls = Together(6, lambda number: 0.05 if number <= 6 else 0.0)
    assert await held.run(calls, emulated=True, repetitions=18)
    assert len(held.lines("this machine is busy (late by 50 ms): on with 5 calls at a time")) == 1
    assert len(held.lines("this machine is busy")) == 1 and held.noted("concurrency_lowered_to") == 5
    assert calls.most <= 5


async def test_calls_that_were_begun_since_are_judged_anew(held: Held) -> None:
    async def late(cell: Cell) -> Outcome:
        await asyncio.sleep(0)
        return Outcome(OK, lag=0.05)

    await held.run(late, emulated=True, repetitions=40, concurrency=3)
    assert [line[-17:] for line in held.lines("this machine is busy")] == ["2 calls at a time", "1 calls at a time"]


async def test_a_call_that_was_held_alone_says_nothing_of_others(held: Held) -> None:
    async def late(cell: Cell) -> Outcome:
        return Outcome(OK, lag=0.2 if cell.stack == "local" else 0.0)

    await held.run(late, emulated=True, stacks=("local", VENDORS), repetitions=3)
    assert held.lines("this machine is busy") == [] and held.noted("concurrency_lowered_to") is None


async def test_progress_has_the_figures_so_far(held: Held) -> None:
    async def call(cell: Cell) -> Outcome:
        turn = TurnFigures(1, 0.0, 1.0, 0.2 * cell.repetition)
        return Outcome(FAILED if cell.repetition == 2 else OK, "tts", "no sound", "finished", turns=(turn,), words=50)

    await held.run(call, emulated=True, repetitions=3, concurrency=1)
    assert held.told == [
        f"[1/3] {VENDORS} / maria / 1", "  answers after 200 ms, 0 of 50 words wrong; so far 1/1, p50 200 ms, WER 0.0%",
        f"[2/3] {VENDORS} / maria / 2", "  failed (tts): no sound; so far 1/2, p50 200 ms, WER 0.0%",
        f"[3/3] {VENDORS} / maria / 3", "  answers after 600 ms, 0 of 50 words wrong; so far 2/3, p50 400 ms, WER 0.0%",
    ]  # fmt: skip
    held.told.clear()
    await held.run(call, emulated=True, repetitions=4, concurrency=1)
    assert held.lines("so far 3/4, p50 600 ms") and all(len(line) <= 80 for line in held.told)


async def dear(cell: Cell) -> Outcome:
    return Outcome(OK, usage=USAGE)


async def test_no_call_begins_after_the_money_is_spent_also_once_it_goes_on(held: Held) -> None:
    assert not await held.run(dear, repetitions=5, max_cost=0.2)
    assert len(held.kept()) == 2
    assert held.lines("$0.30 of $0.20 are spent: 3 calls are not held")
    assert not await held.run(dear, repetitions=5, max_cost=0.2)
    assert len(held.kept()) == 2


async def test_warm_up_is_paid_for(held: Held) -> None:
    assert not await held.run(dear, warm_up=1, max_cost=0.1)
    assert held.kept() == [] and held.lines("$0.15 of $0.10 are spent: 1 calls are not held")


async def test_calls_that_are_held_again_are_paid_for(held: Held) -> None:
    async def failing(cell: Cell) -> Outcome:
        return Outcome(FAILED, "tts", usage=USAGE)

    await held.run(failing, retry=5, max_cost=0.4)
    assert len(held.cells) == 3
    await held.run(failing, repetitions=2, retry=5, max_cost=0.4)
    assert len(held.cells) == 3


async def test_emulated_vendors_cost_nothing(held: Held) -> None:
    for repetitions in (2, 4):
        assert await held.run(dear, emulated=True, repetitions=repetitions, max_cost=0.1)
    assert len(held.kept()) == 4


async def test_a_limit_on_costs_tells_of_models_without_a_price(held: Held) -> None:
    stack = "deepgram/none-such+gpt4o-mini+cartesia"

    async def unpriced(cell: Cell) -> Outcome:
        return Outcome(OK, usage={**USAGE, "story": [{"type": "stt_usage", "model": "other", "audio_duration": 1.0}]})

    await held.run(unpriced, stacks=(stack,), max_cost=1.0)
    assert held.lines("has no price")[0].startswith("deepgram/none-such has no price: --max-cost does not count it")
    assert held.told.index(held.lines("deepgram/none-such has no price")[0]) == 0, "before the first call"
    assert held.noted("spent") == 0.15


async def test_no_call_begins_after_the_time_is_over(held: Held) -> None:
    assert not await held.run(dear, repetitions=3, max_time=0.0)
    assert held.cells == [] and held.lines("the 0 s are over: 3 calls are not held")


async def test_a_recording_that_can_not_be_kept_ends_the_run_and_costs_no_call_that_has_ended(held: Held) -> None:
    begun = asyncio.Event()

    async def recorded(cell: Cell) -> Outcome:
        if cell.repetition == 3:
            begun.set()
        await begun.wait()
        if cell.repetition == 1:
            raise RecordingError("a.wav can't be written: No space left on device")
        return Outcome(OK)

    with pytest.raises(ResultsError, match=r"No space left on device: .* are kept, go on with: story bench --resume"):
        await held.run(recorded, emulated=True, repetitions=20, concurrency=3, record=True)
    assert len(held.kept()) == 2 and len(held.cells) == 3
