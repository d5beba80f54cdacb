"""The wheel: what `make web` puts beside the page goes along, and without it LiveKit mode names the Playground."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import story
from story.transports.livekit.page import CLIENT
from story.transports.livekit.server_access import VARIABLES, LiveKitServer
from tests.transports.livekit.running import EMULATED, STACKS, livekit_server

ROOT = Path(__file__).parents[2]
FILES = ("pyproject.toml", "README.md", "LICENSE", ".gitignore")
PAGE = CLIENT.relative_to(ROOT).parent


def wheel(folder: Path, *, client: bool) -> Path:
    """The wheel of this checkout, as it is with or without LiveKit's client."""
    checkout = folder / "checkout"
    shutil.copytree(ROOT / "story", checkout / "story", ignore=shutil.ignore_patterns("__pycache__", CLIENT.name))
    for name in FILES:
        shutil.copy(ROOT / name, checkout)
    if client:
        (checkout / PAGE / CLIENT.name).write_text("export class Room {}\n", encoding="utf-8")
    (built,) = WheelBuilder(str(checkout)).build(directory=str(folder))
    return Path(built)


def test_it_has_all_files_of_the_package_and_livekits_client(tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel(tmp_path, client=True)) as packed:
        names = set(packed.namelist())
    package = Path(story.__file__).parent
    own = {path.relative_to(ROOT).as_posix() for path in package.rglob("*") if path.is_file()}
    own = {name for name in own if "__pycache__" not in name} | {(PAGE / CLIENT.name).as_posix()}
    assert {name for name in names if ".dist-info/" not in name} == own


@pytest.mark.livekit
@pytest.mark.slow
def test_without_it_a_worker_names_the_playground(tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel(tmp_path, client=False)) as packed:
        packed.extractall(tmp_path / "installed")
    with livekit_server(tmp_path) as server:
        said = until_registered(server, tmp_path)
    assert "To try it: story token --room lobby --identity me, for https://agents-playground.livekit.io" in said
    assert "The page is at" not in said


def until_registered(server: LiveKitServer, folder: Path) -> str:
    """What `story run` of the package in `folder` prints up to then."""
    named = dict(zip(VARIABLES, (server.url, server.key, server.secret), strict=True))
    place = {"PYTHONPATH": str(folder / "installed"), "XDG_STATE_HOME": str(folder)}
    command = [sys.executable, "-m", "story", "run", "--health-port", "0", "--port", "0", *EMULATED, *STACKS]
    with subprocess.Popen(
        command, env={**os.environ, **named, **place}, cwd=folder, text=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line.startswith("Registered"):
                break
        process.terminate()
    return said
