"""Calls with the vendors' real plugins against the emulator, several at once: they take real time, but little work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from story.core import events
from story.core.launch import hold_call
from story.core.plan import plan_call
from story.core.plugins import load_plugins
from story.core.settings import Settings
from story.emulating import emulated
from story.emulator.assemble import Options, assemble, pretend_keys
from story.emulator.emulation import Emulation
from story.transports.file import FileTransport

ROOT = Path(__file__).parents[2]
CALLERS = ROOT / "tests" / "callers"
FACTS = json.loads((CALLERS / "callers.json").read_text())
AT_ONCE = 4
"""On two cores; livekit's own load of a call is a sixth of one."""
SECONDS = 120.0


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

    def journal(self, vendor: str, endpoint: str, kind: str) -> list[dict[str, object]]:
        """The entries of one kind, oldest first."""
        where = (vendor, endpoint, kind)
        return [e for e in self.emulation.journal.as_data() if (e["vendor"], e["endpoint"], e["kind"]) == where]


@dataclass(frozen=True)
class Wanted:
    """A call to hold. turns: recordings, those of the caller by default. faults: as `--fault` takes them."""

    caller: str
    stacks: dict[str, str]
    chain: str = "storyteller"
    brain: str = "script"
    faults: Sequence[str] = ()
    turns: Sequence[str] = ()
    barge_in: dict[int, float] = field(default_factory=dict)
    max_duration: float = 100.0

    async def hold(self) -> HeldCall:
        options = Options(
            brain=self.brain, heard=str(CALLERS / "callers.json"), speech="tones", faults=tuple(self.faults)
        )
        settings = Settings()
        plugins = load_plugins(settings)
        emulation = assemble(options, plugins, settings)
        settings = pretend_keys(settings)
        plan = plan_call(plugins.registry, settings, chain=self.chain, stacks=self.stacks)
        files = self.turns or [turn["file"] for turn in FACTS[self.caller]["turns"]]
        transport = FileTransport([CALLERS / file for file in files], barge_in=self.barge_in)
        held = HeldCall(emulation)
        with settings.exported():
            async with asyncio.timeout(SECONDS), emulated(emulation, settings) as reached:
                observers = [held.events.append]
                await hold_call(plan, transport, plugins, reached, observers=observers, max_duration=self.max_duration)
        return held


async def hold_all(wanted: dict[str, Wanted]) -> dict[str, HeldCall | Exception]:
    """Hold several calls, a few at a time."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(call: Wanted) -> HeldCall | Exception:
        async with free:
            try:
                return await call.hold()
            except Exception as error:
                return error

    held = await asyncio.gather(*(one(call) for call in wanted.values()))
    return dict(zip(wanted, held, strict=True))


def check_storyteller(call: HeldCall, caller: str) -> None:
    """The storyteller's chain, from the right facts to the goodbye."""
    name, place = FACTS[caller]["name"], FACTS[caller]["location"]
    assert call.ended.data == {"name": name, "location": place}
    assert [(handoff.from_, handoff.to) for handoff in call.of(events.Handoff)] == [("intro", "story")]
    assert [tool.name for tool in call.of(events.ToolCall)] == ["information_gathered", "story_finished"]
    story = call.said("story")
    assert name in story and place in story
    assert name in call.of(events.AgentTurn)[-1].text
    assert call.ended.reason == "finished"


def held(calls: dict[str, HeldCall | Exception], name: str) -> HeldCall:
    """A call of `hold_all`; raises what kept it from being held."""
    call = calls[name]
    if isinstance(call, Exception):
        raise call
    return call
