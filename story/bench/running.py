"""A run from its options to its results: what is asked, what it would take, and the calls themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from story.bench import terminal
from story.bench.asked import request_of
from story.bench.compare import differing
from story.bench.disturbance import disturbance_of
from story.bench.prices import load_prices
from story.bench.request import Request, expected_cost, expected_seconds, machine
from story.bench.runner import Done, Runner, done_in
from story.bench.scenarios import Scenario, choose
from story.bench.speaking import SpeakingError, speak, spoken, unspoken, voices
from story.bench.stand import Stand
from story.bench.store import Results
from story.bench.summary import harder, summarise
from story.bench.transports.choice import PROCESS, check_transport, connections, how_held, told
from story.core.errors import ConfigError, StoryError
from story.core.plan import Plan
from story.core.registry import Role
from story.emulator.assemble import TONES, is_emulated
from story.fetching import fetch, fetch_stand_ins
from story.logs import logged
from story.transports.interrupts import stopped_as_interrupted
from story.wanted import Wanted

if TYPE_CHECKING:
    from story.workspace import Workspace

Result = TypeVar("Result")

EXIT_ALL_FAILED = 1
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Asked:
    """What the command line says. options: those given, by the names of `asked.request_of`."""

    space: Workspace
    options: Mapping[str, Any]
    matrix: Path | None = None
    out: Path | None = None
    resume: Path | None = None
    retry_failed: bool = False
    dry_run: bool = False
    yes: bool = False


def hold_bench(asked: Asked) -> int:
    """Do what is asked; returns the exit code. Raises StoryError."""
    with ExitStack() as closing:
        results: Results | None = None
        if asked.resume is not None:
            results = closing.enter_context(Results.open(asked.resume))
            request = Request.from_dict(results.about["request"])
        else:
            request = request_of(asked.options, asked.matrix)
        plain = choose(request.scenarios, [Path(place) for place in request.places])
        worse = [disturbance_of(text) for text in request.disturb]
        scenarios = (*plain, *(scenario.disturbed(one, request.seed) for one in worse for scenario in plain))
        prices = load_prices([Path(path) for path in request.prices], asked.space.registry.prices)
        stand = _stand(asked.space, request)
        check_transport(request.transport, stand.settings)
        speaking = voices(scenarios, request.caller_voice, stand) if _heard(request) else {}
        _check_understandable(speaking, request)
        runner = Runner(request, _by_name(scenarios), stand, results, prices, _tell, asked.retry_failed)  # type: ignore[arg-type]
        runner.check()
        if asked.dry_run:
            return _tell_plan(runner, {} if results is None else done_in(results))
        if results is None:
            folder = asked.out or Path(f"bench-{datetime.now():%Y%m%d-%H%M%S}")
            about = {"request": request.as_dict(), "machine": machine()}
            results = closing.enter_context(Results.create(folder, about))
        closing.enter_context(results.locked())
        if asked.resume is not None:
            _note_machine(results)
        closing.enter_context(stopped_as_interrupted())
        if speaking:
            try:
                scenarios = _spoken(scenarios, speaking, asked, request, results.folder)
            except KeyboardInterrupt:
                _tell(f"stopped before the first call; go on with: story bench --resume {results.folder}")
                return EXIT_INTERRUPTED
        coded = request.transport != PROCESS
        if (request.emulate or {}).get("heard") is None:
            runner.stand = stand.knowing(scenarios, coded=coded)
        runner.results, runner.scenarios = results, _by_name(scenarios)
        _fetch(runner, yes=asked.yes)
        return _run(runner)


def _note_machine(results: Results) -> None:
    """Keep where and with what a run is gone on with, if it is not as before."""
    about, now = results.about, machine()
    resumed = about.get("resumed", [])
    last = [about.get("machine", {}), *resumed][-1]
    if changed := differing({"machine": last}, {"machine": now}, ("before", "now")):
        _tell(f"this run began under other conditions: {'; '.join(changed)}")
        results.note("resumed", [*resumed, now])


def _by_name(scenarios: Sequence[Scenario]) -> dict[str, Scenario]:
    return {one.name: one for one in scenarios}


def _fetch(runner: Runner, *, yes: bool) -> None:
    """Fetch what is needed on this machine; a stack for which that can't be had is left out."""
    stand, stand_ins = runner.stand, runner.request.stand_ins()
    if stand_ins is not None:
        fetch_stand_ins(stand_ins, stand.plugins, stand.settings, yes=yes)
    for stack, plan in list(runner.plans.items()):
        try:
            fetch(plan, None, stand.plugins, stand.settings, yes=yes)
        except StoryError as error:
            runner.leave_out(stack, error)


