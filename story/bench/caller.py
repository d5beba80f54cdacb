"""A caller who is measured: speaks a scenario over a line in this process, and hears when the agent does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livekit.agents import AgentSession

from story.bench.ear import FRAME, FRAME_SECONDS, Said, loudness, speech
from story.bench.scenarios import BUILT_IN, Scenario
from story.transports.file import FileTransport
from story.transports.playout import PacedLine
from story.transports.sound import Samples, read_wav

if TYPE_CHECKING:
    from story.core.call import Call


MURMUR = BUILT_IN.parent / "mm-hm.wav"


class BenchCaller(FileTransport):
    """Says the lines of `scenario`, each once the agent has answered the one before.

    out: where the recording of both sides goes, if anywhere. on_attached: called with the call and its session before
    it starts. caller, agent: the loudness of both sides so far, by 10 ms of the line's clock. said: the lines, when
    they were said, on the same clock. asides: when an "mm-hm" began that is no line. seed: of the disturbances.
    """

    name = "bench"

    def __init__(
        self,
        scenario: Scenario,
        *,
        out: Path | None = None,
        on_attached: Callable[[Call, AgentSession[Any]], None] | None = None,
        seed: int = 0,
    ) -> None:
        self._disturbance = disturbance = scenario.disturbance
        sounds = [disturbance.line(line.samples(), line.words) for line in scenario.lines]
        self._through = disturbance.way(sounds, seed)
        self._silent_before = disturbance.silent_before(len(sounds), seed)
        super().__init__(sounds, out=out)
        self._scenario = scenario
        self._on_attached = on_attached
        self.caller: list[float] = []
        self.agent: list[float] = []
        self.said: list[Said] = []
        self.asides: list[float] = []

    @property
    def began(self) -> float:
        """When the line's clock began (the loop's clock, seconds)."""
        return (self._line.began if self._line is not None else None) or 0.0

    async def attach(self, call: Call, session: AgentSession[Any]) -> None:
        await super().attach(call, session)
        if self._on_attached is not None:
            self._on_attached(call, session)

    def _interruptible(self) -> AbstractContextManager[None]:
        return nullcontext()  # Ctrl-C is for the whole benchmark

    async def _converse(self, line: PacedLine) -> None:
        for number, (words, sound) in enumerate(zip(self._scenario.lines, self._turns, strict=True), start=1):
            if number == self._silent_before:
                await self._floor.until_free()
                await asyncio.sleep(self._disturbance.silence or 0.0)
            free = asyncio.create_task(self._floor.until_free())
            try:
                interrupt = self._disturbance.interrupt if number > 1 else None
                await self._say(line, sound, number, words.barge_in if interrupt is None else interrupt, free)
            finally:
                free.cancel()
                await asyncio.wait([free])
            self._floor.caller_ended()
            if self._disturbance.aside is not None:
                await self._murmur(line, self._disturbance.aside)
        if self._scenario.hangs_up:
            await self._floor.until_free()
            self._call.hang_up()
        await asyncio.Event().wait()

    async def _say(
        self, line: PacedLine, sound: Samples, number: int, barge_in: float | None, free: asyncio.Task[bool]
    ) -> None:
        """Say a line as soon as the agent has finished, or has spoken for as long as a caller who breaks in waits."""
        onset, end = speech(sound)

        def due() -> bool:
            spoken = self._spoken(line)
            breaks_in = barge_in is not None and spoken > 0 and spoken >= barge_in
            if not free.done() and not breaks_in:
                return False
            start = len(self.caller) * FRAME_SECONDS  # asked as a tick begins, when those before it have been heard
            answered = breaks_in or free.result()
            self.said.append(Said(number, start + onset, start + end, barge_in is not None, answered))
            self._begin()
            return True

        await line.speak(sound, when=due)

    async def _murmur(self, line: PacedLine, seconds: float) -> None:
        """Say "mm-hm" once the agent has answered for so many seconds; nothing where it doesn't speak for so long."""
        free = asyncio.create_task(self._floor.until_free())
        sound = read_wav(MURMUR)
        onset, _ = speech(sound)
        begun = False

        def due() -> bool:
            nonlocal begun
            begun = not free.done() and self._spoken(line) >= seconds
            if begun:
                self.asides.append(len(self.caller) * FRAME_SECONDS + onset)
            return begun

        saying = asyncio.create_task(line.speak(sound, when=due))
        try:
            await asyncio.wait([free, saying], return_when=asyncio.FIRST_COMPLETED)
            if begun:
                await saying
        finally:
            for task in (free, saying):
                task.cancel()
            await asyncio.wait([free, saying])

    def _way(self) -> Callable[[Samples], Samples]:
        return self._sent

    def _sent(self, caller: Samples) -> Samples:
        """What the line makes of the caller's sound. What they say is measured before that."""
        assert len(caller) % FRAME == 0
        self.caller += loudness(caller)
        return self._through(caller)

    def _on_frame(self, caller: Samples, agent: Samples) -> None:
        super()._on_frame(caller, agent)
        self.agent += loudness(agent)
