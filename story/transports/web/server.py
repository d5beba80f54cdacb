"""The HTTP side of a server of calls: the page, its connections, health and figures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from story.core.errors import StoryError
from story.transports.web.access import Access, refusal
from story.transports.web.house import FullError, Guest, House
from story.transports.web.ice import Ice
from story.transports.web.page_server import PageServer, State, asked_stacks, page_files, read_body, read_object
from story.version import __version__

if TYPE_CHECKING:
    from story.transports.web.carrier import Carrier
    from story.transports.web.messages import Resume, Start
    from story.transports.web.page_caller import PageCaller

logger = logging.getLogger("story.web")

MAX_BODY = 64 * 1024
"""Bytes of a request; an offer has 2 to 6 kB."""
MAX_SOCKET_MESSAGE = 128 * 1024
FIRST_MESSAGE_SECONDS = 10.0
OPEN_PATHS = frozenset({"/healthz"})


class WebServer(PageServer):
    """Serves the page of `house`, and its calls."""

    max_body = MAX_BODY

    def __init__(
        self,
        house: House,
        *,
        host: str,
        port: int,
        ice: Ice,
        tls: ssl.SSLContext | None,
        state: Callable[[], State],
    ) -> None:
        access = Access(host, open_paths=OPEN_PATHS, secure=tls is not None)
        super().__init__(access, page_files(), host=host, port=port, tls=tls, state=state)
        self._house = house
        self._ice = ice

    def _routes(self) -> Sequence[web.RouteDef]:
        return [
            web.get("/healthz", self._health),
            web.get("/metrics", self._metrics),
            web.post("/api/calls", self._call),
            web.post("/api/calls/{id}/offer", self._reconnect),
            web.post("/api/calls/{id}/hang-up", self._hang_up),
            web.get("/api/socket", self._socket),
        ]

    def _told(self) -> Mapping[str, object]:
        return {
            "ice_servers": [server.as_dict() for server in self._ice.servers],
            "calls": {"active": self._house.active, "max": self._house.max_calls},
        }

    async def _page(self, request: web.Request) -> web.Response:
        response = await super()._page(request)
        if self._house.full:  # the page says so by itself, and waits for a free line
            response.set_status(503)
            response.headers["Retry-After"] = "15"
        return response

    # -- health

    async def _health(self, request: web.Request) -> web.Response:
        state = self._state()
        status = "failed" if state.error else "ready" if state.loaded else "loading"
        body = {"status": status, "version": __version__, "calls": self._house.active}
        return web.json_response(body, status=503 if state.error else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        metrics = self._house.metrics
        return web.Response(body=metrics.text(), headers={"Content-Type": metrics.content_type})

    # -- calls over WebRTC

    async def _call(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        sdp, asked = _sdp(body), asked_stacks(body)
        if (error := self._cannot()) is not None:
            return refusal(503, error)
        try:
            stacks = self._offers.chosen(asked)
            caller = _new_caller()
            carrier, answer = await self._peer(caller, sdp)
        except StoryError as error:
            return refusal(400, str(error))
        caller.use(carrier)
        try:
            guest = self._house.let_in(caller, stacks)
        except FullError as error:
            await caller.aclose()
            return refusal(503, str(error))
        return web.json_response({**_ticket(guest), "answer": {"type": "answer", "sdp": answer}}, status=201)

    async def _reconnect(self, request: web.Request) -> web.Response:
        body = await read_object(request)
        guest = self._house.known(request.match_info["id"], str(body.get("secret", "")))
        if guest is None:
            return refusal(404, "this call is over")
        try:
            carrier, answer = await self._peer(guest.caller, _sdp(body))
        except StoryError as error:
            return refusal(400, str(error))
        if not guest.caller.use(carrier):
            return refusal(404, "this call is over")
        return web.json_response({"answer": {"type": "answer", "sdp": answer}})

    async def _hang_up(self, request: web.Request) -> web.Response:
        secret = (await read_body(request)).decode("utf-8", "replace").strip()
        guest = self._house.known(request.match_info["id"], secret)
        if guest is not None:
            guest.caller.hang_up()
        return web.Response(status=204)

    async def _peer(self, caller: PageCaller, sdp: str) -> tuple[Carrier, str]:
        from story.transports.web.peer import Peer  # aiortc takes a while to import

        peer = Peer(caller, self._ice)
        try:
            return peer, await peer.answer(sdp)
        except BaseException:
            await peer.aclose()
            raise

    def _cannot(self) -> str | None:
        """Why no call can be taken now; None if one can."""
        state = self._state()
        if state.error:
            return state.error
        if not state.ready:
            return "The server is still starting: try again in a moment."
        if self._house.full:
            self._house.metrics.refused("full")
            return "All lines are taken: try again in a moment."
        return None

    # -- calls over a WebSocket

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        from story.transports.web.socket import SocketCarrier

        socket = web.WebSocketResponse(max_msg_size=MAX_SOCKET_MESSAGE, compress=False, heartbeat=None)
        await socket.prepare(request)
        try:
            guest = self._guest_of(await self._first(socket))
        except StoryError as error:
            with contextlib.suppress(ConnectionError):
                await socket.send_json({"type": "refused", "error": str(error)})
            await socket.close()
            return socket
        carrier = SocketCarrier(socket, guest.caller, lambda: _abort(request))
        carrier.send({"type": "call", **_ticket(guest)})
        guest.caller.use(carrier)
        await carrier.carry()
        return socket

    async def _first(self, socket: web.WebSocketResponse) -> Start | Resume:
        from story.transports.web.messages import read_first  # with pydantic: the page is there before it

        try:
            async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
                message = await socket.receive()
        except TimeoutError:
            raise StoryError("the first message did not come") from None
        first = read_first(message.data) if message.type is WSMsgType.TEXT else None
        if first is None:
            raise StoryError("the first message of a socket starts a call or resumes one")
        return first

    def _guest_of(self, first: Start | Resume) -> Guest:
        from story.transports.web.messages import Resume

        if isinstance(first, Resume):
            guest = self._house.known(first.call, first.secret)
            if guest is None:
                raise StoryError("this call is over")
            return guest
        if (error := self._cannot()) is not None:
            raise StoryError(error)
        stacks = self._offers.chosen(first.stacks)
        return self._house.let_in(_new_caller(), stacks)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _sdp(body: Mapping[str, object]) -> str:
    offer = body.get("offer")
    sdp = offer.get("sdp") if isinstance(offer, dict) and offer.get("type") == "offer" else None
    if not isinstance(sdp, str):
        raise web.HTTPBadRequest(reason="there is no offer in it")
    return sdp


def _ticket(guest: Guest) -> dict[str, str]:
    return {"call": guest.id, "secret": guest.secret}


def _new_caller() -> PageCaller:
    from story.transports.web.page_caller import PageCaller  # with numpy and av: the page is there before them

    return PageCaller()
