"""Whole calls with the vendors' real plugins against the emulator: recorded callers, real time, sound in and out."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from story.core import events
from story.core.launch import hold_call
from story.core.plan import plan_call
from story.core.settings import Settings
from story.emulating import emulated
from story.emulator.assemble import Options, assemble, pretend_keys
from story.emulator.emulation import Emulation
from story.transports.file import FileTransport
from story.workspace import open_workspace

ROOT = Path(__file__).parents[2]
CALLERS = ROOT / "tests" / "callers"
FACTS = json.loads((CALLERS / "callers.json").read_text())
PROVEN = tomllib.loads((ROOT / "docs" / "proven.toml").read_text())["call"]
SCRIPTED = Options(brain="script", heard=str(CALLERS / "callers.json"), speech="tones")
BARGE_IN = {"barge": {2: 3.0}}


@dataclass
class HeldCall:
    """What a call told, and what the emulator saw of it."""

    emulation: Emulation
    events: list[events.Event] = field(default_factory=list)

    def of(self, kind: type[events.Event]) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def ended(self) -> events.CallEnded:
        return self.of(events.CallEnded)[0]

    def said(self, persona: str) -> str:
        return " ".join(turn.text for turn in self.of(events.AgentTurn) if turn.persona == persona)

    def journal(self, vendor: str, endpoint: str, kind: str) -> list[object]:
        entries = self.emulation.journal.as_data()
        where = (vendor, endpoint, kind)
        return [e["content"] for e in entries if (e["vendor"], e["endpoint"], e["kind"]) == where]


async def hold(
    caller: str,
    stacks: dict[str, str],
    *,
    chain: str = "storyteller",
    options: Options = SCRIPTED,
    barge_in: dict[int, float] | None = None,
    out: Path | None = None,
    max_duration: float = 100.0,
) -> HeldCall:
    """Hold a call of a recorded caller with emulated vendors."""
    space = open_workspace()
    settings, plugins = Settings(), space.plugins
    emulation = assemble(options, plugins, settings)
    settings = pretend_keys(settings)
    plan = plan_call(plugins.registry, settings, chain=chain, stacks=stacks)
    turns = [CALLERS / turn["file"] for turn in FACTS[caller]["turns"]]
    held = HeldCall(emulation)
    transport = FileTransport(turns, out=out, barge_in=barge_in or BARGE_IN.get(caller))
    with settings.exported():
        async with emulated(emulation, settings) as reached:
            await hold_call(
                plan, transport, plugins, reached, observers=[held.events.append], max_duration=max_duration
            )
    return held


def check_storyteller(call: HeldCall, caller: str) -> None:
    """The storyteller's chain, from the right facts to the goodbye."""
    name, place = FACTS[caller]["name"], FACTS[caller]["location"]
    faults = [(fault.where, fault.message) for fault in call.of(events.CallFault)]
    assert faults == []
    assert call.ended.data == {"name": name, "location": place}
    assert [(handoff.from_, handoff.to) for handoff in call.of(events.Handoff)] == [("intro", "story")]
    assert [tool.name for tool in call.of(events.ToolCall)] == ["information_gathered", "story_finished"]
    story = call.said("story")
    assert name in story and place in story
    assert name in call.of(events.AgentTurn)[-1].text
    assert call.ended.reason == "finished"


@pytest.mark.timeout(150)
@pytest.mark.parametrize("proof", PROVEN, ids=lambda proof: f"{proof['intro']} to {proof['story']}")
async def test_a_whole_call(proof: dict[str, str]) -> None:
    call = await hold(proof["caller"], {"intro": proof["intro"], "story": proof["story"]})
    check_storyteller(call, proof["caller"])
