"""The HTTP side of a server of calls: the page, its connections, health and figures."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from aiohttp import WSMsgType, web

from story.core.errors import ConfigError, StoryError
from story.transports.web.access import Access, is_loopback, refusal
from story.transports.web.house import FullError, Guest, House
from story.transports.web.ice import Ice
from story.transports.web.messages import Resume, Start, read_first
from story.transports.web.offers import Offers
from story.version import __version__

if TYPE_CHECKING:
    from story.transports.web.carrier import Carrier
    from story.transports.web.page_caller import PageCaller

logger = logging.getLogger("story.web")

MAX_BODY = 64 * 1024
"""Bytes of a request; an offer has 2 to 6 kB."""
MAX_SOCKET_MESSAGE = 128 * 1024
BODY_SECONDS = 10.0
FIRST_MESSAGE_SECONDS = 10.0
SHUTDOWN_SECONDS = 0.3
"""For requests under way when the server stops; calls have ended by then."""
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}
OPEN_PATHS = frozenset({"/healthz"})


@dataclass(frozen=True)
class State:
    """What is told of the server. ready: calls are taken. loaded: their models are there, too. error: why no call can
    be held. notice: a line to show."""

    ready: bool = False
    loaded: bool = False
    error: str | None = None
    notice: str | None = None
    emulated: bool = False
    max_duration: float | None = None


class WebServer:
    """Serves the page of `house` on `host`:`port` (0: any free one).

    offers: what callers may choose. state: asked each time a page wants to know.
    """

    def __init__(
        self,
        house: House,
        offers: Offers,
        *,
        host: str,
        port: int,
        ice: Ice,
        tls: ssl.SSLContext | None,
        state: Callable[[], State],
    ) -> None:
        self._house = house
        self._offers = offers
        self._host = host
        self._port = port
        self._ice = ice
        self._tls = tls
        self._state = state
        self._access = Access(host, open_paths=OPEN_PATHS, secure=tls is not None)
        self._files = page_files()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where the page is; with the access token, where one is needed."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        query = f"?token={self._access.token}" if self._access.token else ""
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}/{query}"

    @property
    def exposed(self) -> bool:
        """Whether others than this machine can reach it."""
        return not is_loopback(self._host)

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: the address can't be had.
        """
        app = web.Application(middlewares=[self._access.middleware], client_max_size=MAX_BODY)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/page/{name}", self._file),
                web.get("/favicon.ico", self._no_icon),
                web.get("/healthz", self._health),
                web.get("/metrics", self._metrics),
                web.get("/api/setup", self._setup),
                web.post("/api/calls", self._call),
                web.post("/api/calls/{id}/offer", self._reconnect),
                web.post("/api/calls/{id}/hang-up", self._hang_up),
                web.get("/api/socket", self._socket),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"can't listen on {self._host} port {self._port} ({error.strerror or error}):"
                " choose another with --port or --host"
            ) from None
        self._port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    # -- the page

    async def _page(self, request: web.Request) -> web.Response:
        response = self._answer_file("index.html")
        if self._house.full:  # the page says so by itself, and waits for a free line
            response.set_status(503)
            response.headers["Retry-After"] = "15"
        return response

    async def _file(self, request: web.Request) -> web.Response:
        return self._answer_file(request.match_info["name"])

    async def _no_icon(self, request: web.Request) -> web.Response:
        return web.Response(status=204)

    def _answer_file(self, name: str) -> web.Response:
        if (found := self._files.get(name)) is None:
            return refusal(404, "there is no such page")
        kind, body = found
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def _setup(self, request: web.Request) -> web.Response:
        state = self._state()
        return web.json_response(
            {
                **self._offers.as_dict(),
                "version": __version__,
                "ready": state.ready,
                "error": state.error,
                "notice": state.notice,
                "emulated": state.emulated,
                "max_duration": state.max_duration,
                "ice_servers": [server.as_dict() for server in self._ice.servers],
                "calls": {"active": self._house.active, "max": self._house.max_calls},
            }
        )

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
        body = await _json(request)
        sdp, asked = _sdp(body), body.get("stacks", {})
        if not isinstance(asked, dict) or not all(isinstance(spec, str) for spec in asked.values()):
            return refusal(400, "stacks is an object of persona and stack")
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
        body = await _json(request)
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
        secret = (await _body(request)).decode("utf-8", "replace").strip()
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
        if isinstance(first, Resume):
            guest = self._house.known(first.call, first.secret)
            if guest is None:
                raise StoryError("this call is over")
            return guest
        if (error := self._cannot()) is not None:
            raise StoryError(error)
        stacks = self._offers.chosen(first.stacks)
        return self._house.let_in(_new_caller(), stacks)


async def _json(request: web.Request) -> dict[str, object]:
    """The body of a request. Raises HTTPBadRequest where it is no JSON object."""
    try:
        body = json.loads(await _body(request))
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(reason="the body is no JSON") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(reason="the body is no JSON object")
    return body


async def _body(request: web.Request) -> bytes:
    """The body of a request. Raises the HTTP errors for one that does not come, or is too long."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body did not come") from None


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


def page_files() -> dict[str, tuple[str, bytes]]:
    """name -> content type and bytes of every file of the page. They are small, and read once."""
    folder = resources.files("story.transports.web") / "page"
    return {
        file.name: (TYPES[suffix], file.read_bytes())
        for file in folder.iterdir()
        if (suffix := "." + file.name.rpartition(".")[2]) in TYPES
    }
