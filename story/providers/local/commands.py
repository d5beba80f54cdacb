"""`story models`: the weights of the on-device models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from story.providers.local.catalogue import Model, Source
    from story.providers.local.store import Store

DEFAULT = "qwen2.5-coder-1.5b"  # what the stack `local` needs beyond its packages

models = typer.Typer(help="The weights of the on-device models.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="NAME")]


def add_commands(app: typer.Typer) -> None:
    """Add `story models` to the command line; for the hook `story_commands`."""
    app.add_typer(models, name="models")


@models.command("list")
def list_models(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array with paths and sources.")] = False,
) -> None:
    """List the on-device models, their licence, and whether they are here."""
    from story.providers.local.store import default_store, gigabytes

    store = default_store()
    if as_json:
        typer.echo(json.dumps([_described(store, model) for model in store.catalogue.models.values()], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("NAME", "FOR", "SIZE", "LICENCE", "HERE"):
        table.add_column(title, justify="right" if title == "SIZE" else "left")
    for model in store.catalogue.models.values():
        table.add_row(model.name, model.purpose, gigabytes(model.size), model.licence, _state(store, model))
    Console(soft_wrap=True).print(table)


@models.command()
def pull(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="All models of the catalogue.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Fetch models (by default what the stack 'local' needs), with their checksums; goes on where it stopped."""
    from story.core.errors import WeightsError
    from story.progress import TerminalProgress
    from story.providers.local.store import default_store, question

    store = default_store()
    chosen = list(store.catalogue.models) if everything else list(dict.fromkeys(names or [DEFAULT]))
    missing = {name: count for name in chosen if (count := store.missing(name))}
    with TerminalProgress(yes=yes) as progress:
        if missing and not progress.confirm(question(missing)):
            raise WeightsError("nothing was fetched")
        for name in chosen:
            paths = store.ensure(name, progress, ask=name not in missing)  # one question for all
            progress.close()
            typer.echo(f"{name} is here: {_folder(list(map(str, paths.values())))}")


@models.command()
def verify(names: Names = None) -> None:
    """Sum every file of the models that are here (or NAMEs) again; exit code 2 if one is wrong."""
    from story.core.errors import WeightsError
    from story.progress import TerminalProgress
    from story.providers.local.store import default_store

    store = default_store()
    wrong: list[str] = []
    for name in names or [name for name in store.catalogue.models if store.locate(name)]:
        with TerminalProgress() as progress:
            problems = store.verify(name, progress)
        typer.echo(f"{name}: {'; '.join(problems) or 'ok'}")
        if problems:
            wrong.append(name)
    if wrong:
        raise WeightsError(f"fetch what is wrong again with `story models pull {' '.join(wrong)}`")


@models.command()
def path(name: Name) -> None:
    """Print where the files of a model lie, one a line."""
    from story.core.errors import WeightsError
    from story.providers.local.store import default_store

    store = default_store()
    paths = store.locate(name)
    if paths is None:
        if store.catalogue.get(name).packaged is not None:
            store.paths(name)  # says which package is missing
        raise WeightsError(f"{name} is not on this machine: run `story models pull {name}`")
    for place in paths.values():
        typer.echo(str(place))


@models.command()
def remove(name: Name) -> None:
    """Delete a model's files."""
    from story.providers.local.store import default_store, gigabytes

    freed = default_store().remove(name)
    typer.echo(f"removed {name}, {gigabytes(freed)} freed" if freed else f"{name} was not here")


def _state(store: Store, model: Model) -> str:
    if store.locate(model.name) is not None:
        return f"yes ({model.packaged.partition('==')[0]})" if model.packaged else "yes"
    if model.packaged:
        return f"no (pip install {model.packaged})"
    here = model.size - store.missing(model.name)
    return f"{here * 100 // model.size} %" if here else "no"


def _described(store: Store, model: Model) -> dict[str, object]:
    paths = store.locate(model.name)
    return {
        "name": model.name,
        "title": model.title,
        "purpose": model.purpose,
        "licence": model.licence,
        "homepage": model.homepage,
        "size": model.size,
        "here": paths is not None,
        "missing": store.missing(model.name),
        "packaged": model.packaged,
        "needs": model.needs,
        "files": [
            {
                "name": file.name,
                "size": file.size,
                "sha256": file.sha256,
                "path": str(paths[file.name]) if paths else None,
                "sources": [_source(source) for source in file.sources],
            }
            for file in model.files
        ],
    }


def _source(source: Source) -> str:
    from story.providers.local.catalogue import HttpSource, NpmSource

    if isinstance(source, HttpSource):
        return source.url
    if isinstance(source, NpmSource):
        return f"npm {source.package}"
    return "pip " + " ".join(part.package for part in source.parts)


def _folder(paths: list[str]) -> str:
    import os.path

    return paths[0] if len(paths) == 1 else os.path.commonpath(paths)
