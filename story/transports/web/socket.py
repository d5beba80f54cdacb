"""A page at the other end of a WebSocket, for where UDP does not get through.

Sound is s16le mono at 24 kHz, 20 ms in a binary message, in both directions; in silence none is sent to the page.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence

import av
import numpy as np
from aiohttp import WSCloseCode, WSMsgType, web

from story.transports.sound import SAMPLE_RATE, Samples
from story.transports.web.carrier import Ends
from story.transports.web.opus import samples_of
from story.transports.web.track import STALL_SECONDS

logger = logging.getLogger("story.web")

FRAME_SECONDS = 0.02
FRAME_SAMPLES = int(SAMPLE_RATE * FRAME_SECONDS)
LOST_SECONDS = 4.0
GAP_SECONDS = 0.2
MAX_BACKLOG = 256_000
"""Bytes that may wait to be sent; a page that reads more slowly than that is lost."""
MAX_FRAME = 48_000
"""Bytes of sound that a page may send at once: a second."""


class SocketCarrier:
    """Carries sound and messages over one WebSocket until it is closed or lost.

    abort: cuts the connection under the socket, for a page that does not read what would end it politely.
    """

    name = "socket"

    def __init__(self, socket: web.WebSocketResponse, ends: Ends, abort: Callable[[], None]) -> None:
        self._socket = socket
        self._abort = abort
        self._ends = ends
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=ends.caller_rate)
        self._outbox: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._waiting = 0
        self._clock = asyncio.get_running_loop().time
        self._heard = self._clock()
        self._lost = False
        self._closed = False
        self._writing = asyncio.create_task(self._write())
        self._pacing = asyncio.create_task(self._pace())

    async def carry(self) -> None:
        """Read what the page sends until the connection ends; then the call has lost it."""
        if not self._closed:
            self._ends.connected()
        try:
            async for message in self._socket:
                self._read(message.type, message.data)
        finally:
            self._lose("its socket closed")

    def send(self, message: Mapping[str, object]) -> None:
        self._put(json.dumps(message, ensure_ascii=False))

    def recall(self) -> Sequence[Mapping[str, object]]:
        return ()

    def clear(self) -> None:
        self.send({"type": "clear"})

    async def aclose(self) -> None:
        self._closed = True
        self._pacing.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOST_SECONDS / 4):
                await self._outbox.join()
        self._writing.cancel()
        await asyncio.wait([self._pacing, self._writing])
        try:
            async with asyncio.timeout(LOST_SECONDS / 4):
                await self._socket.close(code=WSCloseCode.OK)
        except Exception:  # whatever keeps it from being closed politely
            self._abort()

    def _read(self, kind: WSMsgType, data: str | bytes) -> None:
        self._heard = self._clock()
        if self._closed:
            return
        if self._lost:
            self._lost = False
            self._ends.connected()
        if isinstance(data, str):
            self._ends.message(data)
        elif kind is WSMsgType.BINARY and len(data) % 2 == 0 and 0 < len(data) <= MAX_FRAME:
            self._hear(np.frombuffer(data, "<i2"))

    def _hear(self, samples: Samples) -> None:
        frame = av.AudioFrame.from_ndarray(samples.astype(np.int16).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for made in self._resampler.resample(frame):
            self._ends.push(samples_of(made))

    async def _pace(self) -> None:
        silence = np.zeros(int(self._ends.caller_rate * FRAME_SECONDS), np.int16)
        start, number = self._clock(), 0
        while True:
            if not self._lost:  # what nobody can hear is kept for when the page is back
                samples = self._ends.pull(FRAME_SAMPLES)
                if samples.any():
                    self._put(samples.tobytes())
            quiet = self._clock() - self._heard
            if quiet > LOST_SECONDS:
                self._lose(f"nothing was heard of it for {LOST_SECONDS:g} s")
            elif quiet > GAP_SECONDS:
                self._ends.push(silence)
            number += 1
            wait = start + number * FRAME_SECONDS - self._clock()
            if wait < -STALL_SECONDS:
                start -= wait
            await asyncio.sleep(max(0.0, wait))

    def _put(self, data: str | bytes) -> None:
        if self._socket.closed or self._writing.done():
            return
        if self._waiting > MAX_BACKLOG:
            self._lose("it reads too slowly")
            self._abort()
            return
        self._waiting += len(data)
        self._outbox.put_nowait(data)

    async def _write(self) -> None:
        while True:
            data = await self._outbox.get()
            try:
                await (self._socket.send_str(data) if isinstance(data, str) else self._socket.send_bytes(data))
            except (ConnectionError, RuntimeError):
                self._lose("its socket broke")
            finally:
                self._waiting -= len(data)
                self._outbox.task_done()

    def _lose(self, why: str) -> None:
        if not self._lost and not self._closed:
            self._lost = True
            self._ends.lost(why)
