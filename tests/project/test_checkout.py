"""What the files beside the code promise: no secrets or hosts in them, and in step with the code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from story import __version__
from story.core.plugins import load_plugins
from story.core.settings import Settings

ROOT = Path(__file__).parents[2]

# Written so that they do not find themselves.
HOSTS = re.compile(r"pypi\.(org|io)|python[h]osted|npm[j]s|deb\.debia[n]")
INDEX_OPTIONS = re.compile(r"(?<!no-emit-)(extra-)?inde[x]-url|trusted-hos[t]|(?<!no-emit-)--find-link[s]")
KEYS = re.compile(r"\b(sk-[A-Za-z0-9_-]{20,}|ghp_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16})\b")


@pytest.fixture(scope="module")
def tracked() -> dict[str, str]:
    """The text files that git has, by path."""
    try:
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    texts: dict[str, str] = {}
    for name in filter(None, names.split("\0")):
        try:
            texts[name] = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # a sound file, or one deleted and not yet committed
    return texts


@pytest.mark.parametrize("forbidden", [HOSTS, INDEX_OPTIONS, KEYS], ids=["hosts", "index options", "keys"])
def test_no_file_names_a_registry_or_holds_a_key(tracked: dict[str, str], forbidden: re.Pattern[str]) -> None:
    found = [f"{name}: {match.group()}" for name, text in tracked.items() for match in forbidden.finditer(text)]
    assert not found


def test_make_run_serves_the_page_whatever_is_set_here() -> None:
    """With LIVEKIT_URL in .env `story run` would join rooms instead."""
    made = subprocess.run(["make", "-n", "run"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "story run --transport web " in made.stdout


def test_the_changelog_has_this_version() -> None:
    assert f"\n## [{__version__}] - " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_env_example_names_every_key_and_holds_no_value() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    names = {line.partition("=")[0]: line.partition("=")[2] for line in lines if line and not line.startswith("#")}
    registry = load_plugins(Settings(env={"STORY_LOAD_PLUGINS": ""})).registry
    needed = {key for offered in registry.factories.values() for factory in offered.values() for key in factory.env}
    assert set(names) == needed
    assert not any(names.values())
