"""`story talk` and `story call`: what the options of a call mean."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from story import emulating
from story.core.registry import DEFAULT_CHAIN
from story.plain import PlainCommand

if TYPE_CHECKING:
    from story.core.call import Observer
    from story.core.events import CallEnded, Event
    from story.core.personas import Chain
    from story.core.transport import Transport
    from story.emulator.assemble import Options
    from story.transports.screen import Screen
    from story.workspace import Workspace

FAILED = ("error", "lost")
"""Reasons of a call's end that the user did not have in mind."""

ChainName = Annotated[str, typer.Option("--chain", metavar="NAME|FILE", help="The chain of personas.")]
IntroStack = Annotated[str | None, typer.Option("--intro-stack", metavar="SPEC", help="The stack of persona intro.")]
StoryStack = Annotated[str | None, typer.Option("--story-stack", metavar="SPEC", help="The stack of persona story.")]
Stacks = Annotated[
    list[str] | None, typer.Option("--stack", metavar="PERSONA=SPEC", help="A persona's stack. Repeatable.")
]
EnvFile = Annotated[Path | None, typer.Option("--env-file", metavar="FILE", help="Read keys from FILE, not .env.")]


def _finite(seconds: float | None) -> float | None:
    if seconds is not None and not math.isfinite(seconds):
        raise typer.BadParameter("name a number of seconds, or leave it out for no limit")
    return seconds


MaxDuration = Annotated[
    float | None,
    typer.Option(
        "--max-duration", metavar="SECONDS", min=0.1, callback=_finite, help="End the call after so many seconds."
    ),
]
Records = Annotated[Path | None, typer.Option("--record", metavar="FOLDER", help="Keep the record of the call there.")]
Json = Annotated[bool, typer.Option("--json", help="Print the call's events, one JSON object a line.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Fetch missing models without asking.")]


def add_commands(app: typer.Typer) -> None:
    """Add the commands that hold a call."""
    app.command(cls=PlainCommand)(talk)
    app.command(cls=PlainCommand)(call)


def talk(
    ctx: typer.Context,
    *,
    say: Annotated[
        list[str] | None, typer.Option("--say", metavar="TEXT", help="Say this, not what is typed. Repeatable.")
    ] = None,
    voice: Annotated[bool, typer.Option("--voice", help="Speak: microphone and loudspeaker.")] = False,
    chain: ChainName = DEFAULT_CHAIN,
    intro_stack: IntroStack = None,
    story_stack: StoryStack = None,
    stack: Stacks = None,
    env_file: EnvFile = None,
    max_duration: MaxDuration = None,
    record: Records = None,
    emulate: emulating.Emulate = False,
    brain: emulating.Brain = None,
    heard: emulating.Heard = None,
    speech: emulating.Speech = None,
    profile: emulating.Profile = None,
    fault: emulating.Fault = None,
    seed: emulating.Seed = None,
    as_json: Json = False,
    yes: Yes = False,
) -> None:
    """Talk to the personas of a chain here in the terminal, typed or with --voice."""
    if voice and say:
        raise typer.BadParameter("--say is for text: leave out --voice, or give recordings to `story call`")

    if say and not all(turn.strip() for turn in say):
        raise typer.BadParameter("--say is empty: give it the words of a turn")
    screen = None if as_json else _screen(prompts=not say and not voice)

    def carrier() -> Transport:
        if voice:
            from story.transports.devices import DeviceTransport

            return DeviceTransport(screen=screen)
        from story.transports.terminal import TerminalTransport

        return TerminalTransport(screen=screen, say=[_readable(turn) for turn in say] if say else None)

    def tell_end(event: Event) -> None:
        from story.core.events import CallEnded
        from story.transcript import told_end

        if screen and isinstance(event, CallEnded):
            screen.notice(told_end(event))

    stacks = stacks_of(stack, intro=intro_stack, story=story_stack)
    stand_ins = stand_ins_of(emulate, brain=brain, heard=heard, speech=speech, profile=profile, faults=fault, seed=seed)
    request = Request(ctx.obj, chain, stacks, env_file, max_duration, record, as_json, yes, stand_ins)
    ended = request.hold(carrier, lambda _: tell_end, audio=voice)
    raise typer.Exit(1 if ended.reason in FAILED else 0)


def call(
    ctx: typer.Context,
    turns: Annotated[list[Path], typer.Argument(metavar="TURN.wav", help="What the caller says, a file a turn.")],
    *,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Record the call (left: caller, right: agent).")
    ] = None,
    barge_in: Annotated[
        list[str] | None,
        typer.Option("--barge-in", metavar="TURN:SECONDS", help="Break into the agent's speech. Repeatable."),
    ] = None,
    chain: ChainName = DEFAULT_CHAIN,
    intro_stack: IntroStack = None,
    story_stack: StoryStack = None,
    stack: Stacks = None,
    env_file: EnvFile = None,
    max_duration: MaxDuration = None,
    record: Records = None,
    emulate: emulating.Emulate = False,
    brain: emulating.Brain = None,
    heard: emulating.Heard = None,
    speech: emulating.Speech = None,
    profile: emulating.Profile = None,
    fault: emulating.Fault = None,
    seed: emulating.Seed = None,
    as_json: Json = False,
    yes: Yes = False,
) -> None:
    """Hold a whole call with recorded caller turns, in real time. Exits with 0 if the chain reached its end."""

    barge_ins = _barge_ins(barge_in)

    def carrier() -> Transport:
        from story.transports.file import FileTransport

        return FileTransport(turns, out=out, barge_in=barge_ins)

    stacks = stacks_of(stack, intro=intro_stack, story=story_stack)

    def transcript(chain: Chain) -> Observer:
        from story.transcript import Transcript

        return Transcript(chain)

    stand_ins = stand_ins_of(emulate, brain=brain, heard=heard, speech=speech, profile=profile, faults=fault, seed=seed)
    request = Request(ctx.obj, chain, stacks, env_file, max_duration, record, as_json, yes, stand_ins)
    ended = request.hold(carrier, transcript, audio=True)
    raise typer.Exit(0 if ended.reason == "finished" else 1)


