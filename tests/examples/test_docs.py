"""docs/stacks.md and docs/plugins.md: their examples work, and their errors read as they say."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from story.cli import main
from story.core import hookspecs
from story.core.plugins import Plugins, load_plugins
from story.core.registry import ModelFactory, Role
from story.core.resolve import resolve
from story.core.settings import Settings, load_settings

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("stacks.md", "sh") for line in block.splitlines()]
ERRORS = blocks("stacks.md", "text")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STORY_LOAD_PLUGINS", "")
    monkeypatch.delenv("STORY_CONFIG", raising=False)


def run(line: str) -> int | str | None:
    with pytest.raises(SystemExit) as exited:
        main(shlex.split(line)[1:])
    return exited.value.code


@pytest.mark.parametrize("line", COMMANDS)
def test_a_stack_is_shown(line: str) -> None:
    assert run(line) == 0


@pytest.mark.parametrize("block", ERRORS, ids=lambda block: block.splitlines()[0])
def test_an_error_reads_as_it_says(block: str, capsys: pytest.CaptureFixture[str]) -> None:
    command, _, message = block.partition("\n")
    assert run(command.removeprefix("$ ")) == 2
    assert capsys.readouterr().err == message


def test_the_settings_are_settings_and_their_stacks_resolve(tmp_path: Path) -> None:
    (tmp_path / "story.toml").write_text(blocks("stacks.md", "toml")[0], encoding="utf-8")
    settings = load_settings()
    registry = load_plugins(settings).registry
    for name in ("fast", "careful", "router"):
        resolve(name, registry)
    llm = resolve("router", registry).choice(Role.LLM)
    assert llm is not None and llm.refs[0].model == "meta-llama/llama-3.3-70b-instruct:free"
    assert settings.blocked == {"story-acme"} and settings.call.records == tmp_path / "records"


def plugin(block: str) -> Plugins:
    module = ModuleType("documented")
    module.__file__ = str(DOCS / "documented.py")
    exec(compile(block, "docs/plugins.md", "exec"), module.__dict__)
    return load_plugins(Settings(), extra=[("documented", module)])


@pytest.mark.parametrize("block", blocks("plugins.md", "python"))
def test_a_plugin_of_the_page_loads(block: str) -> None:
    documented = plugin(block).all[-1]
    assert documented.faults == [] and documented.contributes


def test_the_provider_can_be_used_in_a_stack() -> None:
    registry = plugin(blocks("plugins.md", "python")[0]).registry
    assert "tts=acme/clear-1" in str(resolve("deepgram+gpt4o-mini+acme", registry))


def test_every_hook_and_field_is_on_the_page() -> None:
    page = (DOCS / "plugins.md").read_text(encoding="utf-8")
    hooks = [name for name in vars(hookspecs) if name.startswith("story_")]
    fields = list(ModelFactory.__dataclass_fields__)
    assert [name for name in hooks + fields if f"`{name}" not in page] == []
    assert tomllib.loads(blocks("plugins.md", "toml")[0])["project"]["entry-points"]["story"] == {"acme": "story_acme"}
