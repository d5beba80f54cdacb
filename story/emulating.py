"""`story emulate`, and what `--emulate` on the commands that hold a call means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from story.plain import PlainCommand

if TYPE_CHECKING:
    from story.core.plugins import Plugins
    from story.core.registry import Progress
    from story.core.settings import Settings
    from story.emulator.assemble import Options
    from story.emulator.emulation import Emulation
    from story.emulator.server import Emulator

DEFAULT_PORT = 8770

Emulate = Annotated[
    bool, typer.Option("--emulate", help="Talk to emulated vendors: no key, no cost, nothing leaves this machine.")
]
Brain = Annotated[
    str | None,
    typer.Option(
        "--brain",
        metavar="local|script|FILE",
        help="Who answers: this machine's own models, the storyteller's script, or a script of yours.",
    ),
]
Heard = Annotated[
    str | None,
    typer.Option(
        "--heard",
        metavar="FILE|none",
        help="Recorded clips with their words; none: the script's own lines. Without it, recognised on this machine.",
    ),
]
Speech = Annotated[
    str | None, typer.Option("--speech", metavar="local|tones", help="The voices: synthesised here, or mere tones.")
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME|FILE", help="How long vendors take: instant, baseline, typical, a file."),
]
Fault = Annotated[
    list[str] | None,
    typer.Option("--fault", metavar="SPEC", help='What goes wrong, as in "deepgram/listen status=429". Repeatable.'),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Of the drawn latencies and faults.")]


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command(cls=PlainCommand)(emulate)


def emulate(
    ctx: typer.Context,
    script: Annotated[
        Path | None, typer.Argument(metavar="[SCRIPT]", help="With --brain script: the script's file.")
    ] = None,
    *,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")] = DEFAULT_PORT,
    brain: Brain = None,
    heard: Heard = None,
    speech: Speech = None,
    profile: Profile = None,
    fault: Fault = None,
    key: Annotated[
        list[str] | None, typer.Option("--key", metavar="KEY", help="A valid key; by default any is. Repeatable.")
    ] = None,
    seed: Seed = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Fetch missing models without asking.")] = False,
) -> None:
    """Serve the wire protocols of OpenAI, Deepgram, Cartesia and ElevenLabs on this machine, without any key."""
    import asyncio

    from story.emulator.assemble import assemble
    from story.logs import logged
    from story.progress import TerminalProgress
    from story.workspace import usable

    if script is not None and brain not in (None, "script"):
        raise typer.BadParameter(f"--brain {brain} takes no script: leave out {script}, or write --brain script")
    space = usable(ctx.obj)
    chosen = str(script) if script is not None else brain
    options = options_of(brain=chosen, heard=heard, speech=speech, profile=profile, faults=fault, keys=key, seed=seed)
    emulation = assemble(options, space.plugins, space.settings)
    with TerminalProgress(yes=yes) as progress:
        fetch_models(options, space.plugins, space.settings, progress)
    with space.settings.exported(), logged(space.settings):
        asyncio.run(_serve(emulation, options, host=host, port=port))


def options_of(
    *,
    brain: str | None,
    heard: str | None,
    speech: str | None,
    profile: str | None,
    faults: list[str] | None,
    seed: int | None,
    keys: list[str] | None = None,
) -> Options:
    """What the options of a command ask for; what is left out has its default."""
    from story.emulator.assemble import Options

    given = {"brain": brain, "heard": heard, "speech": speech, "profile": profile, "seed": seed}
    lists = {"faults": tuple(faults or ()), "keys": tuple(keys or ())}
    return Options(**{name: value for name, value in given.items() if value is not None}, **lists)  # type: ignore[arg-type]


def fetch_models(options: Options, plugins: Plugins, settings: Settings, progress: Progress) -> None:
    """Fetch what the emulator's own models need on this machine."""
    from story.core.live import prepare
    from story.core.registry import Role
    from story.core.resolve import resolve

    if options.needs_language_model:
        prepare(resolve("local", plugins.registry), plugins.registry, settings, progress, roles={Role.LLM})


@asynccontextmanager
async def emulated(emulation: Emulation, settings: Settings) -> AsyncIterator[Settings]:
    """Within the block an emulator runs in this process, and the settings that are given lead to it."""
    from story.emulator.assemble import emulator, redirected

    async with emulator(emulation) as server:
        yield redirected(settings, server.url)


async def _serve(emulation: Emulation, options: Options, *, host: str, port: int) -> None:
    from story.emulator.assemble import emulator
    from story.orders import Orders

    orders = Orders()
    with orders.by_signal():
        async with emulator(emulation, host=host, port=port) as server:
            _tell(server, options)
            await orders.stop.wait()


def _tell(server: Emulator, options: Options) -> None:
    """Say where it is, how to reach it, and what about it is made up."""
    typer.echo(f"Emulating {', '.join(vendor.name for vendor in server.vendors)} on {server.url}")
    if server.host not in ("127.0.0.1", "::1", "localhost"):
        typer.echo(f"Anyone who can reach {server.host} can use it.", err=True)
    typer.echo(f"brain {options.brain}, speech {options.speech}, latencies {options.profile}")
    typer.echo("\nTo use it from story, put this into story.toml (or add --emulate to story call and story talk):")
    for vendor in server.vendors:
        typer.echo(f'  [providers.{vendor.name}]\n  base_url = "{server.url}{vendor.base_path}"')
    keys = " ".join(f"{vendor.keys[0]}=any" for vendor in server.vendors)
    typer.echo(f"and set {keys}" if not options.keys else "and set the vendors' keys to one that --key names")
    if assumed := server.emulation.latencies.profile.assumed:
        typer.echo(f"\nAssumed, as no source gives them: {', '.join(assumed)}")
    typer.echo(f"\nLog: {server.url}/emulator/log   Faults: {server.url}/emulator/faults   Stop: Ctrl-C")
