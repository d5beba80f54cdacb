"""The page of `story run` where callers come in by LiveKit rooms: it gets a token for a room of its own."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from story.core.errors import StoryError
from story.core.registry import Registry
from story.core.resolve import resolve
from story.transports.livekit.orders import Model, Order, models_of
from story.transports.livekit.server_access import LiveKitServer
from story.transports.web.access import Access, refusal
from story.transports.web.offers import OfferedStack, Offers
from story.transports.web.page_server import TYPES, PageServer, State, asked_stacks, page_files, read_object

FOLDER = Path(__file__).parent / "page"
CLIENT = FOLDER / "livekit-client.js"
"""LiveKit's client for browsers, which `make web` puts there."""
MAIN, ROOM = (b'<script type="module" src="page/%b.js"></script>' % name for name in (b"main", b"room"))
TOKEN_SECONDS = 120.0
"""A token is to join with at once; while the page is in the room the server gives it new ones."""
MAX_BODY = 16 * 1024
CAPTIONS = "story.captions"
"""Attribute of a caller who wants what is said as it is said among the events, too."""


def has_client() -> bool:
    """Whether the page can be served in LiveKit mode."""
    return CLIENT.is_file()


class RoomPage(PageServer):
    """Serves the page, and a room to each caller. agent: who is sent into the rooms."""

    max_body = MAX_BODY
    advice = f"{PageServer.advice}, or do without the page: --no-page"

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
        access = Access(host, open_paths=frozenset(), secure=tls is not None, reaches=_origins(server))
        super().__init__(access, _files(), host=host, port=port, tls=tls, state=state)
        self.offer(offers)
        self._server, self._agent = server, agent

    def _routes(self) -> Sequence[web.RouteDef]:
        return [web.post("/api/rooms", self._room)]

    def _told(self) -> Mapping[str, object]:
        # whether a line is free is for all workers together to say
        return {"ice_servers": [], "calls": None}

    async def _room(self, request: web.Request) -> web.Response:
        """A room of its own for whoever asks, and a token for that alone; the agent is sent there by it."""
        asked = asked_stacks(await read_object(request))
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
