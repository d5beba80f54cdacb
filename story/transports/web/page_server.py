"""What every server of the page does: listen, let in who may come, hand out the page's files."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from aiohttp import web

from story.core.errors import ConfigError
from story.transports.web.access import Access, is_loopback, refusal
from story.transports.web.addresses import address_for_others, address_here
from story.version import __version__

if TYPE_CHECKING:
    from story.transports.web.offers import Offers

BODY_SECONDS = 10.0
"""For a request's body to come."""
SHUTDOWN_SECONDS = 0.3
"""For requests under way when the server stops; calls have ended by then."""
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}


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


class PageServer:
    """Serves the page on `host`:`port` (0: any free one); how its calls begin, a subclass adds.

    files: name -> content type and bytes. state: asked each time a page wants to know.
    """

    max_body: int
    """Bytes of a request."""
    advice = "choose another with --port or --host"
    """What to do where the address can't be had."""

    def __init__(
        self,
        access: Access,
        files: Mapping[str, tuple[str, bytes]],
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        state: Callable[[], State],
    ) -> None:
        self._offers: Offers
        self._offered = asyncio.Event()
        self._access = access
        self._files = files
        self._host = host
        self._port = port
        self._tls = tls
        self._state = state
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where the page is for whoever may reach it; with the access token, where one is needed."""
        return self._url(address_for_others(self._host))

    @property
    def url_here(self) -> str:
        """Where it is for a browser on this machine."""
        return self._url(address_here(self._host))

    @property
    def exposed(self) -> bool:
        """Whether others than this machine can reach it."""
        return not is_loopback(self._host)

    def offer(self, offers: Offers) -> None:
        """Let callers choose; until then a page that asks what there is has to wait."""
        self._offers = offers
        self._offered.set()

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: the address can't be had.
        """
        app = web.Application(middlewares=[self._access.middleware], client_max_size=self.max_body)
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/page/{name}", self._file),
                web.get("/favicon.ico", self._no_icon),
                web.get("/api/setup", self._setup),
                *self._routes(),
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
                f"can't listen on {self._host} port {self._port} ({error.strerror or error}): {self.advice}"
            ) from None
        self._port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _url(self, host: str) -> str:
        host = f"[{host}]" if ":" in host else host
        query = f"?token={self._access.token}" if self._access.token else ""
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}/{query}"

    def _routes(self) -> Sequence[web.RouteDef]:
        """What there is besides the page."""
        raise NotImplementedError

    def _told(self) -> Mapping[str, object]:
        """What a page is told of the lines: `ice_servers` and `calls`."""
        raise NotImplementedError

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
        await self._offered.wait()
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
                **self._told(),
            }
        )


async def read_body(request: web.Request) -> bytes:
    """The body of a request. Raises the HTTP errors for one that does not come, or is too long."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body did not come") from None


async def read_object(request: web.Request) -> dict[str, object]:
    """The JSON object that is the body of a request. Raises the HTTP errors for one that is none."""
    try:
        body = json.loads(await read_body(request))
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest(reason="the body is no JSON") from None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(reason="the body is no JSON object")
    return body


def asked_stacks(body: Mapping[str, object]) -> dict[str, str]:
    """persona -> spec, as the body of a request asks for them. Raises HTTPBadRequest where it asks for nonsense."""
    asked = body.get("stacks", {})
    if not isinstance(asked, dict) or not all(isinstance(spec, str) for spec in asked.values()):
        raise web.HTTPBadRequest(reason="stacks is an object of persona and stack")
    return asked


def page_files() -> dict[str, tuple[str, bytes]]:
    """name -> content type and bytes of every file of the page. They are small, and read once."""
    folder = resources.files("story.transports.web") / "page"
    return {
        file.name: (TYPES[suffix], file.read_bytes())
        for file in folder.iterdir()
        if (suffix := "." + file.name.rpartition(".")[2]) in TYPES
    }