def _readable(argument: str) -> str:
    """An argument whose bytes are not all in the terminal's encoding, with marks in place of those that are not."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def stacks_of(assignments: list[str] | None, *, intro: str | None, story: str | None) -> dict[str, str]:
    """persona -> spec, from --stack PERSONA=SPEC and the options with a persona in their name."""
    stacks: dict[str, str] = {}
    for assignment in assignments or ():
        persona, equals, spec = assignment.partition("=")
        if not equals or not persona.strip() or not spec.strip():
            raise typer.BadParameter(f"--stack {assignment!r}: write PERSONA=SPEC, as in --stack story=openai-realtime")
        if persona.strip() in stacks:
            raise typer.BadParameter(f"--stack gives the persona {persona.strip()} two stacks")
        stacks[persona.strip()] = spec.strip()
    for persona, given in (("intro", intro), ("story", story)):
        if given is None:
            continue
        if persona in stacks:
            raise typer.BadParameter(f"--stack and --{persona}-stack both give the persona {persona} a stack")
        stacks[persona] = given
    return stacks


def _barge_ins(given: list[str] | None) -> dict[int, float]:
    """turn number -> seconds into the agent's speech."""
    barge_ins: dict[int, float] = {}
    for text in given or ():
        turn, _, seconds = text.partition(":")
        try:
            number, after = int(turn), float(seconds)
        except ValueError:
            number, after = 0, math.nan
        if not math.isfinite(after):
            raise typer.BadParameter(f"--barge-in {text!r}: write TURN:SECONDS, as in --barge-in 2:1.5")
        if number in barge_ins:
            raise typer.BadParameter(f"--barge-in is given twice for turn {number}")
        barge_ins[number] = after
    return barge_ins


def stand_ins_of(emulate: bool, **options: Any) -> Options | None:
    """How vendors are emulated, None where they are not."""
    if emulate:
        return emulating.options_of(**options)
    for name, value in options.items():
        if value is not None:
            option = name.removesuffix("s")
            raise typer.BadParameter(f"--{option} is for emulated vendors: add --emulate, or leave it out")
    return None


@dataclass(frozen=True)
class Request:
    """The options that every call has. stand_ins: how vendors are emulated, None where they are not."""

    workspace: Workspace
    chain: str
    stacks: Mapping[str, str]
    env_file: Path | None
    max_duration: float | None
    records: Path | None
    as_json: bool
    yes: bool
    stand_ins: Options | None = None

    def hold(
        self, carrier: Callable[[], Transport], observer: Callable[[Chain], Observer], *, audio: bool
    ) -> CallEnded:
        """Plan the call, fetch what it needs, hold it over the transport that `carrier` makes.

        What `observer` makes shows the call to the user, unless they asked for JSON.
        """
        import asyncio

        from story.core.records import check_folder
        from story.logs import logged
        from story.output import watched_output, while_it_can_be_written
        from story.wanted import Wanted
        from story.workspace import usable

        wanted = Wanted.of(usable(self.workspace, self.env_file), self.chain, self.stacks, self.stand_ins)
        settings, emulation = wanted.settings, wanted.emulation
        plan = wanted.plan(audio=audio)
        max_duration = self.max_duration or settings.call.max_duration
        records = self.records or settings.call.records
        if records is not None:
            check_folder(records)
        transport = carrier()  # before anything is fetched: what it can't read or write is told at once
        from story.core.launch import hold_call  # imports livekit, which takes seconds: errors come first

        assumed = emulation.latencies.profile.assumed if emulation is not None else ()
        notes = [f"latencies that no source gives, so assumed: {', '.join(assumed)}"] if assumed else []
        for line in (*([plan.why] if plan.why else []), *plan.warnings, *notes):
            typer.echo(line, err=True)
        wanted.fetch(plan, yes=self.yes)

        async def hold() -> CallEnded:
            async with wanted.reached() as reached:
                return await hold_call(
                    plan,
                    transport,
                    wanted.plugins,
                    reached,
                    observers=[_print_json if self.as_json else observer(plan.chain)],
                    max_duration=max_duration,
                    records=records,
                )

        with settings.exported(), logged(settings) as log, watched_output() as output:
            ended = asyncio.run(while_it_can_be_written(output, hold()))
        if ended.reason in FAILED and log:
            typer.echo(f"what went wrong is in {log}", err=True)
        return ended


def _print_json(event: Event) -> None:
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    sys.stdout.write(json.dumps(event.as_dict(), ensure_ascii=not unicode) + "\n")
    sys.stdout.flush()


def _screen(*, prompts: bool) -> Screen:
    from rich.console import Console

    from story.transports.screen import Screen

    return Screen(Console(highlight=False), prompts=prompts)
