from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from model_shelf import Heard, Shelf, bytes_of, catalogue
from rich.console import Console
from typer.testing import CliRunner

from story.core.errors import WeightsError
from story.progress import TerminalProgress
from story.providers.local import store as stores
from story.providers.local.commands import add_commands
from story.providers.local.store import Store

CONTENT = bytes_of(100_000)


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()

    @app.callback()
    def story() -> None:
        """The command line that `story models` is a part of."""

    add_commands(app)
    return app


@pytest.fixture
def toy(tmp_path: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> Store:
    shelf.content["/w.bin"] = CONTENT
    toy = Store(tmp_path, catalogue(CONTENT, shelf.url("/w.bin")))
    monkeypatch.setattr(stores, "default_store", lambda: toy)
    return toy


def test_from_nothing_to_nothing(app: typer.Typer, toy: Store) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(app, ["models", *words], catch_exceptions=False)
        assert result.exit_code == 0
        return result.output

    assert "no" in run("list").splitlines()[-1]
    output = run("pull", "toy")
    assert "toy: 1 MB to download, about 1 s at 50 Mbit/s (assumed, not measured)." in output
    assert output.count("to download") == 1
    assert "toy: 100 % of 0 MB" in output
    assert f"toy is here: {toy.root / 'toy' / 'weights.bin'}" in output
    assert "yes" in run("list").splitlines()[-1]
    assert run("path", "toy").strip() == str(toy.root / "toy" / "weights.bin")
    assert "toy: ok" in run("verify")
    assert "to download" not in run("pull", "toy")
    assert "removed toy" in run("remove", "toy")
    assert "was not here" in run("remove", "toy")


def test_verify_names_what_is_wrong(app: typer.Typer, toy: Store, progress: Heard) -> None:
    toy.ensure("toy", progress)["weights.bin"].write_bytes(bytes(len(CONTENT)))
    result = CliRunner().invoke(app, ["models", "verify"])
    assert "weights.bin has a wrong checksum" in result.output
    assert isinstance(result.exception, WeightsError)


def test_path_of_what_is_not_here(app: typer.Typer, toy: Store) -> None:
    result = CliRunner().invoke(app, ["models", "path", "toy"])
    assert isinstance(result.exception, WeightsError)
    assert "story models pull toy" in str(result.exception)


def test_list_as_json(app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORY_CACHE", str(tmp_path))
    listed = json.loads(CliRunner().invoke(app, ["models", "list", "--json"]).output)
    qwen = next(model for model in listed if model["name"] == "qwen2.5-coder-1.5b")
    assert qwen["here"] is False
    assert qwen["size"] == qwen["missing"] == 1_117_320_768
    assert len(qwen["files"][0]["sources"]) == 2


def test_listing_imports_nothing_heavy() -> None:
    program = (
        "import sys, typer; from story.providers.local.commands import add_commands; before = set(sys.modules)\n"
        "app = typer.Typer(); app.callback()(lambda: None); add_commands(app)\n"
        "app(['models', 'list'], standalone_mode=False)\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(new & {'livekit', 'numpy', 'httpx', 'aiohttp', 'ssl', 'moonshine_voice', 'hibari', 'pip'})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_bar_on_a_terminal() -> None:
    drawn = io.StringIO()
    with TerminalProgress(yes=True, console=Console(file=drawn, force_terminal=True, width=100)) as progress:
        assert progress.confirm("toy: 2 MB to download, about 1 s. Download now?")
        progress.report("toy", 0, 2_000_000)
        progress.report("toy", 2_000_000, 2_000_000)
    assert "toy: 2 MB to download, about 1 s." in drawn.getvalue()
    assert "2.0/2.0 MB" in drawn.getvalue()


def test_lines_where_there_is_no_terminal() -> None:
    drawn = io.StringIO()
    with TerminalProgress(console=Console(file=drawn)) as progress:
        assert progress.confirm("toy: 2 MB to download. Download now?")
        for done in range(0, 2_000_001, 50_000):
            progress.report("toy", done, 2_000_000)
    lines = drawn.getvalue().splitlines()
    assert lines[0] == "toy: 2 MB to download."
    assert lines[1:] == [f"toy: {percent} % of 2 MB" for percent in range(0, 101, 10)]
