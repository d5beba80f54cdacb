"""A call whose caller is a list of WAV files, one a turn; what both sides said goes to one stereo file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livekit.agents import AgentSession
from livekit.agents.voice.io import PlaybackFinishedEvent, PlaybackStartedEvent

from story.core.captions import Captions
from story.core.errors import AudioError
from story.transports.floor import PATIENCE_SECONDS, SETTLE_SECONDS, Floor
from story.transports.interrupts import hang_up_on_interrupt
from story.transports.playout import Line, PacedLine
from story.transports.sound import SAMPLE_RATE, Recording, Samples, check_writable, read_wav
from story.transports.synchronizer import Synchronizer

if TYPE_CHECKING:
    from story.core.call import Call

logger = logging.getLogger("story")


class FileTransport:
    """Speaks `turns` in real time, each once the agent has answered the one before and fallen silent.

    out: where the recording goes (caller left, agent right, one clock), if anywhere.
    barge_in: turn number (the first is 1) -> seconds of the agent's speech after which that turn begins; where the
        agent finishes earlier, the turn comes then.
    patience: seconds after which a turn that gets no answer is given up and the next one spoken.

    After the last turn the caller stays silent, until the call ends. Raises AudioError for turns that can't be
    read and an `out` that can't be written, before there is any call. A turn may be given as its samples.
    """

    name = "file"
    audio = True

    def __init__(
        self,
        turns: Sequence[Path | Samples],
        *,
        out: Path | None = None,
        barge_in: Mapping[int, float] | None = None,
        patience: float = PATIENCE_SECONDS,
        settle: float = SETTLE_SECONDS,
    ) -> None:
        self._barge_in = dict(barge_in or {})
        for number, seconds in self._barge_in.items():
            if not 1 <= number <= len(turns):
                raise AudioError(f"there is no turn {number} to barge in with: this call has {len(turns)}")
            if seconds < 0:
                raise AudioError(f"turn {number} can't barge in {seconds:g} s into the speech: name 0 s or more")
        self._turns = [read_wav(turn) if isinstance(turn, Path) else turn for turn in turns]
        self._out = out
        if out is not None:
            if any(isinstance(turn, Path) and out.resolve() == turn.resolve() for turn in turns):
                raise AudioError(f"{out} is one of the caller's turns: write the recording to another file")
            check_writable(out, expected=self._expected)
        self._patience = patience
        self._settle = settle
        self._heard = 0.0
        self._line: PacedLine | None = None
        self._synchronizer: Synchronizer | None = None
        self._recording: Recording | None = None

    @property
    def _expected(self) -> float:
        """Seconds the call lasts at the least."""
        return sum(map(len, self._turns)) / SAMPLE_RATE

    async def attach(self, call: Call, session: AgentSession[Any]) -> None:
        self._call = call
        self._floor = floor = Floor(settle=self._settle, patience=self._patience, clock=asyncio.get_running_loop().time)
        floor.watch(session)
        self._line = await self._connected(call, session)

    async def _connected(self, call: Call, session: AgentSession[Any]) -> PacedLine:
        """The line that leads to the session."""
        line = Line(self._on_frame, self._way())
        line.agent.on("playback_started", self._on_started)
        line.agent.on("playback_finished", self._on_finished)
        # cuts the text of an interrupted turn where its sound was cut
        self._synchronizer = Synchronizer(next_in_chain_audio=line.agent, next_in_chain_text=Captions(call))
        session.input.audio = line.caller
        session.output.audio = self._synchronizer.audio_output
        session.output.transcription = self._synchronizer.text_output
        return line

    async def run(self) -> None:
        assert self._line is not None
        if self._out is not None:
            self._recording = Recording(self._out, expected=self._expected)
        with self._interruptible():
            await first_of(self._line.run(), self._converse(self._line))

    async def aclose(self) -> None:
        """Raises AudioError where the recording can't be finished."""
        try:
            if self._line is not None:
                self._line.close()
            if self._synchronizer is not None:
                await self._synchronizer.aclose()
        finally:
            if self._recording is not None:
                self._recording.commit()

    def _interruptible(self) -> AbstractContextManager[None]:
        """Within it Ctrl-C hangs up."""
        return hang_up_on_interrupt(self._call)

    async def _converse(self, line: PacedLine) -> None:
        for number, turn in enumerate(self._turns, start=1):
            if number in self._barge_in:
                await self._break_in(line, turn, self._barge_in[number])
            else:
                if not await self._floor.until_free():
                    logger.warning("nothing was said before turn %d for %g s: on with it", number, self._patience)
                self._begin()
                await line.speak(turn)
            self._floor.caller_ended()
        await asyncio.Event().wait()

    async def _break_in(self, line: PacedLine, turn: Samples, seconds: float) -> None:
        """Speak as soon as the agent has spoken for `seconds` since the caller's last turn began, or has finished."""
        free = asyncio.create_task(self._floor.until_free())

        def due() -> bool:
            spoken = self._spoken(line)
            if not free.done() and (not spoken or spoken < seconds):
                return False
            self._begin()
            return True

        try:
            await line.speak(turn, when=due)
        finally:
            free.cancel()
            await asyncio.wait([free])

    def _begin(self) -> None:
        self._heard = 0.0
        self._floor.caller_began()

    def _spoken(self, line: PacedLine) -> float:
        return self._heard + (line.position if self._floor.answering else 0.0)

    def _on_started(self, _: PlaybackStartedEvent) -> None:
        self._floor.agent_began()

    def _on_finished(self, event: PlaybackFinishedEvent) -> None:
        if self._floor.answering:
            self._heard += event.playback_position
        self._floor.agent_ended(interrupted=event.interrupted)

    def _way(self) -> Callable[[Samples], Samples] | None:
        """What the line makes of the caller's sound; None: nothing."""
        return None

    def _on_frame(self, caller: Samples, agent: Samples) -> None:
        if self._recording is not None:
            self._recording.write(caller, agent)


async def first_of(*several: Coroutine[Any, Any, object]) -> None:
    """Run them together until one returns or raises, then stop the others."""
    tasks = [asyncio.create_task(one) for one in several]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
