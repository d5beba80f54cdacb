"""What keeps a stack from running here, and the stack that is taken where the user chose none."""

from __future__ import annotations

import pytest

from story import Role
from story.core.errors import MissingKeyError, MissingPackageError, StackError
from story.core.registry import ModelOptions
from story.core.requirements import check, missing_package, require, stack_without_choice
from story.core.resolve import resolve
from story.core.settings import Settings
from tests.offers import WORLD, factory, world

DEFAULT = "deepgram/nova-3+openai/gpt-4o-mini+openai/gpt-4o-mini-tts:echo"


def test_a_missing_key_is_named_and_pointed_at() -> None:
    registry = world()
    settings = Settings(env={"OPENAI_API_KEY": "sk-123456", "DEEPGRAM_API_KEY": ""})
    stack = resolve("deepgram+gpt4o-mini+cartesia", registry)
    problems = check(stack, registry, settings)
    assert [problem.kind for problem in problems] == ["key", "key"]
    with pytest.raises(MissingKeyError) as caught:
        require(stack, registry, settings)
    assert caught.value.pointed().splitlines() == [
        "deepgram stt needs DEEPGRAM_API_KEY, which is not set; put it in .env or the environment",
        "  deepgram+gpt4o-mini+cartesia",
        "  ^^^^^^^^",
    ]


@pytest.mark.parametrize(
    ("requires", "install"),
    [("nowhere-plugin", "pip install nowhere-plugin"), ("nowhere[all]>=1.2", "pip install 'nowhere[all]>=1.2'")],
)
def test_a_missing_package_comes_with_the_install_command(requires: str, install: str) -> None:
    registry = world(acme={"story_tts": factory("acme", "m", requires=requires)})
    with pytest.raises(MissingPackageError) as caught:
        require(resolve("tts=acme", registry), registry, Settings())
    assert str(caught.value) == f"acme tts needs a package that is not installed: {install}"


@pytest.mark.parametrize("requires", [None, "livekit-agents", "livekit_agents>=1", "Livekit.Agents[x]; a > 'b'"])
def test_an_installed_package_is_no_problem(requires: str | None) -> None:
    assert missing_package(requires) is None


def test_a_provider_says_why_it_cannot_run() -> None:
    def problem(options: ModelOptions) -> str:
        return f"{options.model} wants\nmore memory, {options.api_key}"

    def broken(options: ModelOptions) -> str:
        raise RuntimeError("oops")

    registry = world(
        acme={"story_tts": factory("acme", "m", problem=problem, env=("ACME_KEY",))},
        beta={"story_tts": factory("beta", "m", problem=broken)},
    )
    settings = Settings(env={"ACME_KEY": "sk-123456"})
    stack = resolve("local+local+acme,beta", registry)
    assert [found.message for found in check(stack, registry, settings)] == [
        "acme tts can't run here: m wants more memory, ***",
        "beta tts can't run here: its check failed: RuntimeError: oops",
    ]
    with pytest.raises(StackError, match="more memory"):
        require(stack, registry, settings)


def test_only_the_wanted_roles_are_checked() -> None:
    registry = world()
    stack = resolve("deepgram+local", registry)
    assert check(stack, registry, Settings(), roles={choice.role for choice in stack.choices[1:]}) == []


@pytest.mark.parametrize(
    ("keys", "chosen", "why"),
    [
        (["OPENAI_API_KEY", "DEEPGRAM_API_KEY"], None, "using the chain's own stacks"),
        (["OPENAI_API_KEY"], "openai", "using the stack openai: DEEPGRAM_API_KEY is not set, but all its keys are"),
        ([], "local", "using the stack local, which needs no keys: DEEPGRAM_API_KEY and OPENAI_API_KEY are not set"),
    ],
)
def test_the_stack_without_a_choice(keys: list[str], chosen: str | None, why: str) -> None:
    settings = Settings(env=dict.fromkeys(keys, "secret"))
    assert stack_without_choice([DEFAULT, DEFAULT], world(), settings) == (chosen, why)


def test_only_keys_of_roles_that_will_be_built_count() -> None:
    settings = Settings(env={"OPENAI_API_KEY": "secret"})
    assert stack_without_choice([DEFAULT], world(), settings, roles={Role.LLM})[0] is None


def test_without_the_openai_pipeline_its_realtime_model_is_taken() -> None:
    openai = {hook: offered for hook, offered in WORLD["openai"].items() if hook != "story_llm"}
    registry = world(openai=openai)
    settings = Settings(env={"OPENAI_API_KEY": "secret"})
    assert stack_without_choice(["deepgram"], registry, settings)[0] == "openai-realtime"


def test_a_stack_without_keys_is_no_reason_to_pass_over_the_last_resort() -> None:
    registry = world(acme={"story_tts": factory("acme", "m"), "story_stacks": {"mine": "local+local+acme"}})
    assert stack_without_choice([DEFAULT], registry, Settings())[0] == "local"
