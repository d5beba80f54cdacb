"""What all calls of a benchmark share: plugins, settings, the chain, and emulated vendors where there are such."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from story.bench.caller import MURMUR
from story.bench.log import VendorLog
from story.bench.noted import NotedEars, NotedLatencies
from story.emulator.assemble import emulator, redirected
from story.emulator.ears import Clip, ClipEars
from story.emulator.emulation import Emulation
from story.emulator.faults import Faults
from story.emulator.hearing import Ears, Word
from story.emulator.journal import Journal
from story.transports.sound import SAMPLE_RATE, read_wav

if TYPE_CHECKING:
    from story.bench.cell import Cell
    from story.bench.scenarios import Scenario
    from story.bench.transports.choice import Connect
    from story.core.plugins import Plugins
    from story.core.registry import Registry
    from story.core.settings import Settings


@dataclass(frozen=True)
class Vendors:
    """Who a call talks to. settings: those that lead there. log: what emulated ones wrote down, None for real ones."""

    settings: Settings
    log: VendorLog | None = None


class _OneCallEmulation(Emulation):
    """An emulation whose minds outlive its server: they are those of all calls."""

    async def aclose(self) -> None:
        pass


@dataclass(frozen=True)
class Stand:
    """emulation: the minds and latencies of emulated vendors, None where the real ones are called. seed: of drawn
    latencies and faults. max_duration: of a call, seconds. connect: makes what a call is held over, None for a line in
    this process. ears: of emulated vendors, by the scenario they hear."""

    plugins: Plugins
    settings: Settings
    chain: str
    max_duration: float
    emulation: Emulation | None = None
    seed: int = 0
    connect: Connect | None = None
    ears: Mapping[str, Ears] = field(default_factory=dict)

    @property
    def registry(self) -> Registry:
        return self.plugins.registry

    @asynccontextmanager
    async def vendors(self, cell: Cell) -> AsyncIterator[Vendors]:
        """Within the block the vendors of one call can be reached; emulated ones are its own, with a log of their own,
        on a free port."""
        if self.emulation is None:
            yield Vendors(self.settings)
            return
        seed = cell.seed(self.seed)
        latencies = NotedLatencies(self.emulation.latencies.profile, seed=seed)
        ears = NotedEars(self.ears.get(cell.scenario, self.emulation.ears))
        own = _OneCallEmulation(
            brain=self.emulation.brain,
            voice=self.emulation.voice,
            ears=ears,
            latencies=latencies,
            faults=Faults(list(self.emulation.faults.faults), seed=seed),
            journal=Journal(),
        )
        async with emulator(own) as server:
            yield Vendors(redirected(self.settings, server.url), VendorLog(own.journal, latencies, ears))

    def knowing(self, scenarios: Iterable[Scenario], *, coded: bool = False) -> Stand:
        """One whose emulated recognisers know by heart what the caller of each scenario says (of that alone, as two
        callers may begin a line alike), coded: as Opus makes it."""
        if self.emulation is None:
            return self
        return replace(self, ears={one.name: ears for one in scenarios if (ears := self._ears(one, coded)) is not None})

    def _ears(self, scenario: Scenario, coded: bool) -> Ears | None:
        """None where no words are known."""
        clips = _clips(scenario)
        if self.emulation is None or not clips:
            return None
        clips.append(_clip(MURMUR, (("Mm-hmm.", 0.02, 0.57),)))
        if coded:
            from story.bench.transports.coded import as_coded

            clips = [one for clip in clips for one in as_coded(clip)]
        return ClipEars(tuple(clips), unknown=self.emulation.ears)

    async def aclose(self) -> None:
        if self.emulation is not None:
            await self.emulation.aclose()


def _clips(scenario: Scenario) -> list[Clip]:
    return [_clip(line.sound, line.words) for line in scenario.lines if line.sound is not None and line.words]


def _clip(path: Path, words: Sequence[tuple[str, float, float]]) -> Clip:
    return Clip(path.name, tuple(Word(*word) for word in words), read_wav(path).tobytes(), SAMPLE_RATE)
