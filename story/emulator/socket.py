"""The server's side of one websocket: messages in, messages out when they are due."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress

from aiohttp import WSMsgType, web

from story.emulator.brain import BrainError
from story.emulator.emulation import Emulation
from story.emulator.exchange import until
from story.emulator.faults import Fault
from story.emulator.json_text import dump_json, load_json
from story.emulator.latency import Stage
from story.emulator.vendor import Vendor, VendorError, WebSocket, as_told

log = logging.getLogger("story.emulator")

Message = bytes | dict[str, object] | str
"""Sound, a JSON object, or text that is none."""

LARGEST = 16 * 2**20
"""Bytes of a message; a larger one closes the socket with 1009."""
CLOSE_SECONDS = 2.0
"""For the peer's half of the closing handshake."""


class GoneError(Exception):
    """The peer is gone, or a fault ended the connection."""


class Socket:
    """One connection. Iterate over it for the messages; what runs beside that (`later`, `beside`) ends with it.

    context: the vendor's id of what is being answered, for errors that have to name it. headers: those of the
    handshake, with the id of the request. received: the last message that came in. sent: how many went out.
    """

    def __init__(
        self,
        request: web.Request,
        emulation: Emulation,
        *,
        vendor: Vendor,
        endpoint: WebSocket,
        number: int,
        faults: tuple[Fault, ...] = (),
    ) -> None:
        self.request = request
        self.emulation = emulation
        self.vendor = vendor
        self.endpoint = endpoint
        self.number = number
        self.context: str | None = None
        self.arrived = self._loop_time()
        self._faults = faults
        self.received: Message = ""
        self.sent = 0
        self.headers = vendor.headers()
        self._received = 0
        self._ws = web.WebSocketResponse(max_msg_size=LARGEST, timeout=CLOSE_SECONDS, protocols=endpoint.protocols)
        self._ws.headers.update(self.headers)
        self._outbox: asyncio.Queue[tuple[float, Callable[[], Awaitable[None]]]] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None
        self._at_end: list[Callable[[], None]] = []

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the address; of one that is given more often, the first."""
        return self.request.query

    @property
    def model(self) -> str:
        return self.query.get(self.endpoint.model, "")

    async def __aiter__(self) -> AsyncIterator[Message]:
        await self._strike_received()
        async for message in self._ws:
            self.arrived = self._loop_time()
            self._received += 1
            if message.type is WSMsgType.BINARY:
                data: Message = bytes(message.data)
            elif message.type is WSMsgType.TEXT:
                data = _parsed(message.data)
            else:
                continue
            self.emulation.journal.add(self.number, self.vendor.name, self.endpoint.name, "received", data)
            await self._strike_received()
            self.received = data
            yield data
            if self._failure is not None:
                raise self._failure

    async def send(self, message: Message) -> None:
        """Send it now. Raises GoneError."""
        fault = await self._strike_sent()
        text = "" if isinstance(message, bytes) else message if isinstance(message, str) else dump_json(message)
        if fault is not None and fault.kind == "malformed" and text:
            text = text[: len(text) // 2]
        self.emulation.journal.add(self.number, self.vendor.name, self.endpoint.name, "sent", message)
        self.sent += 1
        try:
            if isinstance(message, bytes):
                await self._ws.send_bytes(message)
            else:
                await self._ws.send_str(text)
        except (ConnectionError, RuntimeError):  # aiohttp's word for a socket that is closed
            raise GoneError from None

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it; the iteration over it ends."""
        await self._ws.close(code=code, message=reason.encode()[:120])

    def due(self, role: str, stage: Stage = Stage.FIRST, *, after: float | None = None) -> float:
        """When a `stage` is due (the loop's clock): drawn, from `after`, by default the last message."""
        latency = self.emulation.latencies.draw(self.vendor.name, role, self.model, stage)
        return (self.arrived if after is None else after) + latency

    def later(self, due: float, job: Callable[[], Awaitable[None]]) -> None:
        """Run `job` at `due` (the loop's clock), after all that was handed in before, while messages go on coming."""
        self._outbox.put_nowait((due, job))

    def beside(self, work: Coroutine[object, object, object]) -> asyncio.Task[None]:
        """Run `work` beside the iteration over the messages; what it raises ends the connection."""
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # one cancelled before its first step never awaits it
        return task

    def at_end(self, callback: Callable[[], None]) -> None:
        """Call `callback` once the connection is over, however it ended."""
        self._at_end.append(callback)

    async def drained(self) -> None:
        """Return once everything handed to `later` has been done."""
        await self._outbox.join()
        if self._failure is not None:
            raise self._failure

    async def serve(self) -> web.WebSocketResponse:
        """Shake hands and run the endpoint until either side ends."""
        await self._ws.prepare(self.request)
        self.arrived = self._loop_time()
        self.beside(self._empty_outbox())
        try:
            await self.endpoint.handler(self)
        except GoneError:
            pass
        except (VendorError, BrainError) as error:
            if error is not self._failure:  # otherwise the client knows
                await self._refuse(as_told(error))
        finally:
            await self._end()
        return self._ws

    async def _refuse(self, error: VendorError) -> None:
        with suppress(GoneError):
            if self.endpoint.error is not None:
                await self.send(dict(self.endpoint.error(self, error)))
        await self.close(1011 if error.status >= 500 else 1008, error.message)

    async def _end(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        for callback in self._at_end:
            callback()
        try:  # where the client goes away meanwhile, aiohttp cancels this
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if not self._ws.closed:
                await self.close()
        except ConnectionError:
            pass  # it is closed, then
        finally:
            told = {"code": self._ws.close_code}
            self.emulation.journal.add(self.number, self.vendor.name, self.endpoint.name, "ended", told)

    async def _empty_outbox(self) -> None:
        while True:
            due, job = await self._outbox.get()
            try:
                if self._failure is None:
                    await until(due)
                    await self._guarded(job())
            finally:
                self._outbox.task_done()

    async def _guarded(self, work: Awaitable[object]) -> None:
        """Do `work`; where it fails, the connection ends."""
        try:
            await work
        except GoneError as error:
            await self._fail(error)
        except (VendorError, BrainError) as error:
            await self._fail(as_told(error))
        except Exception:
            log.exception("%s %s failed", self.vendor.name, self.endpoint.name)
            await self._fail(VendorError(500, "the emulator failed", "internal_error"))

    async def _fail(self, error: GoneError | VendorError) -> None:
        """End the connection from beside the iteration."""
        if self._failure is None:
            self._failure = error
            if isinstance(error, VendorError):
                await self._refuse(error)
            elif not self._ws.closed:
                await self.close()

    async def _strike_received(self) -> None:
        for fault in self._faults:
            if not fault.at_request and not fault.sent and self._received == fault.after and fault.kind != "malformed":
                await self._strike(fault)

    async def _strike_sent(self) -> Fault | None:
        """Let the faults happen that are due before the next message goes out; returns one that spoils it."""
        for fault in self._faults:
            if fault.kind == "drip":
                await asyncio.sleep(fault.number)
            elif fault.kind == "malformed":
                if self.sent >= fault.sent and self._received >= fault.after:
                    self._faults = tuple(other for other in self._faults if other is not fault)
                    return fault
            elif fault.sent and self.sent == fault.sent:
                await self._strike(fault)
        return None

    async def _strike(self, fault: Fault) -> None:
        if fault.kind == "hang":
            await asyncio.Event().wait()
        elif fault.kind == "close":
            await self.close(int(fault.number), "closed on demand")
            raise GoneError
        elif fault.kind == "cut":
            if self.request.transport is not None:
                self.request.transport.abort()
            raise GoneError
        elif fault.kind == "error" and self.endpoint.error is not None:
            self._faults = tuple(other for other in self._faults if other is not fault)
            error = VendorError(500, "an error on demand", fault.value or None)
            await self.send(dict(self.endpoint.error(self, error)))

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()


def _parsed(text: str) -> dict[str, object] | str:
    try:
        data = load_json(text)
    except ValueError:
        return text
    return data if isinstance(data, dict) else text
