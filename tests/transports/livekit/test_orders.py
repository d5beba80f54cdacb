"""What a job's metadata may say, and what a worker makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from story import hookimpl
from story.core.errors import StoryError
from story.core.plan import Plan, plan_call
from story.core.plugins import Plugins, load_plugins
from story.core.settings import Settings
from story.transports.livekit.loading import allowed_stacks
from story.transports.livekit.orders import LONGEST, Order, models_of, plan_order, read_order

STACKS = {"intro": "deepgram+gpt4o-mini", "story": "openai-realtime"}
KEYS = {"OPENAI_API_KEY": "none", "DEEPGRAM_API_KEY": "none"}
GUIDE = """
start = "intro"
default_stack = "deepgram+openai/gpt-4o+openai"

[personas.intro]
name = "Ada"
instructions = "Show them round."
then = { tool = "over", description = "The tour is over.", next = "end" }
"""


class Guides:
    """A plugin with that chain."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @hookimpl
    def story_personas(self) -> dict[str, Path]:
        return {"guide": self._path}


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings(env={"STORY_LOAD_PLUGINS": "", **KEYS})


@pytest.fixture(scope="module")
def plugins(settings: Settings) -> Plugins:
    return load_plugins(settings)


@pytest.fixture(scope="module")
def own(plugins: Plugins, settings: Settings) -> Plan:
    return plan_call(plugins.registry, settings, stacks=STACKS)


def planned(order: Order, own: Plan, plugins: Plugins, settings: Settings, *specs: str) -> Plan:
    allowed = models_of(allowed_stacks(own, list(specs), plugins.registry, settings))
    return plan_order(order, own, chain="storyteller", plugins=plugins, settings=settings, allowed=allowed)


def test_an_order_survives_its_way() -> None:
    for order in (Order(), Order("storyteller"), Order(stacks=STACKS), Order("storyteller", STACKS, wait=True)):
        assert read_order(order.as_metadata()) == order
    assert read_order("") == read_order(" ") == Order()


@pytest.mark.parametrize("metadata, told", [
    ("{", "is no JSON"),
    ("[]", "is no object"),
    ('"storyteller"', "is no object"),
    ('{"stack": {}}', "unknown key 'stack' (did you mean stacks?)"),
    ('{"chain": 1}', "chain is the name of a chain"),
    ('{"stacks": ["local"]}', "stacks says the stack of each persona"),
    ('{"wait": 1}', "wait is true or false"),
    ('{"stacks": {"intro": 1}}', "stacks says the stack of each persona"),
    (json.dumps({"chain": "x" * LONGEST}), "is longer than"),
])  # fmt: skip
def test_metadata_that_means_nothing(metadata: str, told: str) -> None:
    with pytest.raises(StoryError) as raised:
        read_order(metadata)
    assert told in str(raised.value)


def test_without_a_wish_it_is_the_workers_own_call(own: Plan, plugins: Plugins, settings: Settings) -> None:
    assert planned(Order(), own, plugins, settings) is own


def test_what_is_not_asked_for_is_the_workers_own(own: Plan, plugins: Plugins, settings: Settings) -> None:
    plan = planned(Order(stacks={"intro": "openai-realtime:marin"}), own, plugins, settings)
    assert plan.stacks["story"] == own.stacks["story"]
    assert "marin" in str(plan.stacks["intro"])


def test_another_chain_has_stacks_of_its_own(own: Plan, settings: Settings, tmp_path: Path) -> None:
    """Not those that the worker has for personas of the same name."""
    path = tmp_path / "guide.toml"
    path.write_text(GUIDE, encoding="utf-8")
    plugins = load_plugins(settings, extra=[("guide", Guides(path))])
    plan = planned(Order("guide"), own, plugins, settings)
    assert (plan.name, plan.chain.start, list(plan.stacks)) == ("guide", "intro", ["intro"])
    assert plan.stacks["intro"] != own.stacks["intro"] and "gpt-4o" in str(plan.stacks["intro"])
    plan = planned(Order("guide", {"intro": "openai-realtime"}), own, plugins, settings)
    assert str(plan.stacks["intro"]) == str(own.stacks["story"])
    with pytest.raises(StoryError, match="has no persona 'story'"):
        planned(Order("guide", {"story": "openai-realtime"}), own, plugins, settings)
    with pytest.raises(StoryError, match="deepgram as tts is not what this worker was started for"):
        planned(Order("guide", {"intro": "deepgram+gpt4o-mini+deepgram"}), own, plugins, settings)


def test_no_file_of_this_machine_is_read_as_a_chain(own: Plan, plugins: Plugins, settings: Settings) -> None:
    with pytest.raises(StoryError, match="unknown chain '/etc/passwd'"):
        planned(Order("/etc/passwd"), own, plugins, settings)


def test_models_that_the_worker_was_not_started_for(own: Plan, plugins: Plugins, settings: Settings) -> None:
    order = Order(stacks={"story": "deepgram+gpt4o-mini+openai"})
    assert planned(order, own, plugins, settings).stacks["story"] != own.stacks["story"]
    wanted = Order(stacks={"intro": "deepgram+gpt4o-mini+deepgram"})
    with pytest.raises(StoryError) as raised:
        planned(wanted, own, plugins, settings)
    assert "deepgram as tts is not what this worker was started for (--allow-stacks)" in str(raised.value)
    planned(wanted, own, plugins, settings, "deepgram+gpt4o-mini+deepgram")


def test_stacks_whose_keys_are_there_are_allowed_by_default(own: Plan, plugins: Plugins, settings: Settings) -> None:
    allowed = models_of(allowed_stacks(own, None, plugins.registry, settings))
    providers = {provider for _, provider in allowed}
    assert {"openai", "deepgram"} <= providers and not {"cartesia", "elevenlabs"} & providers
