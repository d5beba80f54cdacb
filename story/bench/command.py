"""`story bench`: what its options mean."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from story import calls, emulating
from story.core.registry import DEFAULT_CHAIN
from story.plain import PlainCommand, PlainGroup

EXIT_FAILED = 1


class BenchGroup(PlainGroup):
    """Lets `--stacks A B C` take all words up to the next option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words: list[str] = []
        taking = False
        for word in args:
            if word == "--stacks":
                taking = True
                continue
            taking = taking and not word.startswith("-")
            words += ["--stacks", word] if taking else [word]
        return super().parse_args(ctx, words)


app = typer.Typer(
    cls=BenchGroup,
    help="Hold the same conversations with many stacks, and say which to pick.",
    invoke_without_command=True,
)

Run = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")]
Choices = Annotated[str | None, typer.Option(metavar="A,B,...", help="Models for this role, each with each other's.")]

CallerVoice = Annotated[
    str | None,
    typer.Option("--caller-voice", metavar="SPEC", help="The tts that speaks lines without a recording. [local]"),
]


Prices = Annotated[
    list[Path] | None, typer.Option("--prices", metavar="FILE", help="Prices that win over the known ones.")
]
MaxCost = Annotated[
    float | None, typer.Option("--max-cost", metavar="DOLLARS", min=0, help="Begin no call after that.")
]
MaxTime = Annotated[
    float | None, typer.Option("--max-time", metavar="SECONDS", min=0, help="Begin no call after that.")
]
Record = Annotated[bool, typer.Option("--record", help="Keep the sound of every call, or of a voice alone.")]
Retry = Annotated[int | None, typer.Option("--retry", min=0, help="Hold calls again that a vendor made fail. [0]")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, how long and how dear.")]


def add_commands(parent: typer.Typer) -> None:
    """Add the commands."""
    parent.add_typer(app, name="bench")


@app.callback()
def bench(
    ctx: typer.Context,
    *,
    stt: Choices = None,
    llm: Choices = None,
    tts: Choices = None,
    realtime: Annotated[
        str | None, typer.Option("--realtime", metavar="A,B,...", help="Realtime models, each a stack of its own.")
    ] = None,
    stacks: Annotated[
        list[str] | None, typer.Option("--stacks", metavar="SPEC...", help="Whole stacks, besides the product.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="ROLE=A,...", help="Leave these out. Repeatable.")
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option("--include", metavar="ROLE=A,...", help="Only these. Repeatable.")
    ] = None,
    matrix: Annotated[
        Path | None, typer.Option("--matrix", metavar="FILE", help="All of this from a TOML file; options win.")
    ] = None,
    scenario: Annotated[
        list[str] | None, typer.Option("--scenario", metavar="NAME", help="A caller, not all of them. Repeatable.")
    ] = None,
    scenarios: Annotated[
        list[Path] | None, typer.Option("--scenarios", metavar="PATH", help="Callers of your own: a file or folder.")
    ] = None,
    disturb: Annotated[
        list[str] | None,
        typer.Option("--disturb", metavar="SPEC", help="Each call once more, with noise=10, loss=5%, ... Repeatable."),
    ] = None,
    caller_voice: CallerVoice = None,
    transport: Annotated[
        str | None, typer.Option("--transport", metavar="process|web|livekit", help="What carries the calls. [process]")
    ] = None,
    chain: Annotated[
        str | None, typer.Option("--chain", metavar="NAME|FILE", help=f"The chain of personas. [{DEFAULT_CHAIN}]")
    ] = None,
    repetitions: Annotated[int | None, typer.Option("--repetitions", "-n", min=1, help="Of each call. [1]")] = None,
    warm_up: Annotated[int | None, typer.Option("--warm-up", min=0, help="Calls that don't count. [1]")] = None,
    concurrency: Annotated[int | None, typer.Option("--concurrency", min=1, help="Calls at a time.")] = None,
    max_duration: Annotated[
        float | None, typer.Option("--max-duration", metavar="SECONDS", min=1, help="Of a call. [120]")
    ] = None,
    max_cost: MaxCost = None,
    max_time: MaxTime = None,
    prices: Prices = None,
    record: Record = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where the results go.")] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Hold the calls that a run has no result of.")
    ] = None,
    retry: Retry = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: also those that failed.")
    ] = False,
    dry_run: DryRun = False,
    emulate: emulating.Emulate = False,
    brain: emulating.Brain = None,
    heard: emulating.Heard = None,
    speech: emulating.Speech = None,
    profile: emulating.Profile = None,
    fault: emulating.Fault = None,
    seed: emulating.Seed = None,
    env_file: calls.EnvFile = None,
    yes: calls.Yes = False,
) -> None:
    """Hold the same conversations with many stacks, and say which to pick."""
    if ctx.invoked_subcommand is not None:
        return
    from story.bench.running import Asked, hold_bench
    from story.workspace import usable

    emulated = _emulated(emulate, brain=brain, heard=heard, speech=speech, profile=profile, faults=fault)
    given = {
        "stt": stt, "llm": llm, "tts": tts, "realtime": realtime, "stacks": stacks, "exclude": exclude,
        "include": include, "scenarios": scenario, "places": scenarios, "chain": chain, "repetitions": repetitions,
        "warm_up": warm_up, "concurrency": concurrency, "max_duration": max_duration, "max_cost": max_cost,
        "max_time": max_time, "prices": prices, "record": record or None, "seed": seed, "disturb": disturb,
        "emulate": emulated, "caller_voice": caller_voice, "transport": transport, "retry": retry,
    }  # fmt: skip
    given = _said(given)
    if resume is not None and (given or matrix is not None or out is not None):
        raise typer.BadParameter("--resume takes all options from the run that it goes on with: leave out the others")
    if retry_failed and resume is None:
        raise typer.BadParameter("--retry-failed is for a run that is there: name it with --resume RUN")
    space = usable(ctx.obj, env_file)
    asked = Asked(space, given, matrix, out, resume, retry_failed, dry_run=dry_run, yes=yes)
    raise typer.Exit(hold_bench(asked))


