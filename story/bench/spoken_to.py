"""A realtime model alone: a line is spoken to it, and it is measured how soon it speaks, and what it heard."""

from __future__ import annotations

import asyncio
from typing import Any

from livekit.agents import llm

from story.bench.ear import speech
from story.bench.pace import say
from story.core.errors import StoryError
from story.core.usage import Usage
from story.transports.sound import SAMPLE_RATE, Samples

ANSWER_SECONDS = 20.0
"""From the end of a line to the model's first sound; what takes longer has failed."""
REST_SECONDS = 10.0
"""For the rest of an answer, and for what the model heard, which some tell after it."""


async def spoken_to(model: llm.RealtimeModel, sound: Samples, instructions: str, usage: Usage) -> tuple[float, str]:
    """Seconds from the last sound of a line to the model's first (less than 0: it came too early), and what it heard;
    no words where it does not tell.

    Raises:
        StoryError: the model failed. TimeoutError: it said nothing.
    """
    _, end = speech(sound)
    session = model.session()
    usage.follow(session)
    ears = _Ears(session)

    def answer() -> None:
        session.commit_audio()
        session.generate_reply()

    try:
        await session.update_instructions(instructions)
        began = asyncio.get_running_loop().time()
        speaking = asyncio.create_task(
            say(sound, session.push_audio, None if model.capabilities.turn_detection else answer)
        )
        try:
            async with asyncio.timeout(len(sound) / SAMPLE_RATE + ANSWER_SECONDS):
                first = await ears.first_sound()
            async with asyncio.timeout(REST_SECONDS):
                await ears.rest(transcribed=model.capabilities.user_transcription)
        except TimeoutError:
            if not ears.sounded:
                raise
        finally:
            speaking.cancel()
            await asyncio.wait([speaking])
    finally:
        await session.aclose()
    return first - began - end, " ".join(ears.words)


class _Ears:
    """Follows a session."""

    def __init__(self, session: llm.RealtimeSession[Any]) -> None:
        self.words: list[str] = []
        self.sounded = False
        self._heard = asyncio.Event()
        self._generations: asyncio.Queue[llm.GenerationCreatedEvent | Exception] = asyncio.Queue()
        self._frames = self._sounds()
        session.on("generation_created", self._generations.put_nowait)
        session.on("input_audio_transcription_completed", self._on_words)
        session.on("error", self._on_error)

    async def first_sound(self) -> float:
        """When it came (the loop's clock)."""
        await anext(self._frames)
        self.sounded = True
        return asyncio.get_running_loop().time()

    async def rest(self, *, transcribed: bool) -> None:
        """Return at the end of that answer, once the model has told what it heard, if it does."""
        async for _ in self._frames:
            pass
        if transcribed:
            await self._heard.wait()

    async def _sounds(self) -> Any:
        """The sound of the first answer that has any: one to half a line may be taken back."""
        while True:
            generation = await self._generations.get()
            if isinstance(generation, Exception):
                raise StoryError(f"the model failed: {generation}")
            there = False
            async for message in generation.message_stream:
                async for frame in message.audio_stream:
                    there = True
                    yield frame
            if there:
                return

    def _on_words(self, event: llm.InputTranscriptionCompleted) -> None:
        if event.is_final and event.transcript.strip():
            self.words.append(event.transcript.strip())
            self._heard.set()

    def _on_error(self, event: llm.RealtimeModelError) -> None:
        if not event.recoverable:
            self._generations.put_nowait(event.error)
