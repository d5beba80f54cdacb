"""The calls that a user asks for: how they are planned, what they need here, and where their vendors are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from story.core.plan import Plan
    from story.core.plugins import Plugins
    from story.core.settings import Settings
    from story.emulator.assemble import Options
    from story.emulator.emulation import Emulation
    from story.workspace import Workspace


@dataclass(frozen=True)
class Wanted:
    """stacks: persona -> spec, as given. settings: as the calls are to be planned. stand_ins: how vendors are emulated,
    emulation: who does it; None where they are not."""

    chain: str
    stacks: Mapping[str, str]
    plugins: Plugins
    settings: Settings
    stand_ins: Options | None
    emulation: Emulation | None

    @classmethod
    def of(cls, space: Workspace, chain: str, stacks: Mapping[str, str], stand_ins: Options | None) -> Wanted:
        """Raises StoryError for vendors that can't be emulated so."""
        settings, plugins = space.settings, space.plugins
        if stand_ins is None:
            return cls(chain, stacks, plugins, settings, None, None)
        from story.emulator.assemble import assemble, pretend_keys

        emulation = assemble(stand_ins, plugins, settings)
        return cls(chain, stacks, plugins, pretend_keys(settings), stand_ins, emulation)

    def plan(self, *, audio: bool = True) -> Plan:
        """Raises StoryError where there can't be such calls here."""
        from story.core.plan import plan_call

        return plan_call(self.plugins.registry, self.settings, chain=self.chain, stacks=self.stacks, audio=audio)

    def plan_if_here(self) -> Plan | None:
        """The plan, unless something has to be fetched for it first. Raises StoryError, as `plan` does."""
        from story.fetching import is_here

        plan = self.plan()
        return plan if is_here(plan, self.stand_ins, self.plugins, self.settings) else None

    def fetch(self, plan: Plan, *, yes: bool) -> None:
        """Fetch what the plan needs, once the user has agreed. Raises StoryError."""
        from story.fetching import fetch

        fetch(plan, self.stand_ins, self.plugins, self.settings, yes=yes)

    @asynccontextmanager
    async def reached(self) -> AsyncIterator[Settings]:
        """Within the block the vendors can be reached, with the settings that are given."""
        if self.emulation is None:
            yield self.settings
            return
        from story.emulating import emulated

        async with emulated(self.emulation, self.settings) as settings:
            yield settings
