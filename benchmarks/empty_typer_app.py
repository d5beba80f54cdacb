"""What `story --help` is compared with: a typer app with as many commands, none of which does anything."""

from __future__ import annotations

import typer

app = typer.Typer(name="empty", no_args_is_help=True)


def nothing() -> None:
    """Do nothing at all."""


for name in ("run", "talk", "call", "plugins", "doctor", "version", "stacks", "providers", "models"):
    app.command(name)(nothing)

if __name__ == "__main__":
    app()
