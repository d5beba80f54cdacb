"""One HTTP request and its answer: what endpoints read, send, and wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from story.emulator.brain import BrainError
from story.emulator.emulation import Emulation
from story.emulator.faults import Fault
from story.emulator.journal import Kind
from story.emulator.json_text import dump_json, load_json
from story.emulator.latency import Stage
from story.emulator.vendor import Vendor, VendorError

log = logging.getLogger("story.emulator")


class CutError(Exception):
    """The connection was cut on purpose."""


@dataclass(frozen=True)
class Upload:
    """A file of a multipart form."""

    name: str
    content_type: str
    data: bytes


class Exchange:
    """A request of one vendor's endpoint, and its answer.

    arrived: when its last byte was read (the loop's clock, seconds); deadlines count from there.
    headers: those of the answer, with the id of the request.
    """

    def __init__(
        self,
        request: web.Request,
        emulation: Emulation,
        *,
        vendor: Vendor,
        endpoint: str,
        number: int,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        self.request = request
        self.emulation = emulation
        self.vendor = vendor
        self.endpoint = endpoint
        self.number = number
        self.arrived = asyncio.get_running_loop().time()
        self.headers = vendor.headers()
        self._faults = faults

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query

    async def json(self) -> dict[str, object]:
        """The body, a JSON object. Raises VendorError(400)."""
        body = await self._read()
        try:
            data = load_json(body)
        except ValueError:
            raise VendorError(400, "the body is not valid JSON", "invalid_json") from None
        if not isinstance(data, dict):
            raise VendorError(400, "the body is not a JSON object", "invalid_json")
        self.note("received", data)
        return data

    async def body(self) -> bytes:
        """The body as it is."""
        body = await self._read()
        self.note("received", body)
        return body

    async def form(self) -> dict[str, list[str | Upload]]:
        """The fields of a multipart form. Raises VendorError(400)."""
        try:
            fields = await self.request.post()
        except web.HTTPException:
            raise
        except Exception:  # aiohttp raises what its parser happens to meet
            raise VendorError(400, "the body is not a multipart form", "invalid_form") from None
        self.arrived = asyncio.get_running_loop().time()
        form: dict[str, list[str | Upload]] = {}
        for name, value in fields.items():
            if isinstance(value, web.FileField):
                data = value.file.read()
                form.setdefault(name, []).append(Upload(value.filename, value.content_type, data))
            else:
                form.setdefault(name, []).append(value if isinstance(value, str) else bytes(value).decode("latin-1"))
        told = {name: [v if isinstance(v, str) else [v.name, v.data] for v in values] for name, values in form.items()}
        self.note("received", told)
        return form

    def due(self, role: str, model: str, stage: Stage = Stage.FIRST) -> float:
        """When the answer's `stage` is due (the loop's clock, seconds); drawn anew each time."""
        return self.arrived + self.emulation.latencies.draw(self.vendor.name, role, model, stage)

    def note(self, kind: Kind, content: object) -> None:
        """Write what was received or sent into the journal."""
        self.emulation.journal.add(self.number, self.vendor.name, self.endpoint, kind, content)

    async def reply(self, data: object, *, status: int = 200) -> web.Response:
        """A JSON answer."""
        fault = await self.before_sending(0)
        if fault is not None and fault.kind == "error":
            raise self.demanded(fault)
        self.note("sent", data)
        text = dump_json(data)
        return web.Response(
            text=text[: len(text) // 2] if fault is not None else text,
            status=status,
            headers={**self._headers({}), "Content-Type": self._type("application/json; charset=utf-8")},
        )

    @asynccontextmanager
    async def stream(self, content_type: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Stream]:
        """An answer of bytes that is sent as it is made."""
        stream = Stream(self, {"Content-Type": self._type(content_type), **self._headers(headers or {})})
        async with self._whole(stream):
            yield stream

    @asynccontextmanager
    async def events(self, *, named: bool = False) -> AsyncIterator[EventStream]:
        """An answer of server-sent events. named: each with its `type` as the event's name."""
        headers = {"Content-Type": self._type("text/event-stream; charset=utf-8"), "Cache-Control": "no-cache"}
        stream = EventStream(self, {**headers, **self._headers({})}, named=named)
        async with self._whole(stream):
            yield stream

    @asynccontextmanager
    async def _whole(self, stream: Stream) -> AsyncIterator[None]:
        """Finish `stream`; where an error comes after its status is out, all that can be done is to cut it."""
        try:
            yield
        except (CutError, ConnectionError):
            raise
        except Exception as error:
            if not stream.response.prepared:
                raise
            if not isinstance(error, VendorError | BrainError):
                log.exception("%s %s failed", self.vendor.name, self.endpoint)
            self.cut()
        await stream.finish()

    async def before_sending(self, sent: int) -> Fault | None:
        """Let the faults of this connection happen that are due after `sent` chunks; returns one that spoils JSON."""
        await self._drip()
        for fault in self._faults:
            if fault.at_request or sent < fault.sent:
                continue
            if fault.kind == "hang":
                await asyncio.Event().wait()
            if fault.kind in ("cut", "close"):
                self.cut()
            if fault.kind in ("malformed", "error"):
                self._faults = tuple(other for other in self._faults if other is not fault)
                return fault
        return None

    def cut(self) -> None:
        """Cut the connection. Raises CutError."""
        if self.request.transport is not None:
            self.request.transport.abort()
        raise CutError

    def demanded(self, fault: Fault) -> VendorError:
        """The error that a fault asks for."""
        return VendorError(500, "an error on demand", fault.value or "server_error")

    async def _read(self) -> bytes:
        body = await self.request.read()
        self.arrived = asyncio.get_running_loop().time()
        return body

    async def _drip(self) -> None:
        for fault in self._faults:
            if fault.kind == "drip":
                await asyncio.sleep(fault.number)

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {**self.headers, **headers}

    def _type(self, content_type: str) -> str:
        return next((fault.value for fault in self._faults if fault.kind == "content-type"), content_type)


