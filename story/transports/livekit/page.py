"""The page of `story run` where callers come in by LiveKit rooms: it gets a token for a room of its own."""

from __future__ import annotations

import json
import secrets
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from story.core.errors import ConfigError, StoryError
from story.core.registry import Registry
from story.core.resolve import resolve
from story.transports.livekit.orders import Model, Order, models_of
from story.transports.livekit.server_access import LiveKitServer
from story.transports.web.access import Access, is_loopback, refusal
from story.transports.web.offers import OfferedStack, Offers
from story.transports.web.server import TYPES, State, page_files
from story.version import __version__

FOLDER = Path(__file__).parent / "page"
CLIENT = FOLDER / "livekit-client.js"
"""LiveKit's client for browsers, which `make web` puts there."""
MAIN, ROOM = (b'<script type="module" src="page/%b.js"></script>' % name for name in (b"main", b"room"))
TOKEN_SECONDS = 120.0
"""A token is to join with at once; while the page is in the room the server gives it new ones."""
MAX_BODY = 16 * 1024
SHUTDOWN_SECONDS = 0.3
CAPTIONS = "story.captions"
"""Attribute of a caller who wants what is said as it is said among the events, too."""


def has_client() -> bool:
    """Whether the page can be served in LiveKit mode."""
    return CLIENT.is_file()


class RoomPage:
    """Serves the page on `host`:`port` (0: any free one). agent: who is sent into the rooms. state: asked each time a
    page wants to know."""

    def __init__(
        self,
        server: LiveKitServer,
        agent: str,
        offers: Offers,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        state: Callable[[], State],
    ) -> None:
        self._server, self._agent, self._offers = server, agent, offers
        self._host, self._port, self._tls = host, port, tls
        self._state = state
        self._access = Access(host, open_paths=frozenset(), secure=tls is not None, reaches=_origins(server))
        self._files = _files()
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
        """Listen. Raises ConfigError where the address can't be had."""
        app = web.Application(middlewares=[self._access.middleware], client_max_size=MAX_BODY)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/page/{name}", self._file),
                web.get("/favicon.ico", self._no_icon),
                web.get("/api/setup", self._setup),
                web.post("/api/rooms", self._room),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"can't listen on {self._host} port {self._port} ({error.strerror or error}):"
                " choose another with --port or --host, or do without the page: --no-page"
            ) from None
        self._port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _page(self, request: web.Request) -> web.Response:
        return self._answer_file("index.html")

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
                "ice_servers": [],
                "calls": None,  # whether a line is free is for all workers together to say
            }
        )

    async def _room(self, request: web.Request) -> web.Response:
        """A room of its own for whoever asks, and a token for that alone; the agent is sent there by it."""
        try:
            body = json.loads(await request.read())
        except (ValueError, RecursionError):
            return refusal(400, "the body is no JSON")
        asked = body.get("stacks", {}) if isinstance(body, dict) else None
        if not isinstance(asked, dict) or not all(isinstance(spec, str) for spec in asked.values()):
            return refusal(400, "stacks is an object of persona and stack")
        try:
            stacks = self._offers.chosen(asked)
        except StoryError as error:
            return refusal(400, str(error))
        from story.transports.livekit.tokens import join_token

        token = join_token(
            self._server,
            f"story-{secrets.token_hex(8)}",
            f"caller-{secrets.token_hex(6)}",
            seconds=TOKEN_SECONDS,
            agent=self._agent,
            metadata=Order(stacks=stacks).as_metadata() if asked else "",
            attributes={CAPTIONS: "1"},
        )
        return web.json_response({"url": self._server.url, "token": token}, status=201)


def allowed_offers(offers: Offers, allowed: frozenset[Model], registry: Registry, default_stack: str | None) -> Offers:
    """What may be chosen of it where jobs may use these models alone."""

    def judged(stack: OfferedStack) -> OfferedStack:
        if not stack.works or models_of([resolve(stack.spec, registry, default_stack=default_stack)]) <= allowed:
            return stack
        return replace(stack, works=False, reason="this worker was not started for it (--allow-stacks)")

    return replace(offers, stacks=tuple(judged(stack) for stack in offers.stacks))


def _files() -> dict[str, tuple[str, bytes]]:
    """The page, with another transport than its own."""
    files = page_files()
    kind, index = files["index.html"]
    files["index.html"] = (kind, index.replace(MAIN, MAIN + ROOM))
    return files | {path.name: (TYPES[path.suffix], path.read_bytes()) for path in FOLDER.glob("*.js")}


def _origins(server: LiveKitServer) -> tuple[str, str]:
    """What the page may connect to: the server's socket, and what it is asked over HTTP where that does not open."""
    place = urlsplit(server.http_url).netloc
    secure = "s" if server.http_url.startswith("https") else ""
    return f"ws{secure}://{place}", f"http{secure}://{place}"
