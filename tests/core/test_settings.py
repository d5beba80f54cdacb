"""Settings: what wins over what, and errors that name file, line and key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from story import Role
from story.core.errors import ConfigError
from story.core.options import FrozenOptions
from story.core.redact import redact
from story.core.registry import ModelSetting
from story.core.settings import Settings, load_settings

CONFIG = """\
[stacks]
fast = "deepgram+gpt4o-mini"

[stacks.tuned]
stt = ["deepgram/nova-3", { use = "local" }]
[stacks.tuned.tts]
use = "openai"
speed = 1.1

[providers.openai]
base_url = "http://127.0.0.1:9/v1"

[plugins]
block = ["noisy"]

[call]
max_duration = 90
records = "calls"
"""


def write(folder: Path, config: str | None = None, env: str | None = None) -> Path:
    if config is not None:
        (folder / "story.toml").write_text(config, encoding="utf-8")
    if env is not None:
        (folder / ".env").write_text(env, encoding="utf-8")
    return folder


def test_nothing_is_needed(tmp_path: Path) -> None:
    settings = load_settings(folder=tmp_path, environ={})
    assert settings == Settings() and settings.path is None and settings.env_path is None


def test_reads_all_of_story_toml(tmp_path: Path) -> None:
    settings = load_settings(folder=write(tmp_path, CONFIG), environ={})
    assert settings.path == tmp_path / "story.toml"
    assert settings.stacks["fast"].spec == "deepgram+gpt4o-mini" and settings.stacks["fast"].source == "story.toml:2"
    tuned = settings.stacks["tuned"]
    assert tuned.roles[Role.STT] == (ModelSetting("deepgram/nova-3"), ModelSetting("local"))
    assert tuned.roles[Role.TTS] == (ModelSetting("openai", FrozenOptions({"speed": 1.1})),)
    assert settings.base_url("openai") == "http://127.0.0.1:9/v1" and settings.base_url("deepgram") is None
    assert settings.blocked == {"noisy"}
    assert (settings.call.max_duration, settings.call.records) == (90.0, tmp_path / "calls")


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    write(tmp_path, "\ufeff" + CONFIG, env="\ufeffA=1")
    settings = load_settings(folder=tmp_path, environ={})
    assert settings.blocked == {"noisy"} and dict(settings.env) == {"A": "1"}


def test_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    write(tmp_path, env="A=file\nB=file\nexport C='a b'\nD=\nE\n")
    settings = load_settings(folder=tmp_path, environ={"A": "shell"})
    assert dict(settings.env) == {"A": "shell", "B": "file", "C": "a b", "D": ""}
    assert settings.key("D") is None and settings.key("nope") is None and settings.key("B") == "file"
    assert settings.env_path == tmp_path / ".env"


def test_an_env_file_that_is_asked_for_takes_the_place_of_the_other(tmp_path: Path) -> None:
    write(tmp_path, env="A=1")
    (tmp_path / "other").write_text("B=2")
    assert dict(load_settings(env_file=tmp_path / "other", folder=tmp_path, environ={}).env) == {"B": "2"}
    with pytest.raises(ConfigError, match="nowhere: no such file"):
        load_settings(env_file=tmp_path / "nowhere", folder=tmp_path, environ={})


def test_a_variable_names_another_config(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(CONFIG)
    for environ in ({"STORY_CONFIG": "mine.toml"}, {"STORY_CONFIG": str(tmp_path / "mine.toml")}):
        assert "fast" in load_settings(folder=tmp_path, environ=environ).stacks
    assert "fast" in load_settings(folder=write(tmp_path, env="STORY_CONFIG=mine.toml"), environ={}).stacks
    with pytest.raises(ConfigError, match=r"not\.toml: no such file"):
        load_settings(folder=tmp_path, environ={"STORY_CONFIG": "not.toml"})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[stacks", "story.toml:1: not valid TOML"),
        ("a = 1\n[stacks]\nx = [1,\n", "story.toml:"),
        ("\n[stackz]\n", "story.toml:2: stackz: unknown key 'stackz' (did you mean stacks?)"),
        ("[plugins]\nblocked = []", "story.toml:2: plugins.blocked: unknown key 'blocked' (did you mean block?)"),
        ("[plugins]\nblock = 'a'", "story.toml:2: plugins.block: is a list of names"),
        ("stacks = 3", "story.toml:1: stacks: is a table"),
        ("[stacks]\nx = 3", "story.toml:2: stacks.x: is a spec or a table of roles"),
        ("[stacks.x]\n", "story.toml:1: stacks.x: names no role"),
        ("[stacks.x]\nsst = 'a'", "story.toml:2: stacks.x.sst: unknown role 'sst' (did you mean stt?)"),
        ("[stacks.x]\nstt = 3", "story.toml:2: stacks.x.stt: is a choice like"),
        ("[stacks.x]\nstt = []", "story.toml:2: stacks.x.stt: is an empty list"),
        ("[stacks.x.stt]\nmodel = 'a'", "story.toml:1: stacks.x.stt.use: is missing"),
        ("[stacks.x.stt]\nuse = 'a'\nmodel = 3", "story.toml:3: stacks.x.stt.model: is a string"),
        ("[providers.x]\nbase_url = 3", "story.toml:2: providers.x.base_url: is a string"),
        ("[providers.x]\napi_key = 'sk'", "story.toml:2: providers.x.api_key: a key belongs in the environment"),
        ("[providers]\nx = 1", "story.toml:2: providers.x: is a table"),
        ("[call]\nmax_duration = 0", "story.toml:2: call.max_duration: is a number of seconds greater than 0"),
        ("[call]\nmax_duration = true", "story.toml:2: call.max_duration: is a number"),
        ("[call]\nrecords = ''", "story.toml:2: call.records: is the path of a folder"),
        ("[call]\nrecord = 'x'", "story.toml:2: call.record: unknown key 'record' (did you mean records?)"),
    ],
)
def test_errors_name_file_line_and_key(tmp_path: Path, config: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(folder=write(tmp_path, config), environ={})
    assert str(caught.value).startswith(f"{tmp_path}/{message}") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"A=1\nnonsense here\n", ".env:2: not of the form NAME=value"), (b"A=\xff", ".env: not UTF-8 text (byte 2)")],
)
def test_a_broken_env_file_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_settings(folder=tmp_path, environ={})
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_overrides_win_and_leave_the_rest(tmp_path: Path) -> None:
    settings = load_settings(folder=write(tmp_path, CONFIG), environ={"OPENAI_API_KEY": "old", "B": "b"})
    changed = settings.with_overrides(
        env={"OPENAI_API_KEY": "new"},
        providers={"openai": {"base_url": "http://127.0.0.1:1"}, "deepgram": {"base_url": "http://127.0.0.1:2"}},
    )
    assert (changed.key("OPENAI_API_KEY"), changed.key("B")) == ("new", "b")
    assert changed.base_url("openai") == "http://127.0.0.1:1" and changed.base_url("deepgram") == "http://127.0.0.1:2"
    assert settings.key("OPENAI_API_KEY") == "old" and settings.base_url("openai") == "http://127.0.0.1:9/v1"


def test_env_is_exported_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "before")
    monkeypatch.delenv("ADDED", raising=False)
    with pytest.raises(RuntimeError), Settings(env={"KEPT": "during", "ADDED": "x"}).exported():
        assert (os.environ["KEPT"], os.environ["ADDED"]) == ("during", "x")
        raise RuntimeError
    assert os.environ["KEPT"] == "before" and "ADDED" not in os.environ


def test_secrets_stay_out_of_sight() -> None:
    env = {
        "OPENAI_API_KEY": "sk-123456",
        "LIVEKIT_API_SECRET": "sk-123456-longer",
        "HF_TOKEN": "hf_abcdef",
        "SOME_KEY": "1",
        "KEYBOARD_LAYOUT": "qwertz",
        "TOKENIZERS_PARALLELISM": "parallel",
    }
    settings = Settings(env=env, providers={"x": FrozenOptions({"header": "sk-hidden"})})
    text = "bad key sk-123456-longer, sk-123456, hf_abcdef, 1, qwertz, parallel"
    assert redact(text, settings) == "bad key ***, ***, ***, 1, qwertz, parallel"
    assert "sk-" not in repr(settings)
