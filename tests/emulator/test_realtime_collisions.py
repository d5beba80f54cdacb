"""Two answers at once, of which a realtime model allows one: the vendor's own, and one that is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from conftest import SaidEars, SaidUtterance, ScriptedBrain, silence, speech
from livekit import rtc
from livekit.agents import llm
from livekit.agents.utils import http_context

from story.emulator.brain import Prompt, ToolCall
from story.emulator.hearing import Transcript
from story.emulator.server import Emulator
from story.emulator.vendors import VENDORS
from story.providers.openai_realtime import ANSWERS_ALREADY, RealtimeModel

RATE = 24_000
LINE = "I like boats."


class SlowEars(SaidEars):
    """Ears that know the last words of a turn once they are `certain`."""

    def __init__(self) -> None:
        super().__init__(LINE)
        self.certain = asyncio.Event()

    def listen(self, rate: int, start: float, previous: object = None) -> SaidUtterance:
        return SlowUtterance(self, LINE, start)


class SlowUtterance(SaidUtterance):
    async def final(self, end: float) -> Transcript:
        await self._ears.certain.wait()
        return await super().final(end)


class SlowBrain(ScriptedBrain):
    """A mind that answers once it is `ready`; `asked` for the first time sets an event."""

    def __init__(self) -> None:
        super().__init__(lambda prompt: ["Goodbye." if "goodbye" in prompt.instructions else "Boats it is."])
        self.ready, self.asked = asyncio.Event(), asyncio.Event()

    async def answer(self, prompt: Prompt) -> AsyncIterator[str | ToolCall]:
        self.asked.set()
        await self.ready.wait()
        async for part in super().answer(prompt):
            yield part


class World:
    """A realtime session on an emulator that makes things out when it is let."""

    def __init__(self, server: Emulator, ears: SlowEars, brain: SlowBrain) -> None:
        self.server, self.ears, self.brain = server, ears, brain
        self.model = RealtimeModel(base_url=f"{server.url}/v1", api_key="k")
        self.session = self.model.session()
        self.errors: list[Any] = []
        self.begun: asyncio.Queue[llm.GenerationCreatedEvent] = asyncio.Queue()
        self.session.on("error", self.errors.append)
        self.session.on("generation_created", lambda event: event.user_initiated or self.begun.put_nowait(event))

    def happened(self, kind: str, message: str) -> list[dict[str, Any]]:
        journal = self.server.emulation.journal.as_data()
        contents = [entry["content"] for entry in journal if entry["kind"] == kind and entry["endpoint"] == "realtime"]
        return [content for content in contents if content.get("type") == message]

    async def until(self, kind: str, message: str) -> None:
        while not self.happened(kind, message):  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)

    async def until_refused(self) -> None:
        while not self.refused():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)

    def hear(self, pcm: bytes) -> None:
        self.session.push_audio(rtc.AudioFrame(pcm, RATE, 1, len(pcm) // 2))

    def refused(self) -> Sequence[object]:
        """The event ids of what was refused."""
        errors = [content["error"] for content in self.happened("sent", "error")]
        return [error["event_id"] for error in errors if error["code"] == ANSWERS_ALREADY]


@pytest.fixture
async def world(emulator: Callable[..., Any]) -> AsyncIterator[World]:
    ears, brain = SlowEars(), SlowBrain()
    async with http_context.open(), asyncio.timeout(20):
        world = World(await emulator(*VENDORS, brain=brain, ears=ears), ears, brain)
        yield world
        await world.session.aclose()
        await world.model.aclose()


async def heard(generation: llm.GenerationCreatedEvent) -> str:
    return "".join([piece async for message in generation.message_stream async for piece in message.text_stream])


async def test_what_is_asked_for_as_the_vendor_begins_to_answer_is_said_in_its_place(world: World) -> None:
    world.hear(silence(0.2, RATE) + speech(1.0, RATE) + silence(0.8, RATE))
    await world.until("sent", "input_audio_buffer.committed")
    goodbye = world.session.generate_reply(instructions="Say goodbye.")
    await world.until("received", "response.create")
    world.ears.certain.set()
    own = await world.begun.get()
    await world.until("received", "response.cancel")
    world.brain.ready.set()
    assert await heard(await goodbye) == "Goodbye."
    assert await heard(own) == ""
    assert [request["event_id"] for request in world.happened("received", "response.create")[:1]] == world.refused()
    assert world.brain.prompts[-1].caller == (LINE,)
    assert world.errors == []


async def test_nothing_is_asked_for_again_where_nobody_waits_for_it(world: World) -> None:
    world.hear(silence(0.2, RATE) + speech(1.0, RATE) + silence(0.8, RATE))
    await world.until("sent", "input_audio_buffer.committed")
    question = world.session.generate_reply(instructions="Say goodbye.")
    await world.until("received", "response.create")
    question.cancel()
    await world.until("received", "response.cancel")
    world.ears.certain.set()
    await world.until_refused()
    world.brain.ready.set()
    assert await heard(await world.begun.get()) == "Boats it is."
    await world.until("sent", "response.done")
    assert len(world.happened("received", "response.create")) == 1
    assert world.errors == []


async def test_a_caller_whose_answer_the_vendor_refuses_is_answered_next(world: World) -> None:
    world.hear(silence(0.2, RATE) + speech(1.0, RATE))
    await world.until("sent", "input_audio_buffer.speech_started")
    goodbye = world.session.generate_reply(instructions="Say goodbye.")
    await world.brain.asked.wait()
    world.ears.certain.set()
    world.hear(silence(0.8, RATE))
    await world.until_refused()
    world.brain.ready.set()
    assert await heard(await goodbye) == "Goodbye."
    assert await heard(await world.begun.get()) == "Boats it is."
    assert world.refused() == [None]
    assert world.errors == []
