"""What a run is expected to take, and what its results say of the machine."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from story.bench.prices import load_prices
from story.bench.request import expected_cost, expected_seconds, expected_usage, machine
from story.bench.scenarios import built_in
from story.core.plan import Plan, find_chain
from story.core.plugins import load_plugins
from story.core.registry import DEFAULT_CHAIN, Role
from story.core.resolve import resolve
from story.core.settings import Settings

MARIA = built_in()["maria"]


def plan(spec: str, *roles: Role) -> Plan:
    registry = load_plugins(Settings(env={"STORY_LOAD_PLUGINS": ""})).registry
    name, chain = find_chain(DEFAULT_CHAIN, registry)
    return Plan(name, chain, {"": resolve(spec, registry)}, {}, frozenset(roles or Role))


def test_a_realtime_model_whose_words_another_voice_speaks_makes_no_sound() -> None:
    alone, halved = (expected_usage(MARIA, roles)[""] for roles in ({Role.REALTIME}, {Role.REALTIME, Role.TTS}))
    assert [one["type"] for one in alone] == ["llm_usage"] and alone[0]["output_audio_tokens"] > 0
    assert [one["type"] for one in halved] == ["llm_usage", "tts_usage"] and halved[0]["output_audio_tokens"] == 0
    assert halved[0]["input_audio_tokens"] < alone[0]["input_audio_tokens"]
    prices = load_prices([])
    voice = expected_cost(plan("tts=cartesia", Role.TTS), [MARIA], prices)[0]
    model, both = (
        expected_cost(plan(spec), [MARIA], prices)[0] for spec in ("openai-realtime", "openai-realtime+tts=cartesia")
    )
    assert 0 < voice < both < model


def test_a_pipeline_is_paid_by_its_roles() -> None:
    prices = load_prices([])
    whole = expected_cost(plan("deepgram+gpt4o-mini+cartesia"), [MARIA], prices)[0]
    parts = ("stt=deepgram", Role.STT), ("llm=gpt4o-mini", Role.LLM), ("tts=cartesia", Role.TTS)
    assert whole == pytest.approx(sum(expected_cost(plan(*part), [MARIA], prices)[0] for part in parts))
    assert expected_cost(plan("deepgram/none-such+gpt4o-mini+cartesia"), [MARIA], prices)[1] == {"deepgram/none-such"}


def test_a_model_alone_takes_less_than_a_call() -> None:
    assert expected_seconds(MARIA, "llm") < expected_seconds(MARIA, "stt") < expected_seconds(MARIA)


def test_the_machine_and_what_runs_on_it() -> None:
    found = machine()
    packages = found["packages"]
    assert packages["livekit-plugins-deepgram"] == version("livekit-plugins-deepgram")
    assert {"livekit-agents", "moonshine-voice", "xllamacpp", "numpy"} <= set(packages) and "pytest" not in packages
    assert found["processor"]
