"""The command line: parse, call core, print. No logic.

The commands that hold a call are in `calls`; plugins add theirs through the hook `story_commands`.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from story import calls, emulating, rooms, serving
from story.bench import command as bench
from story.core.errors import StoryError
from story.core.registry import DEFAULT_CHAIN
from story.plain import PlainCommand, PlainGroup
from story.version import __version__

if TYPE_CHECKING:
    from story.workspace import Workspace

EXIT_USER = 2
EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
EnvFile = Annotated[Path | None, typer.Option("--env-file", metavar="FILE", help="Read keys from FILE, not .env.")]
ChainName = Annotated[
    str, typer.Option("--chain", metavar="NAME|FILE", help="The chain whose default stack fills open roles.")
]

app = typer.Typer(
    name="story",
    cls=PlainGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # main() has its own, without tracebacks
    context_settings={"help_option_names": ["-h", "--help"]},
)
stacks_app = typer.Typer(
    cls=PlainGroup, help="List the named stacks, or show what a stack means.", invoke_without_command=True
)
providers_app = typer.Typer(
    cls=PlainGroup, help="List who offers models, or show what one offers.", invoke_without_command=True
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"story {__version__}")
        raise typer.Exit


@app.callback()
def story(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Staged voice conversations: several personas, one call, any mix of speech and language models."""


calls.add_commands(app)
emulating.add_commands(app)
serving.add_commands(app)
rooms.add_commands(app)
bench.add_commands(app)
app.add_typer(stacks_app, name="stacks")
app.add_typer(providers_app, name="providers")


@stacks_app.callback()
def list_stacks(ctx: typer.Context, *, as_json: AsJson = False, env_file: EnvFile = None) -> None:
    """List the named stacks, or show what a stack means."""
    if ctx.invoked_subcommand is not None:
        return
    from story import tables
    from story.describe import default_stack, describe_named_stacks

    space = _workspace(ctx, env_file)
    found = describe_named_stacks(space.registry, space.settings, default_stack(space.registry))
    _print_json(found) if as_json else tables.stacks(found)


@stacks_app.command("show", cls=PlainCommand)
def show_stack(
    ctx: typer.Context,
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="As in deepgram+gpt4o-mini, or a named stack.")],
    *,
    chain: ChainName = DEFAULT_CHAIN,
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Show what a stack means: every role, its model, who chose it, and the key it needs."""
    from story import tables
    from story.describe import default_stack, describe_stack

    space = _workspace(ctx, env_file)
    found = describe_stack(spec, space.registry, space.settings, default_stack=default_stack(space.registry, chain))
    _print_json(found) if as_json else tables.stack(found)


@providers_app.callback()
def list_providers(ctx: typer.Context, *, as_json: AsJson = False, env_file: EnvFile = None) -> None:
    """List who offers models, or show what one offers."""
    if ctx.invoked_subcommand is not None:
        return
    from story import tables
    from story.describe import describe_provider

    space = _workspace(ctx, env_file)
    found = [describe_provider(name, space.registry, space.settings) for name in space.registry.providers()]
    _print_json(found) if as_json else tables.providers(found)


@providers_app.command("show", cls=PlainCommand)
def show_provider(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    as_json: AsJson = False,
    env_file: EnvFile = None,
) -> None:
    """Show a provider's models, voices and aliases by role, its key and its package."""
    from story import tables
    from story.describe import describe_provider

    space = _workspace(ctx, env_file)
    found = describe_provider(name, space.registry, space.settings)
    _print_json(found) if as_json else tables.provider(found)


@app.command(cls=PlainCommand)
def plugins(
    ctx: typer.Context,
    *,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show where broken plugins went wrong.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the plugins, what each contributes, and what is wrong with the broken ones."""
    from story import tables
    from story.describe import describe_plugin

    found = [describe_plugin(plugin) for plugin in _workspace(ctx).plugins.all]
    _print_json(found) if as_json else tables.plugins(found, tracebacks=traceback)


@app.command(cls=PlainCommand)
def doctor(ctx: typer.Context, *, as_json: AsJson = False, env_file: EnvFile = None) -> None:
    """Check this machine, and say what is missing for which stack. Exits with 0 if a built-in stack can run."""
    from story import tables
    from story.doctor import examine
    from story.workspace import open_workspace

    found = examine(open_workspace(env_file) if env_file else ctx.obj)
    _print_json(found) if as_json else tables.diagnosis(found)
    raise typer.Exit(0 if found.able else 1)


@app.command(cls=PlainCommand)
def version() -> None:
    """Print the version."""
    typer.echo(f"story {__version__}")


def _workspace(ctx: typer.Context, env_file: Path | None = None) -> Workspace:
    from story.workspace import usable

    return usable(ctx.obj, env_file)


def _print_json(found: object) -> None:
    from story.describe import as_data

    typer.echo(json.dumps(as_data(found), indent=2, ensure_ascii=False))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `story` with `arguments` (by default the process's) and exit; never with a traceback on the terminal."""
    from story.workspace import open_workspace

    space: Workspace | None = None
    try:
        space = open_workspace()
        space.plugins.add_commands(app)
        words = list(sys.argv[1:] if arguments is None else arguments)
        code = app(words, prog_name="story", obj=space, standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except TyperException as error:
        from story.failures import report_usage

        report_usage(error, space)
        sys.exit(EXIT_USER)
    except typer.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except StoryError as error:
        from story.failures import report_error

        report_error(error, space)
        sys.exit(EXIT_USER)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            from story.failures import report_full_disk

            report_full_disk(error, space)
            sys.exit(EXIT_USER)
        if os.environ.get("STORY_DEBUG") == "1":
            raise
        from story.failures import report_bug

        report_bug(error, space)
        sys.exit(EXIT_BUG)


if __name__ == "__main__":
    main()