def _heard(request: Request) -> bool:
    """Whether anybody listens to the callers: a language model or a voice alone is given their words."""
    return request.component not in (Role.LLM, Role.TTS)


def _check_understandable(speaking: Mapping[str, Plan], request: Request) -> None:
    """Raise ConfigError for a caller who would hum."""
    options = request.stand_ins()
    if options is None or options.speech != TONES:
        return
    for voice, plan in speaking.items():
        if is_emulated(plan.stacks[""], plan.roles):
            raise ConfigError(f"{voice} is emulated, and hums: add --speech local, or take --caller-voice local")


def _spoken(
    scenarios: Sequence[Scenario], voices: Mapping[str, Plan], asked: Asked, request: Request, folder: Path
) -> tuple[Scenario, ...]:
    """The scenarios with the sound of all lines: what the run has not got yet is spoken now, before any call. The
    vendors that may be emulated for it are others than those of the calls."""
    stand = _stand(asked.space, request)
    missing = unspoken(spoken(scenarios, request.caller_voice, folder), request.caller_voice)
    if missing:
        for voice in missing:
            fetch(voices[voice], None, stand.plugins, stand.settings, yes=asked.yes)
            _tell(f"{voice} speaks {len(missing[voice])} lines of the callers")
        with stand.settings.exported(), logged(stand.settings):
            try:
                asyncio.run(_to_the_end(speak(missing, voices, stand, folder), stand))
            except SpeakingError as error:
                raise SpeakingError(f"{error}; go on with: story bench --resume {folder}") from None
    return spoken(scenarios, request.caller_voice, folder)


def _run(runner: Runner) -> int:
    results, stand = runner.results, runner.stand
    go_on = f"go on with: story bench --resume {results.folder}"
    try:
        with stand.settings.exported(), logged(stand.settings):
            whole = asyncio.run(_to_the_end(_held(runner), stand))
    except KeyboardInterrupt:
        _tell(f"stopped; the {len(results.all())} calls that had ended are kept, {go_on}")
        return EXIT_INTERRUPTED
    cells = results.all()
    figures = summarise(cells)
    terminal.figures(figures, how_held(results.about), harder(cells))
    _tell(f"\nthe results are in {results.folder}; more: story bench report {results.folder} --html report.html")
    if not whole:
        _tell(go_on)
    return 0 if any(one.ok for one in figures) else EXIT_ALL_FAILED


async def _held(runner: Runner) -> bool:
    """Hold the calls. Returns whether all of them have a result now."""
    async with connections(runner.request.transport, runner.stand.settings) as connect:
        runner.stand = replace(runner.stand, connect=connect)
        return await runner.run()


async def _to_the_end(work: Coroutine[Any, Any, Result], stand: Stand) -> Result:
    try:
        return await work
    finally:
        await stand.aclose()


def _stand(space: Workspace, request: Request) -> Stand:
    wanted = Wanted.of(space, request.chain, {}, request.stand_ins())
    return Stand(wanted.plugins, wanted.settings, wanted.chain, request.max_duration, wanted.emulation, request.seed)


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _tell_plan(runner: Runner, done: Done) -> int:
    """What would be done, how long it takes and what it costs, by what calls of the storyteller took. done: what is
    there already."""
    request, stand = runner.request, runner.stand
    seconds, dollars, left, unknown = 0.0, 0.0, 0, set[str]()
    wanted = runner.wanted(done)
    for stack in request.stacks:
        if stack in runner.unbuilt:
            typer.echo(f"{stack}: can't be built: {runner.unbuilt[stack]}")
            continue
        plan = runner.plans[stack]
        callers = [runner.scenarios[cell.scenario] for cell in wanted if cell.stack == stack]
        money, missing = expected_cost(plan, callers, runner.prices)
        typer.echo(f"{stack}: {terminal.dollars(money)}")
        unknown |= missing
        seconds += sum(expected_seconds(one, request.component) for one in callers) / (
            1 if runner.alone(stack) else runner.concurrency
        )
        dollars += money
        left += len(callers)
    calls = len(runner.plans) * len(runner.scenarios) * request.repetitions
    how = "" if request.component else f", {told(request.transport)}"
    held = f"{request.repetitions} times with {', '.join(runner.scenarios)}{how}"
    there = f"; {calls - left} of them are there already" if done else ""
    typer.echo(f"\n{calls} calls: {len(runner.plans)} stacks, {held}{there}")
    real = "" if stand.emulation is None else ", if the vendors were real ones: nothing, as they are emulated"
    typer.echo(
        f"about {seconds / 60:.0f} min, {runner.concurrency} calls at a time; about {terminal.dollars(dollars)}{real}"
    )
    if unknown:
        typer.echo(f"without a price: {', '.join(sorted(unknown))}; give them one with --prices")
    return 0
