"""A folder of its own for every test, and a way to run `story` in it as its users do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

Story = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of the process: this repository's story, nothing of the user's."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("STORY_", "OPENAI_"))}
    ours = {
        "PYTHONPATH": os.pathsep.join((str(tmp_path), str(REPOSITORY))),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "STORY_CACHE": str(tmp_path / "cache"),
        "COLUMNS": "80",
        "NO_COLOR": "1",
    }
    return {**keep, **ours}


@pytest.fixture
def story(tmp_path: Path, environment: dict[str, str]) -> Story:
    """`story("stacks", "--json", OPENAI_API_KEY="...")` in an empty folder."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "story.cli", *arguments],
            capture_output=True, text=True, encoding="utf-8", timeout=100, check=False,
            cwd=tmp_path, env={**environment, **variables}, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    return run


@pytest.fixture
def install(tmp_path: Path) -> Callable[[str, str], None]:
    """`install("acme", source)`: a plugin of that name, as pip would have installed it."""

    def write(name: str, source: str) -> None:
        (tmp_path / f"{name}_plugin.py").write_text(source, encoding="utf-8")
        folder = tmp_path / f"story_{name}-1.2.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: story-{name}\nVersion: 1.2\n", encoding="utf-8")
        (folder / "entry_points.txt").write_text(f"[story]\n{name} = {name}_plugin\n", encoding="utf-8")

    return write
