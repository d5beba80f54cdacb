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


def test_a_named_stack_that_means_nothing_is_shown_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "story.toml").write_text('[stacks.odd.llm]\nuse = "openai/gpt-99"\n')
    settings = load_settings(folder=tmp_path, environ={}).with_overrides(env={"OPENAI_API_KEY": SECRET})
    registry = load_plugins(settings).registry
    stacks = {"intro": "openai-realtime", "story": "openai-realtime"}
    found = offers_of(plan_call(registry, settings, stacks=stacks), registry, settings)
    assert "odd" in [stack.spec for stack in found.stacks]
