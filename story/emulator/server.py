"""One port that speaks the wire protocols of several vendors."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import itertools
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType

from aiohttp import web

from story.core.errors import ConfigError, StoryError
from story.emulator.brain import BrainError
from story.emulator.emulation import Emulation
from story.emulator.exchange import CutError, Exchange, until
from story.emulator.faults import Fault, parse_fault
from story.emulator.latency import Stage
from story.emulator.socket import GoneError, Socket
from story.emulator.vendor import Http, Vendor, VendorError, WebSocket, as_told, refused_key

LARGEST_BODY = 26 * 2**20
"""Bytes; OpenAI takes recordings of up to 25 MB."""
LAST_SECONDS = 0.5
"""For answers under way when the server is stopped."""
CONTROL = "/emulator"

log = logging.getLogger("story.emulator")
_not_http = log.getChild("http")
_not_http.setLevel(logging.CRITICAL)  # who sends no HTTP is answered so: aiohttp would log a traceback for each

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Emulator:
    """The server. Use it as an async context manager; `url` is its address without a trailing slash."""

    def __init__(
        self, emulation: Emulation, vendors: Sequence[Vendor], *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        """port: 0 for a free one."""
        self.emulation = emulation
        self.vendors = tuple(vendors)
        self.host = host
        self.port = port
        self._sockets: set[Socket] = set()
        self._numbers = itertools.count(1)
        app = web.Application(client_max_size=LARGEST_BODY)
        for vendor in self.vendors:
            self._add(app, vendor)
        app.router.add_route("*", CONTROL + "/{what}", self._control)
        app.router.add_route("*", "/{path:.*}", self._unknown)
        self._runner = web.AppRunner(
            app, access_log=None, logger=_not_http, handler_cancellation=True, shutdown_timeout=LAST_SECONDS
        )

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def connections(self) -> int:
        """Open websockets."""
        return len(self._sockets)

    async def __aenter__(self) -> Emulator:
        """Listen. Raises ConfigError where the address can't be had."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            why = "is taken: choose another with --port" if error.errno == errno.EADDRINUSE else "can't be used"
            raise ConfigError(f"port {self.port} of {self.host} {why} ({error.strerror})") from None
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.gather(*(socket.close(1001, "going away") for socket in tuple(self._sockets)))
        await self._runner.cleanup()
        await self.emulation.aclose()

    def endpoints(self) -> dict[str, tuple[str, ...]]:
        """vendor -> names of its endpoints."""
        return {v.name: tuple(dict.fromkeys(endpoint.name for endpoint in v.endpoints)) for v in self.vendors}

    def _add(self, app: web.Application, vendor: Vendor) -> None:
        by_path: dict[str, list[Http | WebSocket]] = defaultdict(list)
        for endpoint in vendor.endpoints:
            by_path[endpoint.path].append(endpoint)
        for path, endpoints in by_path.items():
            app.router.add_route("*", path, self._handler(vendor, endpoints))

    def _handler(self, vendor: Vendor, endpoints: Sequence[Http | WebSocket]) -> Handler:
        otherwise = 405 if any(isinstance(endpoint, Http) for endpoint in endpoints) else 426

        async def handle(request: web.Request) -> web.StreamResponse:
            upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
            for endpoint in endpoints:
                if isinstance(endpoint, WebSocket) if upgrade else _takes(endpoint, request.method):
                    return await self._answer(request, vendor, endpoint)
            message = f"{request.path} takes no {'websocket' if upgrade else request.method}"
            return _refusal(vendor, VendorError(400 if upgrade else otherwise, message, "wrong_method"))

        return handle

    async def _answer(self, request: web.Request, vendor: Vendor, endpoint: Http | WebSocket) -> web.StreamResponse:
        arrived = asyncio.get_running_loop().time()
        number = next(self._numbers)
        key = vendor.key(request)
        self._note(request, vendor, endpoint, number, key)
        faults = self.emulation.faults.take(vendor.name, endpoint.name)
        try:
            await self._strike(request, faults)
            if not key or (self.emulation.keys and key not in self.emulation.keys):
                raise refused_key(vendor, key or None)
            if isinstance(endpoint, Http):
                exchange = Exchange(
                    request, self.emulation, vendor=vendor, endpoint=endpoint.name, number=number, faults=faults
                )
                return await endpoint.handler(exchange)
            socket = Socket(request, self.emulation, vendor=vendor, endpoint=endpoint, number=number, faults=faults)
            latency = self.emulation.latencies.draw(vendor.name, endpoint.role, socket.model, Stage.CONNECT)
            await until(arrived + latency)
            if endpoint.check is not None:
                endpoint.check(socket.query)
            self._sockets.add(socket)
            try:
                return await socket.serve()
            finally:
                self._sockets.discard(socket)
        except (VendorError, BrainError) as error:
            told = as_told(error)
            self.emulation.journal.add(number, vendor.name, endpoint.name, "ended", {"status": told.status})
            return _refusal(vendor, told)
        except web.HTTPRequestEntityTooLarge:
            return _refusal(vendor, VendorError(413, "the body is too large", "too_large"))
        except (CutError, GoneError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=499)  # goes nowhere
        except web.HTTPException:
            raise
        except Exception:
            log.exception("%s %s failed", vendor.name, endpoint.name)
            return _refusal(vendor, VendorError(500, "the emulator failed", "internal_error"))

    async def _strike(self, request: web.Request, faults: Sequence[Fault]) -> None:
        for fault in faults:
            if not fault.at_request:
                continue
            if fault.kind == "hang":
                await asyncio.Event().wait()
            if fault.kind == "refuse":
                raise CutError
            if fault.kind == "status":
                raise VendorError(int(fault.number), "an error on demand", "emulated")

    def _note(
        self, request: web.Request, vendor: Vendor, endpoint: Http | WebSocket, number: int, key: str | None
    ) -> None:
        told: dict[str, object] = {
            "method": "WEBSOCKET" if isinstance(endpoint, WebSocket) else request.method,
            "path": request.path,
            "query": {name: request.query.getall(name) for name in request.query},
            "user_agent": request.headers.get("User-Agent"),
            "content_type": request.headers.get("Content-Type"),
            "key": "given" if key else "missing",
        }
        self.emulation.journal.add(number, vendor.name, endpoint.name, "request", told)

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        vendor = next((v for v in self.vendors if request.path.startswith(v.owns)), self.vendors[0])
        return _refusal(vendor, VendorError(404, f"unknown path {request.path}", "not_found"))

    async def _control(self, request: web.Request) -> web.StreamResponse:
        """`GET`, `DELETE /emulator/log`; `GET`, `POST`, `DELETE /emulator/faults`; `GET /emulator/state`."""
        if not _is_loopback(request.remote) or "Origin" in request.headers:  # no page of a browser's, either
            return web.json_response({"error": "for programs on this machine alone"}, status=403)
        action = (request.method, request.match_info["what"])
        if action == ("GET", "log"):
            since = request.query.get("since", "0")
            try:
                return web.json_response(self.emulation.journal.as_data(since=float(since)))
            except ValueError:
                return web.json_response({"error": f"since={since} is no number of seconds"}, status=400)
        if action == ("DELETE", "log"):
            self.emulation.journal.entries.clear()
        elif action == ("POST", "faults"):
            try:
                self.emulation.faults.faults += [
                    parse_fault(line, self.endpoints()) for line in (await request.text()).splitlines() if line.strip()
                ]
            except StoryError as error:
                return web.json_response({"error": str(error)}, status=400)
        elif action == ("DELETE", "faults"):
            self.emulation.faults.faults = []
        elif action not in (("GET", "faults"), ("GET", "state")):
            return web.json_response({"error": f"no {request.method} {request.path}"}, status=404)
        return web.json_response(self._state())

    def _state(self) -> dict[str, object]:
        return {
            "faults": [str(fault) for fault in self.emulation.faults.faults],
            "profile": self.emulation.latencies.profile.name,
            "connections": self.connections,
            "requests": len(self.emulation.journal.entries),
        }


def _takes(endpoint: Http | WebSocket, method: str) -> bool:
    return isinstance(endpoint, Http) and endpoint.method == method


def _refusal(vendor: Vendor, error: VendorError) -> web.Response:
    body = vendor.error(error)
    return web.json_response(body, status=error.status, headers={**vendor.headers(), **vendor.error_headers(body)})


def _is_loopback(address: str | None) -> bool:
    try:
        return address is not None and ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
