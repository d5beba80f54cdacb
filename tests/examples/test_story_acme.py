"""examples/story-acme: pip installs it, `story` finds it, and its model speaks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "story-acme"

SPEAK = """
import asyncio
from story.core.plugins import load_plugins
from story.core.settings import Settings
from story.core.live import build
from story.core.resolve import resolve
from story import Role

async def speak():
    settings = Settings()
    registry = load_plugins(settings).registry
    stack = await build(resolve("hum:high", registry), registry, settings, roles={Role.TTS})
    frames = [event.frame async for event in stack.tts.synthesize("one two three")]
    await stack.aclose()
    print(sum(frame.duration for frame in frames), frames[0].sample_rate, stack.tts.pitch)

asyncio.run(speak())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that sees the package, installed by pip in a folder of its own."""
    folder = tmp_path_factory.mktemp("acme")
    source = shutil.copytree(EXAMPLE, folder / "source")  # a build may leave files beside what it builds
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", folder / "site", source], check=True, capture_output=True)
    kept = {name: value for name, value in os.environ.items() if name != "STORY_LOAD_PLUGINS"}
    return {**kept, "PYTHONPATH": str(folder / "site"), "HOME": str(folder)}


def story(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("story")), *arguments]
    return subprocess.run(
        command, env=environment, cwd=environment["HOME"], capture_output=True, text=True, check=False
    )


def test_it_is_listed(installed: dict[str, str]) -> None:
    listed = json.loads(story(installed, "plugins", "--json").stdout)
    [acme] = [plugin for plugin in listed if plugin["name"] == "acme"]
    assert (acme["distribution"], acme["version"], acme["faults"]) == ("story-acme", "0.1.0", [])
    assert acme["slow"] is False


def test_its_stack_resolves(installed: dict[str, str]) -> None:
    shown = story(installed, "stacks", "show", "local+local+acme:high")
    assert shown.returncode == 0 and "hum-1" in shown.stdout
    wrong = story(installed, "stacks", "show", "local+local+acme:hi")
    assert wrong.returncode == 2 and "unknown voice 'hi' of acme" in wrong.stderr


def test_its_price_is_known(installed: dict[str, str]) -> None:
    planned = story(installed, "bench", "--stacks", "stt=local+llm=local+tts=acme", "--dry-run")
    assert planned.returncode == 0 and "stt=local+llm=local+tts=acme: $0.0000" in planned.stdout, planned.stderr
    assert "without a price" not in planned.stdout


def test_it_can_be_left_out(installed: dict[str, str]) -> None:
    without = story({**installed, "STORY_LOAD_PLUGINS": ""}, "stacks", "show", "hum")
    assert without.returncode == 2 and "unknown model 'hum'" in without.stderr


def test_its_model_speaks(installed: dict[str, str]) -> None:
    spoken = subprocess.run([sys.executable, "-c", SPEAK], env=installed, capture_output=True, text=True, check=True)
    seconds, rate, pitch = map(float, spoken.stdout.split())
    assert seconds == pytest.approx(1.0, abs=0.02)  # livekit fills up the last frame
    assert (rate, pitch) == (24000, 440)
