"""The example chains load, docs/chains.md is true, and the hotel's ways through it can be walked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import llm

from story.core import events
from story.core.agent import PersonaAgent
from story.core.call import Call
from story.core.live import LiveStack
from story.core.personas import Chain, Exit, Persona, load_chain
from tests.core.test_call import TypedCaller
from tests.fakes import ScriptedLLM, Tool, last_user

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "chains.md").read_text(encoding="utf-8")
HOTEL = ROOT / "examples" / "chains" / "hotel.toml"


def test_the_smallest_chain_is_one(tmp_path: Path) -> None:
    path = tmp_path / "pizza.toml"
    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    path.write_text(text, encoding="utf-8")
    assert load_chain(path).personas["waiter"].nexts == ("end",)


@pytest.mark.parametrize("table", [Chain, Persona, Exit])
def test_the_page_has_every_key(table: type[Chain] | type[Persona] | type[Exit]) -> None:
    assert {name for name in table.model_fields if name != "personas"} <= set(re.findall(r"^\| `(\w+)`", PAGE, re.M))


def test_the_python_persona_is_one() -> None:
    (text,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(text, "chains.md", "exec"), names)
    assert issubclass(names["Concierge"], PersonaAgent)


def desk(chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
    """Calls the tool that the caller's last words name."""
    said = last_user(chat_ctx)
    given: dict[str, dict[str, object]] = {
        "has_a_question": {"name": "Ada"},
        "wants_a_room_after_all": {},
        "room_booked": {"nights": 3},
    }
    for tool in tools:
        if tool.id == said and choice != "none":
            return Tool(tool.id, given[tool.id])
    return "At your service."


async def test_the_hotel_by_way_of_the_concierge() -> None:
    chain = load_chain(HOTEL)
    stack = LiveStack(llm=ScriptedLLM(desk))
    caller = TypedCaller(["has_a_question", "wants_a_room_after_all", "room_booked"])
    call = Call(chain, caller, dict.fromkeys(chain.personas, stack), specs=dict.fromkeys(chain.personas, "scripted"))
    seen: list[events.Event] = []
    call.subscribe(seen.append)
    ended = await call.run()
    ways = [(event.from_, event.to) for event in seen if isinstance(event, events.Handoff)]
    assert ways == [("bellboy", "concierge"), ("concierge", "reservations")]
    assert (ended.reason, ended.data) == ("finished", {"name": "Ada", "nights": 3})
