"""`story plugins`, `providers`, `stacks` and `doctor`, as their users see them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

Story = Callable[..., subprocess.CompletedProcess[str]]
Install = Callable[[str, str], None]

HEAVY = ("livekit", "numpy", "pydantic")
WORKING = """
from story import ModelFactory, hookimpl
@hookimpl
def story_tts():
    return ModelFactory(provider="acme", build=print, models=("clear-1",), default_model="clear-1",
                        env=("ACME_API_KEY",), requires="livekit-plugins-acme")
"""


@pytest.mark.parametrize("arguments", [
    ["--help"], ["providers"], ["providers", "show", "openai"], ["stacks"], ["stacks", "show", "deepgram+gpt4o-mini"],
    ["stacks", "show", "local", "--json"], ["plugins"],
])  # fmt: skip
def test_listing_imports_nothing_that_takes_long(
    arguments: list[str], tmp_path: Path, environment: dict[str, str]
) -> None:
    program = (
        "import sys\n"
        "from story.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        f"sys.exit(' '.join(sorted(set({HEAVY}) & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, f"imported {done.stderr}"


def test_plugins_tell_what_is_broken_and_go_on(story: Story, install: Install) -> None:
    install("acme", WORKING)
    install("broken", "import does_not_exist\n")
    install("slow", f"import sys, types\nsys.modules['livekit'] = types.ModuleType('livekit')\n{WORKING}")
    install("greedy", WORKING.replace("acme", "openai"))
    shown = story("plugins")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = {line.split()[0]: line for line in shown.stdout.splitlines() if line and not line.startswith(" ")}
    assert "story-acme 1.2" in lines["acme"] and "loaded" in lines["acme"] and "tts" in lines["acme"]
    assert "broken" in lines["broken"]
    assert "broken: can't be imported: ModuleNotFoundError: No module named" in shown.stdout
    assert "slow imports livekit" in shown.stdout
    assert "offered by both" in shown.stdout
    assert "Traceback" not in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "Traceback" in story("plugins", "--traceback").stdout
    listed = {plugin["name"]: plugin for plugin in json.loads(story("plugins", "--json").stdout)}
    assert listed["broken"]["status"] == "broken" and listed["broken"]["faults"]
    assert listed["slow"]["slow"] and not listed["openai"]["slow"]
    assert listed["acme"]["version"] == "1.2"


def test_a_plugin_that_is_kept_out_is_listed_as_skipped(story: Story, install: Install, tmp_path: Path) -> None:
    install("acme", WORKING)
    listed = {plugin["name"]: plugin for plugin in json.loads(story("plugins", "--json", STORY_LOAD_PLUGINS="").stdout)}
    assert listed["acme"]["status"] == "skipped" and listed["openai"]["status"] == "loaded"
    (tmp_path / "story.toml").write_text('[plugins]\nblock = ["acme"]\n')
    assert "blocked by story.toml" in story("plugins").stdout


def test_providers_tell_roles_keys_and_packages(story: Story, install: Install) -> None:
    key = "sk-never-shown-1234"
    shown = story("providers", OPENAI_API_KEY=key)
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert "OPENAI_API_KEY set" in lines["openai"] and "stt, llm, tts" in lines["openai"]
    assert "DEEPGRAM_API_KEY missing" in lines["deepgram"]
    install("acme", WORKING)
    lacking = story("providers").stdout
    assert "livekit-plugins-acme" in lacking and "not installed:" in lacking
    assert max(map(len, lacking.splitlines())) <= 80
    one = story("providers", "show", "openai", OPENAI_API_KEY=key)
    assert "gpt-4o-mini" in one.stdout and "marin (default)" in one.stdout
    found = json.loads(story("providers", "show", "openai", "--json", OPENAI_API_KEY=key).stdout)
    assert found["offers"][0]["keys"] == [{"name": "OPENAI_API_KEY", "present": True}]
    names = [provider["name"] for provider in json.loads(story("providers", "--json").stdout)]
    assert names[:4] == ["openai", "deepgram", "cartesia", "elevenlabs"] and "acme" in names
    assert key not in shown.stdout + one.stdout + json.dumps(found)


def test_a_stack_is_explained_role_by_role(story: Story, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DEEPGRAM_API_KEY=from-the-file\n")
    spec = "stt=deepgram,local+gpt4o-mini+tts=elevenlabs:Rachel"
    shown = story("stacks", "show", spec)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "elevenlabs/eleven_turbo_v2_5:Rachel" in shown.stdout
    assert "missing: OPENAI_API_KEY (llm)" in shown.stdout and "missing: DEEPGRAM" not in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80
    found = json.loads(story("stacks", "show", spec, "--json").stdout)
    assert [role["role"] for role in found["roles"]] == ["stt", "llm", "tts", "vad"]
    assert [model["ref"] for model in found["roles"][0]["models"]] == ["deepgram/nova-3", "local/moonshine-tiny"]
    assert found["roles"][1]["models"][0]["alias"] == "gpt4o-mini"
    assert found["ready"] is False
    assert found["missing"][:2] == ["OPENAI_API_KEY (llm)", "ELEVEN_API_KEY (tts)"]


def test_open_roles_come_from_the_chains_default_stack(story: Story) -> None:
    found = json.loads(story("stacks", "show", "gpt4o-mini", "--json").stdout)
    origins = {role["role"]: role["origin"] for role in found["roles"]}
    assert origins == {
        "stt": "the chain's default stack",
        "llm": "spec",
        "tts": "the chain's default stack",
        "vad": "built-in default",
    }


def test_named_stacks_are_listed_with_what_they_lack(story: Story, tmp_path: Path) -> None:
    (tmp_path / "story.toml").write_text(
        '[stacks]\nfast = "deepgram/flux-general-en+gpt4o-mini+cartesia"\nodd = "nonsense"\n'
    )
    shown = story("stacks")
    assert shown.returncode == 0
    assert "story.toml:2" in shown.stdout and "CARTESIA_API_KEY" in shown.stdout
    found = {stack["name"]: stack for stack in json.loads(story("stacks", "--json").stdout)}
    assert {"local", "openai", "fast", "odd"} <= found.keys()
    assert "unknown model 'nonsense'" in found["odd"]["error"]


def test_unknown_names_are_passed_through_with_a_warning(story: Story) -> None:
    shown = story("stacks", "show", "deepgram/nova-4+gpt4o-mini+openai/gpt-4o-mini-tts:ehco")
    assert shown.returncode == 0
    flat = " ".join(shown.stdout.split())
    assert "warning: unknown model 'nova-4' of deepgram stt (did you mean nova-3" in flat
    assert "unknown voice 'ehco' of openai (did you mean echo?)" in flat


def test_doctor_says_what_is_missing_for_which_stack(story: Story, tmp_path: Path) -> None:
    done = story("doctor", "--json", OPENAI_API_KEY="sk-never-shown-1234")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and found["able"] is True
    ready = {stack["name"]: stack["ready"] for stack in found["stacks"]}
    assert ready["openai"] and ready["openai-realtime"] and not ready["storyteller"]
    about = {check["about"]: check for check in found["checks"]}
    assert about["OPENAI_API_KEY"]["state"] == "ok" and about["DEEPGRAM_API_KEY"]["state"] == "note"
    assert {"Python", "machine", "packages", "sound", "port", "disk", "local llm"} <= about.keys()
    assert "1.12 GB of weights" in about["local llm"]["found"]  # the cache of this test is empty
    assert "sk-never-shown" not in done.stdout


def test_doctor_fails_where_no_built_in_stack_can_run(story: Story, tmp_path: Path) -> None:
    (tmp_path / "story.toml").write_text('[plugins]\nblock = ["local"]\n')
    done = story("doctor")
    assert done.returncode == 1
    assert "No built-in stack can run here yet" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_doctor_goes_on_with_a_broken_story_toml(story: Story, tmp_path: Path) -> None:
    (tmp_path / "story.toml").write_text("[stacks\n")
    done = story("doctor")
    assert "story.toml" in done.stdout and "Traceback" not in done.stderr
    assert "--help" in story("--help").stdout


@pytest.mark.parametrize("arguments", [["providers"], ["stacks"], ["stacks", "show", "local"], ["doctor"]])
def test_a_narrow_terminal_gets_words_and_not_columns_of_letters(arguments: list[str], story: Story) -> None:
    lines = story(*arguments, COLUMNS="40").stdout.splitlines()
    assert max(map(len, lines)) <= 40
    # a path may be broken anywhere
    assert not [line for before, line in pairwise(lines) if len(line.strip()) == 1 and "/" not in before]


def test_models_of_a_family_name_it_once(story: Story) -> None:
    shown = story("providers", "show", "openai").stdout
    assert shown.count("responses/") == 1 and max(map(len, shown.splitlines())) <= 80
    assert "gpt4o-mini=gpt-4o-mini" in shown
    assert "responses/gpt-5" in json.dumps(json.loads(story("providers", "show", "openai", "--json").stdout))


def test_doctor_tells_names_in_story_toml_that_mean_nothing(story: Story, tmp_path: Path) -> None:
    (tmp_path / "story.toml").write_text(
        '[providers.openia]\nbase_url = "http://127.0.0.1"\n[plugins]\nblock = ["silreo"]\n'
    )
    checks = [check["found"] for check in json.loads(story("doctor", "--json").stdout)["checks"]]
    assert "[providers.openia]: no such provider (did you mean openai?)" in checks
    assert "[plugins] block: no plugin 'silreo' (did you mean silero?)" in checks