class Stream:
    """Bytes on their way out."""

    def __init__(self, exchange: Exchange, headers: Mapping[str, str]) -> None:
        self.response = web.StreamResponse(headers=headers)
        self._exchange = exchange
        self._sent = 0

    async def send(self, data: bytes) -> None:
        """Send a chunk."""
        if await self._exchange.before_sending(self._sent) is not None:
            self._exchange.cut()  # sound has no other way to tell that something is wrong
        self._exchange.note("sent", data)
        await self._write(data)

    async def finish(self) -> None:
        """The answer is whole."""
        await self._prepared()
        await self.response.write_eof()

    async def _write(self, data: bytes) -> None:
        await self._prepared()
        self._sent += 1
        await self.response.write(data)

    async def _prepared(self) -> None:
        if not self.response.prepared:
            await self.response.prepare(self._exchange.request)


class EventStream(Stream):
    """Server-sent events on their way out."""

    def __init__(self, exchange: Exchange, headers: Mapping[str, str], *, named: bool) -> None:
        super().__init__(exchange, headers)
        self._named = named

    async def event(self, data: Mapping[str, object] | str) -> None:
        """Send one event; a str goes out as it is."""
        fault = await self._exchange.before_sending(self._sent)
        self._exchange.note("sent", data)
        text = data if isinstance(data, str) else dump_json(data)
        if fault is not None and fault.kind == "malformed":
            text = text[: len(text) // 2]
        if fault is not None and fault.kind == "error":
            text = dump_json(self._exchange.vendor.error(self._exchange.demanded(fault)))
        name = f"event: {data['type']}\n" if self._named and isinstance(data, Mapping) else ""
        await self._write(f"{name}data: {text}\n\n".encode())


async def until(due: float) -> None:
    """Sleep until `due` on the loop's clock (seconds); at once where it is past."""
    loop = asyncio.get_running_loop()
    if (left := due - loop.time()) > 0:
        await asyncio.sleep(left)
