"""README.md: what it tells people to type works."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from story import __version__
from story.cli import main
from story.core.personas import load_chain
from story.core.plugins import load_plugins
from story.core.registry import Role
from story.core.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


LINES = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
COMMANDS = [arguments for program, *arguments in LINES if program == "story"]
SPECS = [arguments[2] for arguments in COMMANDS if arguments[:2] == ["stacks", "show"]]
TABLE = re.findall(r"`story ((?:[a-z]+ ?)+)", README)
CHAIN, CONFIG = (next(block for block in blocks("toml") if block.startswith(start)) for start in ("start", "[stacks"))


def run(arguments: list[str]) -> int:
    """The exit code of the command line. In this process: there are many, and starting one takes half a second."""
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    return exited.value.code if isinstance(exited.value.code, int) else int(exited.value.code is not None)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where the settings of whoever runs the tests are not found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORY_LOAD_PLUGINS", "")
    monkeypatch.delenv("STORY_CONFIG", raising=False)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_command_and_its_options_exist(arguments: list[str]) -> None:
    assert run([*arguments, "--help"]) == 0  # an unknown option is found before --help acts
    for argument in arguments:
        assert not argument.endswith(".wav") or argument == "call.wav" or (ROOT / argument).exists()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [a for a in COMMANDS if a[:2] == ["talk", "--emulate"]], ids=" ".join)
def test_an_emulated_call_reaches_its_end(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "story", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "the story is over" in done.stdout, done.stderr


@pytest.mark.parametrize("spec", SPECS)
def test_a_stack_of_the_examples_resolves(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stacks", "show", spec]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("command", sorted(set(map(str.strip, TABLE))))
def test_a_command_of_the_text_exists(command: str) -> None:
    assert run([*command.split(), "--help"]) == 0


def test_the_command_is_installed() -> None:
    installed = Path(sys.executable).with_name("story")
    done = subprocess.run([installed, "--version"], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == f"story {__version__}"


def test_the_chain_is_a_chain(tmp_path: Path) -> None:
    path = tmp_path / "workshop.toml"
    path.write_text(CHAIN, encoding="utf-8")
    chain = load_chain(path)
    assert list(chain.personas) == ["reception", "mechanic"]


def test_the_settings_are_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "story.toml").write_text(CONFIG, encoding="utf-8")
    assert set(load_settings(folder=tmp_path, environ={}).stacks) == set(tomllib.loads(CONFIG)["stacks"])
    assert run(["stacks", "show", "quick", "--json"]) == 0
    assert "gpt-4o-mini" in capsys.readouterr().out


def test_the_provider_is_a_whole_plugin() -> None:
    acme = ModuleType("acme")
    exec(compile(blocks("python")[0], "README.md", "exec"), acme.__dict__)
    plugins = load_plugins(Settings(), extra=[("acme", acme)])
    assert not [fault for known in plugins.all for fault in known.faults if known.name == "acme"]
    factory = plugins.registry.factory(Role.TTS, "acme")
    assert factory is not None and factory.default_model == "clear-1"


def test_links_to_files_lead_somewhere() -> None:
    for page in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text(encoding="utf-8")):
            assert (ROOT / target).exists(), f"{page} links to {target}"
