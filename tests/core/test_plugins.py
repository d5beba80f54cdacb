"""Plugins: found as installed entry points, loaded one by one, and unable to hurt anybody but themselves."""

from __future__ import annotations

import datetime
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from story import Alias, ModelPrice, Role, hookimpl
from story.core import events
from story.core.plugins import BUILTIN, Plugin, load_plugins
from story.core.registry import Registry
from story.core.settings import Settings
from tests.offers import WORLD, factory, loaded, plugin

Install = Callable[..., None]

GOOD = """
from story import ModelFactory, hookimpl

@hookimpl
def story_tts():
    return ModelFactory(provider="acme", build=print, models=("clear-1",), default_model="clear-1")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a distribution with one plugin module, as pip leaves it: files and a dist-info folder."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(distribution: str, code: str, *, name: str = "", target: str = "") -> None:
        module = f"plugin_{distribution.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(code)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[story]\n{name or distribution} = {target or module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def load(name: str, **settings: object) -> tuple[Plugin, Registry]:
    plugins = load_plugins(Settings(**settings))  # type: ignore[arg-type]
    return next(plugin for plugin in plugins.all if plugin.name == name), plugins.registry


def test_the_built_in_plugins_are_the_entry_points_of_this_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["story"] == {point.name: point.value for point in BUILTIN}


def test_the_built_in_plugins_load_without_fault_or_livekit() -> None:
    code = (
        "import sys; from story.core.plugins import load_plugins; from story.core.settings import Settings\n"
        "plugins = load_plugins(Settings(env={'STORY_LOAD_PLUGINS': ''}))\n"
        "print([(p.name, f.message) for p in plugins.all for f in p.faults])\n"
        "print(sorted({'livekit', 'numpy', 'pydantic', 'importlib.metadata'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_an_installed_plugin_is_loaded(install: Install) -> None:
    install("story-acme", GOOD, name="acme")
    acme, registry = load("acme")
    assert (acme.distribution, acme.version, acme.faults, acme.slow) == ("story-acme", "1.2", [], False)
    assert acme.contributes == {"story_tts": ("acme",)}
    assert registry.factory(Role.TTS, "acme") is not None and registry.roles("acme") == (Role.TTS,)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("import nowhere_to_be_found", "can't be imported: ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("raise SystemExit(3)", "can't be imported: SystemExit: 3"),
        ("def broken(:", "can't be imported: SyntaxError"),
        ("x = 1", "has no @story.hookimpl function"),
        (GOOD.replace("story_tts():", "story_tts(nonsense):"), "has a hook that can't be registered: Plugin"),
        (GOOD.replace("story_tts", "story_stts"), "implements hooks that don't exist: story_stts"),
        (GOOD.replace("return ModelFactory", "return dict"), "story_tts: returned dict {'provider': 'acme'"),
        (GOOD.replace('"clear-1",', "1,"), "story_tts: acme: models is tuple (1,), not a list of names"),
        (GOOD.replace("build=print", "build=None"), "story_tts: acme: build is nothing, not a function"),
        (GOOD.replace('"acme"', '"ac/me"'), "story_tts: 'ac/me' can't be the name of a provider"),
        (GOOD.replace("return", "1/0 #"), "story_tts failed: ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_plugin_is_reported_and_hurts_nobody(install: Install, code: str, fault: str) -> None:
    install("aaa-broken", code)
    install("story-acme", GOOD, name="acme")
    plugins = load_plugins(Settings())
    broken = next(plugin for plugin in plugins.all if plugin.name == "aaa-broken")
    assert broken.faults[0].message.startswith(fault) and "\n" not in broken.faults[0].message
    raised = "Error:" in fault or "registered" in fault
    assert ("Traceback" in broken.faults[0].traceback) == (raised or "Exit" in fault or "Syntax" in fault)
    assert plugins.registry.factory(Role.TTS, "acme") is not None
    assert plugins.registry.factory(Role.STT, "deepgram") is not None


def test_a_distribution_that_cannot_be_read_is_reported_and_hurts_no_other(install: Install, tmp_path: Path) -> None:
    install("garbled", GOOD)
    (tmp_path / "garbled-1.2.dist-info" / "entry_points.txt").write_text("[story]\nno equals sign\n= x = y\n")
    install("story-acme", GOOD, name="acme", target="plugin_story_acme [some-extra]")
    assert load("acme")[0].contributes
    garbled = [plugin for plugin in load_plugins(Settings()).all if plugin.distribution == "garbled"]
    assert garbled and all(plugin.faults for plugin in garbled)


def test_faults_hold_no_secrets(install: Install) -> None:
    install("leaky", "import os\nraise RuntimeError('sk-secret-key')")
    leaky, _ = load("leaky", env={"LEAKY_API_KEY": "sk-secret-key"})
    assert leaky.faults[0].message == "can't be imported: RuntimeError: ***"
    assert "Traceback" in leaky.faults[0].traceback and "sk-secret" not in leaky.faults[0].traceback


def test_a_missing_object_and_a_hostile_one_are_only_faults(install: Install) -> None:
    install("gone", GOOD, target="plugin_gone:there.is.none")
    install("hostile", GOOD.replace("return", "return Hostile() #").replace("@hook", HOSTILE + "@hook"))
    assert "AttributeError" in load("gone")[0].faults[0].message
    assert load("hostile")[0].faults[0].message == "story_tts failed: RuntimeError: no repr for you"


HOSTILE = "class Hostile:\n    def __repr__(self): raise RuntimeError('no repr for you')\n\n"


def test_a_taken_name_stays_with_the_first_and_the_error_names_both(install: Install) -> None:
    install("impostor", GOOD.replace('"acme"', '"openai"'))
    impostor, registry = load("impostor")
    assert impostor.faults[0].message == (
        "story_tts: provider 'openai' for tts is offered by both openai and impostor; openai keeps it"
    )
    openai = registry.factory(Role.TTS, "openai")
    assert openai is not None and openai.default_model != "clear-1"


def test_taken_aliases_stacks_and_personas_are_faults_too(tmp_path: Path) -> None:
    offered = {
        "story_aliases": Alias("nova", Role.STT, "deepgram/nova-3"),
        "story_stacks": {"mine": "deepgram+openai", "local": "deepgram+openai"},
        "story_personas": {"guide": tmp_path / "guide.toml"},
    }
    plugins = loaded(offered, offered | {"story_stacks": {"mine": "openai"}})
    first, second = plugins.all
    assert [fault.message for fault in first.faults] == [
        "story_stacks: stack 'local' is offered by both story and one; story keeps it"
    ]
    assert [fault.message.partition(": ")[2] for fault in second.faults] == [
        "alias 'nova' is offered by both one and two; one keeps it",
        "stack 'mine' is offered by both one and two; one keeps it",
        "persona 'guide' is offered by both one and two; one keeps it",
    ]
    assert plugins.registry.stacks["mine"].spec == "deepgram+openai"


def test_one_bad_thing_of_a_list_leaves_the_others() -> None:
    plugins = loaded({"story_tts": [factory("acme", "a"), "rubbish", factory("acme", "b"), factory("other", "a")]})
    assert plugins.all[0].contributes == {"story_tts": ("acme", "other")}
    assert [fault.message for fault in plugins.all[0].faults] == [
        "story_tts: returned str 'rubbish', not a ModelFactory",
        "story_tts: provider 'acme' for tts is offered twice by one",
    ]


def test_prices_are_taken_once_and_rubbish_is_named() -> None:
    good = ModelPrice("acme", Role.TTS, "clear-1", {"kchars": 0.02}, source="a page", date=datetime.date(2026, 11, 1))
    rubbish = [
        3,
        ModelPrice("acme", Role.VAD, "v", {"kchars": 1}),
        ModelPrice("acme", Role.STT, "", {"audio_minute": 1}),
        ModelPrice("acme", Role.STT, "s", {}),
        ModelPrice("acme", Role.STT, "s", {"minute": 1}),
        ModelPrice("acme", Role.STT, "s", {"audio_minute": -1}),
        ModelPrice("acme", Role.STT, "s", {"audio_minute": 1}, date="soon"),  # type: ignore[arg-type]
    ]
    plugins = loaded({"story_prices": good}, {"story_prices": [good, *rubbish]})
    first, second = plugins.all
    assert plugins.registry.prices == (good,) and first.contributes["story_prices"] == ("acme/clear-1 tts",)
    messages = [fault.message.removeprefix("story_prices: ") for fault in second.faults]
    assert messages[0] == "the price of acme/clear-1 tts is offered by both one and two; one keeps it"
    wanted = ("not a ModelPrice", "role is", "model is", "units is", "'minute' is no unit", "audio_minute is", "date a")
    assert len(messages) == 8 and all(text in message for text, message in zip(wanted, messages[1:], strict=True))


def test_rubbish_of_the_other_hooks() -> None:
    plugins = loaded(
        {
            "story_aliases": [Alias("a", "llm", "x/y"), Alias("b c", Role.LLM, "x"), Alias("d", Role.LLM, ""), 3],  # type: ignore[arg-type]
            "story_stacks": {"s": 1, "": "local"},
            "story_personas": ["storyteller"],
        }
    )
    assert [fault.message.split(":")[0] for fault in plugins.all[0].faults] == (
        ["story_aliases"] * 4 + ["story_stacks"] * 2 + ["story_personas"]
    )
    assert plugins.registry.aliases == {} and plugins.registry.personas == {}


@pytest.mark.parametrize(
    ("listed", "skipped"),
    [(None, None), ("", "not named in"), ("other", "not named in"), ("x, Story_Acme", None), ("acme", None)],
)
def test_a_variable_says_which_third_party_plugins_load(
    install: Install, listed: str | None, skipped: str | None
) -> None:
    install("story-acme", GOOD, name="acme")
    acme, registry = load("acme", env={} if listed is None else {"STORY_LOAD_PLUGINS": listed})
    assert (acme.skipped or "").startswith(skipped or "") and (acme.skipped is None) == (skipped is None)
    assert (registry.factory(Role.TTS, "acme") is None) == (skipped is not None)
    assert registry.factory(Role.STT, "deepgram") is not None


@pytest.mark.parametrize("blocked", ["acme", "story-acme"])
def test_story_toml_blocks_a_plugin(install: Install, blocked: str) -> None:
    install("story-acme", GOOD, name="acme")
    acme, registry = load("acme", blocked=frozenset({blocked}))
    assert acme.skipped == "blocked by story.toml" and registry.factory(Role.TTS, "acme") is None


def test_a_built_in_plugin_can_be_blocked() -> None:
    deepgram, registry = load("deepgram", blocked=frozenset({"deepgram"}))
    assert deepgram.skipped and registry.roles("deepgram") == ()


def test_a_plugin_that_imports_livekit_is_slow(install: Install) -> None:
    install("sluggish", "import livekit.rtc\n" + GOOD)
    code = "from story.core.plugins import load_plugins; from story.core.settings import Settings\n"
    code += "print([p.name for p in load_plugins(Settings()).all if p.slow])"
    path = next(folder for folder in sys.path if Path(folder, "plugin_sluggish.py").exists())
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['sluggish']"


def test_plugins_add_commands() -> None:
    def add(app: typer.Typer) -> None:
        app.command("hello")(lambda: None)

    def fail(app: typer.Typer) -> None:
        raise RuntimeError("no")

    app = typer.Typer()
    plugins = loaded({"story_commands": _with_app(fail)}, {"story_commands": _with_app(add)})
    plugins.add_commands(app)
    assert [command.name for command in app.registered_commands] == ["hello"]
    assert plugins.all[0].faults[0].message == "story_commands failed: RuntimeError: no"


def _with_app(hook: Callable[[typer.Typer], None]) -> Callable[[typer.Typer], None]:
    def story_commands(app: typer.Typer) -> None:
        hook(app)

    return story_commands


def test_observers_hear_of_their_events_and_one_that_fails_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    class Failing:
        @hookimpl
        def story_turn(self, event: events.Event) -> None:
            raise RuntimeError("deaf")

    class Hearing:
        @hookimpl
        def story_turn(self, event: events.Event) -> None:
            heard.append(event.type)

        @hookimpl
        def story_call_started(self) -> None:  # an implementation may leave out what it doesn't need
            heard.append("started")

    plugins = loaded()
    plugins.register(Plugin("failing"), Failing())
    plugins.register(Plugin("hearing"), Hearing())
    plugins.observe(events.CallStarted(call="1", t=0, chain="c", transport="t", stacks={}, version="1"))
    plugins.observe(events.UserTurn(call="1", t=1, text="hello"))
    plugins.observe(events.AgentTurn(call="1", t=2, text="hello"))
    plugins.observe(events.Partial(call="1", t=2, who="caller", text="h"))
    assert heard == ["started", "user_turn", "agent_turn"]
    assert plugins.all[0].faults[0].message == "story_turn failed: RuntimeError: deaf" and "deaf" in caplog.text


def test_the_same_object_twice_is_the_second_ones_fault() -> None:
    same = plugin({"story_stt": WORLD["deepgram"]["story_stt"]})
    plugins = loaded()
    plugins.register(Plugin("first"), same)
    plugins.register(Plugin("second"), same)
    assert not plugins.all[0].faults and "can't be registered" in plugins.all[1].faults[0].message
    assert plugins.registry.factory(Role.STT, "deepgram") is not None


def test_aliases_of_a_provider() -> None:
    registry = loaded(WORLD["openai"]).registry
    assert [alias.name for alias in registry.aliases_of(Role.TTS, "openai")] == ["echo-voice"]
