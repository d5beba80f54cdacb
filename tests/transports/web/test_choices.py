"""What callers may choose before a call, and what they may not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from story.core.errors import StoryError
from story.core.plan import plan_call
from story.core.plugins import load_plugins
from story.core.settings import Settings, load_settings
from story.transports.web.offers import Offers, offers_of
from tests.offers import factory, plugin

SECRET = "very-secret-0123456789"


@pytest.fixture(scope="module")
def offers() -> Offers:
    """With a key of OpenAI's and none of anybody else's."""
    settings = Settings().with_overrides(env={"OPENAI_API_KEY": SECRET})
    registry = load_plugins(settings).registry
    stacks = {"intro": "openai-realtime", "story": "openai-realtime:marin"}
    return offers_of(plan_call(registry, settings, stacks=stacks), registry, settings)


def test_each_persona_with_the_stack_it_has_by_default(offers: Offers) -> None:
    assert [(persona.key, persona.name, persona.stack) for persona in offers.personas] == [
        ("intro", "Echo", "openai-realtime"),
        ("story", "Echo", "openai-realtime:marin"),
    ]
    assert offers.chosen({}) == {"intro": "openai-realtime", "story": "openai-realtime:marin"}


def test_every_stack_is_there_once_and_says_why_it_can_not_run(offers: Offers) -> None:
    specs = [stack.spec for stack in offers.stacks]
    assert len(specs) == len(set(specs)) and "local" in specs
    for stack in offers.stacks:
        assert stack.title and (stack.reason is None) == stack.works
    default = next(stack for stack in offers.stacks if "deepgram" in stack.spec)
    assert not default.works and "DEEPGRAM_API_KEY" in str(default.reason)


def test_no_key_is_among_it(offers: Offers) -> None:
    assert SECRET not in json.dumps(offers.as_dict())


def test_a_choice_of_what_is_offered(offers: Offers) -> None:
    assert offers.chosen({"intro": "openai-realtime:marin"})["intro"] == "openai-realtime:marin"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"outro": "openai-realtime"}, "has no persona of that name"),
        ({"intro": "gpt4o-mini+<script>"}, "not offered here"),
        ({"intro": ""}, "not offered here"),
    ],
)
def test_what_is_not_offered_is_refused_unquoted(offers: Offers, asked: dict[str, str], message: str) -> None:
    with pytest.raises(StoryError, match=message) as raised:
        offers.chosen(asked)
    assert "script" not in str(raised.value)


def test_a_stack_that_can_not_run_here_is_refused_with_the_reason(offers: Offers) -> None:
    broken = next(stack for stack in offers.stacks if not stack.works)
    with pytest.raises(StoryError, match="can't run here") as raised:
        offers.chosen({"intro": broken.spec})
    assert str(broken.reason) in str(raised.value)


def test_weights_that_are_not_here_are_told_before_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORY_CACHE", str(tmp_path))
    settings = Settings().with_overrides(env={"OPENAI_API_KEY": SECRET})
    registry = load_plugins(settings).registry
    stacks = {"intro": "openai-realtime", "story": "openai-realtime"}
    found = offers_of(plan_call(registry, settings, stacks=stacks), registry, settings)
    local = next(stack for stack in found.stacks if stack.spec == "local")
    assert not local.works and "GB of weights" in str(local.reason)
    assert "run `story models pull qwen2.5-coder-1.5b`" in str(local.reason)
    with pytest.raises(StoryError, match="not on this machine"):
        found.chosen({"intro": "local"})


def test_so_are_those_of_another_provider() -> None:
    acme = factory("acme", "clear-1", to_fetch=lambda options: 500_000_000 if options.model == "clear-1" else 0)
    odd = factory("odd", "odd-1", to_fetch=lambda options: 1 // 0)
    voices = {"clear": "openai,acme", "other": "acme/clear-0", "odd": "odd"}
    named = {name: f"stt=openai+llm=openai+tts={voice}" for name, voice in voices.items()}
    hooks = {"acme": {"story_tts": acme, "story_stacks": named}, "odd": {"story_tts": odd}}
    settings = Settings().with_overrides(env={"OPENAI_API_KEY": SECRET})
    registry = load_plugins(settings, extra=[(name, plugin(offered)) for name, offered in hooks.items()]).registry
    stacks = {"intro": "openai-realtime", "story": "openai-realtime"}
    found = offers_of(plan_call(registry, settings, stacks=stacks), registry, settings)
    reasons = {stack.spec: stack.reason for stack in found.stacks}
    needs = "acme tts needs 0.50 GB of weights that are not on this machine: start with this stack, which fetches them"
    assert reasons["clear"] == needs
    assert reasons["other"] is None
    assert reasons["odd"] is None, "a provider that can't tell is asked when its model is wanted"


def test_a_named_stack_that_means_nothing_is_shown_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "story.toml").write_text('[stacks.odd.llm]\nuse = "openai/gpt-99"\n')
    settings = load_settings(folder=tmp_path, environ={}).with_overrides(env={"OPENAI_API_KEY": SECRET})
    registry = load_plugins(settings).registry
    stacks = {"intro": "openai-realtime", "story": "openai-realtime"}
    found = offers_of(plan_call(registry, settings, stacks=stacks), registry, settings)
    assert "odd" in [stack.spec for stack in found.stacks]