def _emulated(emulate: bool, **options: Any) -> dict[str, Any] | None:
    """What was said of emulated vendors; None without them. Says which option wants --emulate."""
    calls.stand_ins_of(emulate, **options, seed=None)
    return _said(options) if emulate else None


def _said(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


Models = Annotated[str, typer.Argument(metavar="A,B,...", help="The models.")]
Names = Annotated[list[str] | None, typer.Option("--scenario", metavar="NAME", help="A caller, not all of them.")]
Places = Annotated[list[Path] | None, typer.Option("--scenarios", metavar="PATH", help="Callers of your own.")]
Repetitions = Annotated[int, typer.Option("--repetitions", "-n", min=1, help="Of each line.")]
WarmUp = Annotated[int, typer.Option("--warm-up", min=0, help="Lines that don't count.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FOLDER", help="Where the results go.")]


def _alone(role: str, about: str) -> None:
    """Add the command that looks at models of one role alone."""

    def command(
        ctx: typer.Context,
        models: Models,
        *,
        scenario: Names = None,
        scenarios: Places = None,
        caller_voice: CallerVoice = None,
        repetitions: Repetitions = 1,
        warm_up: WarmUp = 1,
        max_cost: MaxCost = None,
        max_time: MaxTime = None,
        prices: Prices = None,
        record: Record = False,
        out: Out = None,
        retry: Retry = None,
        dry_run: DryRun = False,
        emulate: emulating.Emulate = False,
        brain: emulating.Brain = None,
        heard: emulating.Heard = None,
        speech: emulating.Speech = None,
        profile: emulating.Profile = None,
        fault: emulating.Fault = None,
        seed: emulating.Seed = None,
        env_file: calls.EnvFile = None,
        yes: calls.Yes = False,
    ) -> None:
        from story.bench.running import Asked, hold_bench
        from story.workspace import usable

        if caller_voice is not None and role in ("llm", "tts"):
            raise typer.BadParameter(f"--caller-voice is for whoever hears the callers: {role} gets their words")
        if record and role != "tts":
            raise typer.BadParameter("--record keeps what a voice alone says: it is for tts")
        emulated = _emulated(emulate, brain=brain, heard=heard, speech=speech, profile=profile, faults=fault)
        given = {
            role: models, "scenarios": scenario, "places": scenarios, "repetitions": repetitions, "warm_up": warm_up,
            "seed": seed, "component": role, "concurrency": 1, "max_cost": max_cost, "max_time": max_time,
            "prices": prices, "retry": retry, "record": record or None, "emulate": emulated,
            "caller_voice": caller_voice,
        }  # fmt: skip
        asked = Asked(usable(ctx.obj, env_file), _said(given), out=out, dry_run=dry_run, yes=yes)
        raise typer.Exit(hold_bench(asked))

    command.__doc__ = about
    app.command(name=role, cls=PlainCommand)(command)


_alone("stt", "Give recognisers the callers' lines: how soon their words come, and how many are wrong.")
_alone("llm", "Give language models the callers' lines: how soon their first token comes.")
_alone("tts", "Have voices say the callers' lines: how soon their first sound comes.")
_alone("realtime", "Speak the callers' lines to realtime models: how soon they speak, and what they heard.")


ByScenario = Annotated[
    bool, typer.Option("--by-scenario", help="Each scenario of a stack by itself, and those with disturbances, too.")
]


@app.command(cls=PlainCommand)
def report(
    run: Run,
    *,
    by_scenario: ByScenario = False,
    spread: Annotated[bool, typer.Option("--spread", help="All figures of each stack, with ranges.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole run as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print a line for each turn.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page that works without a network.")
    ] = None,
) -> None:
    """Show the figures of a run."""
    from story.bench import export, terminal
    from story.bench.store import Results
    from story.bench.summary import harder, shown, summarise
    from story.bench.transports.choice import how_held

    with Results.open(run) as results:
        about, cells, folder = results.about, results.all(), results.folder
    figures = summarise(cells, by_scenario=by_scenario)
    apart = 0 if by_scenario else harder(cells)
    if html is not None:
        from story.bench.page import write_page

        write_page(html, about, figures, shown(cells, by_scenario=by_scenario), folder, apart=apart)
        left = f", but for {apart} harder calls, which --by-scenario adds" if apart else ""
        typer.echo(f"{html} has the report{left}", err=True)
    elif as_json:
        typer.echo(export.as_json(about, figures, cells))
    elif as_csv:
        typer.echo(export.as_csv(cells, how_held(about)), nl=False)
    elif spread:
        terminal.spreads(figures, how_held(about), about.get("prices"))
    else:
        terminal.figures(figures, how_held(about), apart)


@app.command(cls=PlainCommand)
def listen(
    ctx: typer.Context,
    run: Run,
    *,
    stt: Annotated[str, typer.Option("--stt", metavar="SPEC", help="The recogniser that listens.")] = "local",
    env_file: calls.EnvFile = None,
    yes: calls.Yes = False,
) -> None:
    """Have a recogniser listen to the recordings of a run: are its voices understood?"""
    from story.bench.listening import listen_to
    from story.workspace import usable

    listen_to(run, stt, usable(ctx.obj, env_file), yes=yes)


Limit = Annotated[str | None, typer.Option(metavar="LIMIT", help="At most so much, as in 1200ms, 5%.")]


@app.command(cls=PlainCommand)
def gate(
    run: Run,
    *,
    by_scenario: ByScenario = False,
    stack: Annotated[
        list[str] | None, typer.Option("--stack", metavar="SPEC", help="This stack alone. Repeatable.")
    ] = None,
    p50: Limit = None,
    p90: Limit = None,
    p95: Limit = None,
    p99: Limit = None,
    handoff: Limit = None,
    barge_in: Limit = None,
    wer: Limit = None,
    intelligibility: Limit = None,
    failures: Limit = None,
    facts: Annotated[str | None, typer.Option("--facts", metavar="LIMIT", help="At least so many right.")] = None,
    cost: Annotated[str | None, typer.Option("--cost", metavar="LIMIT", help="Dollars a minute, at most.")] = None,
) -> None:
    """Check the figures of a run against limits. Exits with 1 if a stack keeps one of them not."""
    from story.bench import terminal
    from story.bench.gate import judge, quantity
    from story.bench.store import Results
    from story.bench.summary import summarise
    from story.core.errors import ConfigError

    given = {
        "p50": p50, "p90": p90, "p95": p95, "p99": p99, "handoff": handoff, "barge_in": barge_in, "wer": wer,
        "intelligibility": intelligibility, "failures": failures, "facts": facts, "cost": cost,
    }  # fmt: skip
    limits = {name: quantity(text) for name, text in given.items() if text is not None}
    if not limits:
        raise typer.BadParameter("name a limit, as in --p95 1200ms")
    with Results.open(run) as results:
        cells = results.all()
    stacks = list(dict.fromkeys(cell.stack for cell in cells))
    for name in stack or ():
        if name not in stacks:
            raise ConfigError(f"{run} has no stack {name!r}; it has {', '.join(stacks)}")
    figures = summarise([cell for cell in cells if not stack or cell.stack in stack], by_scenario=by_scenario)
    if not figures:
        raise ConfigError(f"{run} has no finished call yet: go on with --resume {run}")
    verdicts = judge(figures, limits)
    terminal.verdicts(verdicts)
    raise typer.Exit(0 if all(one.passed for one in verdicts) else EXIT_FAILED)


@app.command(cls=PlainCommand)
def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="The folder of a run.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="The folder of another.")],
    *,
    by_scenario: ByScenario = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what differs between two runs, and whether it is more than chance."""
    import json
    from dataclasses import asdict

    from story.bench import terminal
    from story.bench.compare import compare, differing, left_out
    from story.bench.store import Results
    from story.bench.transports.choice import how_held

    with Results.open(before) as first, Results.open(after) as second:
        runs, abouts = (first.all(), second.all()), (first.about, second.about)
    changes = compare(*runs, by_scenario=by_scenario)
    held = how_held(abouts[0]), how_held(abouts[1])
    for name, alone in zip("AB", left_out(*runs), strict=True):
        if alone:
            typer.echo(f"left out, as only {name} has it: {', '.join(alone)}", err=True)
    for difference in differing(*abouts):
        typer.echo(difference, err=True)
    if as_json:
        typer.echo(json.dumps([{**asdict(one), "significant": one.significant} for one in changes]))
    else:
        terminal.changes(changes, *held)


@app.command(cls=PlainCommand)
def calibrate(ctx: typer.Context, run: Run) -> None:
    """Compare an emulated run with the vendors' own log: are the injected latencies found back?"""
    from story.bench import terminal
    from story.bench.calibration import calibrate as compared
    from story.bench.calibration import check_held, emulated_in
    from story.bench.store import Results
    from story.workspace import usable

    with Results.open(run) as results:
        about, cells = results.about, results.all()
    check_held(about)
    found = compared(cells, emulated_in(about, usable(ctx.obj).registry))
    terminal.calibration(found)
    raise typer.Exit(0 if found.holds else EXIT_FAILED)
