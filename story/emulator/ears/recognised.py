"""Ears that ask a recogniser: the on-device one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from story.core.plugins import Plugins
from story.core.registry import Role
from story.core.settings import Settings
from story.emulator.brain import BrainError
from story.emulator.hearing import Energies, Transcript, Utterance, Word
from story.emulator.local import LocalModels

if TYPE_CHECKING:
    from livekit.agents import stt

TAIL_SECONDS = 0.5
"""Of silence after an utterance, by which a recogniser knows that it is over."""


class RecognisedEars:
    """Words as the on-device recogniser makes them out; it is loaded with the first utterance."""

    def __init__(self, plugins: Plugins, settings: Settings) -> None:
        self._models = LocalModels(Role.STT, plugins, settings)

    def listen(self, rate: int, start: float, previous: Utterance | None = None) -> Utterance:
        return _Recognised(self._models, rate, start)

    async def aclose(self) -> None:
        await self._models.aclose()


class _Recognised:
    """One utterance, as one stream of the recogniser."""

    def __init__(self, models: LocalModels, rate: int, start: float) -> None:
        self._models = models
        self._rate = rate
        self._start = start
        self._sound: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._finals: list[str] = []
        self._interim = ""
        self._work = asyncio.create_task(self._recognise())
        self._work.add_done_callback(_seen)

    def feed(self, pcm: bytes, energies: Energies) -> None:
        if pcm:
            self._sound.put_nowait(pcm)

    async def so_far(self, at: float) -> Transcript:
        return self._spread(" ".join([*self._finals, self._interim]).split(), at)

    async def if_ended(self, end: float) -> Transcript:
        return await self.so_far(end)

    async def final(self, end: float) -> Transcript:
        self._sound.put_nowait(bytes(2 * round(TAIL_SECONDS * self._rate)))
        self._sound.put_nowait(None)
        await self._work  # raises BrainError
        return self._spread(" ".join(self._finals or [self._interim]).split(), end)

    def abandon(self) -> None:
        self._work.cancel()

    def _spread(self, words: list[str], end: float) -> Transcript:
        """A recogniser that knows no times: the words share the utterance evenly."""
        step = max(0.0, end - self._start) / max(1, len(words))
        times = [(self._start + index * step, self._start + (index + 1) * step) for index in range(len(words))]
        return Transcript(tuple(Word(word, *time) for word, time in zip(words, times, strict=True)))

    async def _recognise(self) -> None:
        from livekit import rtc
        from livekit.agents import APIError

        model = (await self._models.stack()).stt
        if model is None:
            raise BrainError("the on-device stack has no recogniser")
        stream = model.stream()
        reading = asyncio.create_task(self._read(stream))
        try:
            while (pcm := await self._sound.get()) is not None:
                stream.push_frame(rtc.AudioFrame(pcm, self._rate, 1, len(pcm) // 2))
            stream.end_input()
            await reading
        except APIError as error:
            raise BrainError(f"the on-device recogniser failed: {error}") from error
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await stream.aclose()

    async def _read(self, stream: stt.RecognizeStream) -> None:
        from livekit.agents.stt import SpeechEventType

        async for event in stream:
            text = event.alternatives[0].text.strip() if event.alternatives else ""
            if event.type is SpeechEventType.FINAL_TRANSCRIPT:
                self._finals += [text] if text else []
                self._interim = ""
            elif event.type is SpeechEventType.INTERIM_TRANSCRIPT:
                self._interim = text


def _seen(work: asyncio.Task[None]) -> None:
    """Whoever asks for the final words is told what went wrong; if nobody asks, nobody needs to know."""
    if not work.cancelled():
        work.exception()
