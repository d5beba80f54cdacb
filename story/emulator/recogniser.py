"""What the recognisers of all vendors share: utterances in, interim and final results out, each when it is due."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from story.emulator.hearing import (
    Ended,
    Going,
    Heard,
    Listener,
    Paused,
    Resumed,
    Started,
    Transcript,
    Utterance,
)
from story.emulator.socket import Socket
from story.emulator.vendor import VendorError

SILENCE_SECONDS = 0.2
"""Of silence that ends an utterance, unless the protocol says otherwise; shorter ones are inside words."""


@dataclass(frozen=True)
class Interim:
    """The words so far of an utterance that began at `start`; `at` is now (seconds of the stream)."""

    transcript: Transcript
    start: float
    at: float


@dataclass(frozen=True)
class Final:
    """All words of an utterance from `start` to `end` (seconds of the stream).

    asked: the client asked for it. quiet: seconds of silence that followed it.
    """

    transcript: Transcript
    start: float
    end: float
    asked: bool = False
    quiet: float = 0.0


@dataclass
class Recogniser:
    """Hears one socket's sound and reports it in order, while messages go on coming.

    begun: speech began at that second. interim, final: results. paused: what would be the final if it ended here;
    resumed: it did not, and these are its words so far.
    """

    socket: Socket
    listener: Listener
    begun: Callable[[float], Awaitable[None]]
    interim: Callable[[Interim], Awaitable[None]]
    final: Callable[[Final], Awaitable[None]]
    paused: Callable[[Final], Awaitable[None]] | None = None
    resumed: Callable[[Interim], Awaitable[None]] | None = None

    def __post_init__(self) -> None:
        self._utterances: list[Utterance] = []
        self.socket.at_end(self._abandon)

    def hear(self, pcm: bytes) -> None:
        """More sound, s16le mono. Raises VendorError where it is none."""
        if len(pcm) % 2:
            raise VendorError(400, "audio data must be whole 16-bit samples", "invalid_audio")
        for event in self.listener.feed(pcm):
            self._take(event)

    def finish(self) -> bool:
        """The utterance under way ends here; False where there is none."""
        events = self.listener.flush()
        for event in events:
            self._take(event, asked=True)
        return bool(events)

    def _take(self, event: Heard, *, asked: bool = False) -> None:
        arrived = self.socket.arrived
        if isinstance(event, Started):
            self._utterances.append(event.utterance)
            self.socket.later(arrived, lambda: self.begun(event.start))
        elif isinstance(event, Going):
            self.socket.later(arrived, lambda: self._tell_interim(event))
        elif isinstance(event, Paused):
            self.socket.later(arrived, lambda: self._tell_pause(event))
        elif isinstance(event, Resumed):
            self.socket.later(arrived, lambda: self._tell_resumption(event))
        else:
            due = self.socket.due("stt", after=arrived - event.quiet)
            self.socket.later(max(arrived, due), lambda: self._tell_final(event, asked))

    async def _tell_interim(self, event: Going) -> None:
        transcript = await event.utterance.so_far(event.at)
        if transcript.words:
            await self.interim(Interim(transcript, event.start, event.at))

    async def _tell_pause(self, event: Paused) -> None:
        if self.paused is not None:
            words = await event.utterance.if_ended(event.end)
            await self.paused(Final(words, event.start, event.end, quiet=event.quiet))

    async def _tell_resumption(self, event: Resumed) -> None:
        if self.resumed is not None:
            await self.resumed(Interim(await event.utterance.so_far(event.at), event.start, event.at))

    async def _tell_final(self, event: Ended, asked: bool) -> None:
        transcript = await event.utterance.final(event.end)
        self._utterances.remove(event.utterance)
        await self.final(Final(transcript, event.start, event.end, asked, event.quiet))

    def _abandon(self) -> None:
        for utterance in self._utterances:
            utterance.abandon()
