"""A client of the realtime protocol whose every event is checked against OpenAI's own types."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
from conftest import SaidEars, ScriptedBrain
from openai.types.realtime import (
    RealtimeServerEvent,
    RealtimeSessionCreateResponse,
    RealtimeTranscriptionSessionCreateResponse,
)
from vendor_types import check

from story.emulator.latency import Profile
from story.emulator.openai import OPENAI
from story.emulator.server import Emulator

LINES = ("What is the weather in Paris?", "Stop.")
"""What the caller says."""
RATE = 24_000
WEATHER = {"type": "function", "name": "weather", "description": "The weather", "parameters": {"type": "object"}}
KEY = {"Authorization": "Bearer k"}

Event = dict[str, object]
Connect = Callable[..., AbstractAsyncContextManager["Client"]]


class Client:
    """One socket, whose events are checked against the SDK's types as they come."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.events: list[Event] = []

    async def send(self, kind: str, **fields: object) -> None:
        await self.ws.send_json({"type": kind, **fields})

    async def update(self, **fields: object) -> Event:
        await self.send("session.update", session={"type": "realtime", **fields})
        return await self.next("session.updated", "error")

    async def say(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), RATE // 5):
            await self.send("input_audio_buffer.append", audio=base64.b64encode(pcm[at : at + RATE // 5]).decode())

    async def receive(self) -> Event:
        event: Event = await self.ws.receive_json(timeout=10)
        if event["type"] in ("session.created", "session.updated"):
            check(event["session"], RealtimeSessionCreateResponse | RealtimeTranscriptionSessionCreateResponse)
        else:
            check(event, RealtimeServerEvent)
        self.events.append(event)
        return event

    async def next(self, *kinds: str) -> Event:
        """The next event of one of these types."""
        while (event := await self.receive())["type"] not in kinds:
            pass
        return event

    def kinds(self) -> list[str]:
        """The types of the events so far, each run of the same once."""
        kinds = [str(event["type"]) for event in self.events]
        return [kind for index, kind in enumerate(kinds) if index == 0 or kinds[index - 1] != kind]


def connecting(emulator: Callable, brain: ScriptedBrain, lines: Sequence[str] = LINES) -> Connect:
    """`async with connect(query, profile)`: a client of an emulator with that brain, whose caller says `lines`."""

    @asynccontextmanager
    async def connect(query: str = "model=gpt-realtime", profile: Profile | None = None) -> AsyncIterator[Client]:
        server: Emulator = await emulator(OPENAI, brain=brain, ears=SaidEars(*lines), profile=profile)
        url = f"{server.url}/v1/realtime?{query}"
        async with asyncio.timeout(20), aiohttp.ClientSession(headers=KEY) as session, session.ws_connect(url) as ws:
            client = Client(ws)
            assert (await client.receive())["type"] == "session.created"
            yield client

    return connect


def message(text: str, role: str = "user") -> Event:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
