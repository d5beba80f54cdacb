"""What all endpoints of one emulator share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from story.emulator.brain import Brain, Voice
from story.emulator.faults import Faults
from story.emulator.hearing import Ears
from story.emulator.journal import Journal
from story.emulator.latency import Latencies

Kept = TypeVar("Kept")


@dataclass
class Emulation:
    """The minds behind the protocols, and what happens to them."""

    brain: Brain
    voice: Voice
    ears: Ears
    latencies: Latencies = field(default_factory=Latencies)
    faults: Faults = field(default_factory=Faults)
    journal: Journal = field(default_factory=Journal)
    keys: frozenset[str] = frozenset()
    """Those allowed; empty: any."""
    _kept: dict[type[object], object] = field(default_factory=dict, repr=False)

    def recall(self, kind: type[Kept]) -> Kept:
        """The one `kind` of this emulation, made when it is first asked for: what outlasts a connection."""
        found = self._kept.get(kind)
        if not isinstance(found, kind):
            found = self._kept[kind] = kind()
        return found

    async def aclose(self) -> None:
        for part in (self.brain, self.voice, self.ears):
            await part.aclose()
