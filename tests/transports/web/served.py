"""A server of scripted calls on a port of its own, and sockets that talk to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from story.core import events
from story.transports.web.house import Guest, Hold, House
from story.transports.web.ice import Ice
from story.transports.web.offers import OfferedPersona, OfferedStack, Offers
from story.transports.web.page_server import State
from story.transports.web.server import WebServer
from story.transports.web.transport import WebTransport
from tests.transports.calls import make_call

LOOPBACK = Ice(addresses=("127.0.0.1",))
OFFERS = Offers(
    chain="two",
    personas=(OfferedPersona("intro", "Echo", "fake"), OfferedPersona("story", "Echo", "fake")),
    stacks=(
        OfferedStack("fake", "a scripted model", works=True),
        OfferedStack("broken", "a model without its key", works=False, reason="needs ACME_API_KEY"),
    ),
)


@dataclass
class Served:
    """A server, its house, and what the calls in it tell."""

    server: WebServer
    house: House
    state: list[State]
    events: list[events.Event] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url.partition("?")[0].rstrip("/")

    @property
    def token(self) -> str:
        return self.server.url.partition("token=")[2]

    def ended(self) -> list[str]:
        """The reasons of the calls that have ended."""
        return [event.reason for event in self.events if isinstance(event, events.CallEnded)]

    async def until_empty(self) -> None:
        """Wait until every call is over and its place free."""
        async with asyncio.timeout(30):
            while self.house._tasks:
                await asyncio.wait(self.house._tasks)


def scripted(**options: Any) -> Hold:
    """Holds calls of tests.transports.calls; the options are those of its `make_call`."""

    async def hold(guest: Guest, stacks: Mapping[str, str]) -> events.CallEnded:
        call, _ = make_call(WebTransport(guest.caller), **options)
        call.subscribe(observe[0])
        return await call.run()

    observe: list[Any] = [lambda event: None]
    hold.observe = observe  # type: ignore[attr-defined]
    return hold


@asynccontextmanager
async def serving(
    hold: Hold | None = None, *, max_calls: int = 8, host: str = "127.0.0.1", ready: bool = True, ice: Ice = LOOPBACK
) -> AsyncIterator[Served]:
    """Within the block a server answers."""
    hold = hold or scripted()
    ice.restrict_addresses()
    state = [State(ready=ready, loaded=ready)]
    seen: list[events.Event] = []
    house = House(hold, max_calls=max_calls, on_event=seen.append)
    if hasattr(hold, "observe"):
        hold.observe[0] = house.observe
    server = WebServer(house, host=host, port=0, ice=ice, tls=None, state=lambda: state[0])
    server.offer(OFFERS)
    await server.start()
    try:
        yield Served(server, house, state, seen)
    finally:
        await house.aclose()
        await server.aclose()


class Page:
    """A page whose WebRTC does not connect: it calls over a WebSocket, and sends no sound unless asked to."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = f"{url}/api/socket"
        self.messages: list[dict[str, Any]] = []
        self.sound = bytearray()
        self.ticket: dict[str, str] = {}
        self.closed = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def call(self, first: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Begin a call, or send another first message; returns the answer."""
        self.socket = await self._http.ws_connect(self._url)
        await self.socket.send_json(first or {"type": "start"})
        answer: dict[str, Any] = await self.socket.receive_json()
        if answer["type"] == "call":
            self.ticket = {"call": answer["call"], "secret": answer["secret"]}
            self.closed.clear()
            self._tasks += [asyncio.create_task(self._read(self.socket)), asyncio.create_task(self._breathe())]
        return answer

    async def call_again(self) -> dict[str, Any]:
        return await self.call({"type": "resume", **self.ticket})

    async def send(self, **message: object) -> None:
        await self.socket.send_json(message)

    async def say(self, text: str) -> None:
        await self.send(type="say", text=text)

    async def until(self, type_: str, *, count: int = 1, **fields: object) -> dict[str, Any]:
        """The first such message, or the one of that number."""
        async with asyncio.timeout(30):
            while len(found := self.found(type_, **fields)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]

    def found(self, type_: str, **fields: object) -> list[dict[str, Any]]:
        wanted = {"type": type_, **fields}
        return [m for m in self.messages if all(m.get(name) == value for name, value in wanted.items())]

    def vanish(self) -> None:
        """Break the connection without a goodbye."""
        transport = self.socket._response.connection and self.socket._response.connection.transport  # type: ignore[attr-defined]
        assert transport is not None
        transport.abort()

    async def aclose(self) -> None:
        await self.socket.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.sound += message.data
            else:
                self.messages.append(json.loads(message.data))
            self._changed.set()
        self.closed.set()

    async def _breathe(self) -> None:
        """A page sends its microphone's silence, without which it is taken for dead."""
        while not self.socket.closed:
            await self.socket.send_bytes(bytes(960))
            await asyncio.sleep(0.1)
