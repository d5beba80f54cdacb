"""What `story run` and `story call` print of a call."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from story.core import events
from story.core.plan import plan_call
from story.core.plugins import load_plugins
from story.core.settings import Settings
from story.serving_log import Log, about
from story.transcript import Transcript

STACKS = {"intro": "local", "story": "local"}
CALL = {"call": "call_1", "t": 1.0, "persona": "intro"}
EVIL = "\x1b[2J\x1b]0;owned\x07Maria\r\n12:00:00 call_2 began"
SPOKEN = (
    events.CallFault(**CALL, where="llm", provider="openai", message=EVIL, recoverable=True),  # type: ignore[arg-type]
    events.CallEnded(**CALL, reason="finished", data={"name": EVIL}, usage={}, duration=3.0),  # type: ignore[arg-type]
)
TURNS = (
    events.UserTurn(**CALL, text=EVIL),  # type: ignore[arg-type]
    events.AgentTurn(**CALL, text=EVIL),  # type: ignore[arg-type]
)


@pytest.mark.parametrize("event", SPOKEN)
def test_what_was_gathered_or_went_wrong_does_nothing_to_a_terminal(
    event: events.Event, capsys: pytest.CaptureFixture[str]
) -> None:
    Log(as_json=False).event(event)
    told = capsys.readouterr().out
    assert told.endswith("\n") and told[:-1].isprintable() and "Maria" in told


@pytest.mark.parametrize("event", SPOKEN)
def test_in_json_it_is_escaped(event: events.Event, capsys: pytest.CaptureFixture[str]) -> None:
    Log(as_json=True).event(event)
    told = capsys.readouterr().out
    assert told[:-1].isprintable() and json.loads(told) == event.as_dict()


@pytest.mark.parametrize("event", [*SPOKEN, *TURNS])
def test_nor_does_what_was_said(event: events.Event, capsys: pytest.CaptureFixture[str]) -> None:
    chain = plan_call(load_plugins(Settings()).registry, Settings(), stacks=STACKS).chain
    Transcript(chain, Console(highlight=False, width=500))(event)
    told = capsys.readouterr().out
    assert told[:-1].isprintable() and "Maria" in told


def test_the_banner_says_why_it_is_these_stacks() -> None:
    registry = load_plugins(Settings()).registry
    chosen, left_open = plan_call(registry, Settings(), stacks=STACKS), plan_call(registry, Settings())
    assert about(chosen, None) == ["chain  storyteller", "intro  local", "story  local"]
    assert len(about(left_open, "The vendors are emulated.")) == 5
    assert about(left_open, None)[3].startswith("using the stack local, which needs no keys: DEEPGRAM_API_KEY")
