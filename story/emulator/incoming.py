"""Sound as clients stream it: raw samples, or a container that is decoded while it arrives."""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal, Protocol

import numpy as np

from story.emulator.audio import from_logarithmic
from story.emulator.socket import Socket
from story.emulator.vendor import VendorError

Samples = Literal["s16", "s32", "f16", "f32", "mulaw", "alaw"]

CONTAINER_RATE = 16_000
"""Hz to which sound out of containers is brought: what recognisers work at."""
_BYTES: dict[Samples, int] = {"s16": 2, "s32": 4, "f16": 2, "f32": 4, "mulaw": 1, "alaw": 1}
_PROBED = {"formatprobesize": "16384", "probesize": "2048", "analyzeduration": "0"}
"""What the demuxer may look at before it says what it is: a live stream has little to look at."""
_PIECE_BYTES = 2 * CONTAINER_RATE
"""Of sound that is handed over at once, unless the decoder has to wait for more before there is so much."""
_AHEAD = 4
"""Pieces that the decoder may be ahead of the listener: a few bytes of silence can become hours of it."""

Hear = Callable[[bytes], Awaitable[None]]


class Incoming(Protocol):
    """What a client streams, on its way to a listener as s16le mono."""

    async def take(self, data: bytes) -> None:
        """A message of it."""
        ...

    async def settled(self) -> None:
        """Return once all that was taken has been heard, as far as it can be without what follows."""
        ...

    async def end(self) -> None:
        """No more comes. Return once all has been heard."""
        ...


class Raw:
    """Samples without a header; messages may cut them anywhere."""

    def __init__(self, samples: Samples, hear: Hear) -> None:
        self._samples = samples
        self._hear = hear
        self._rest = b""

    async def take(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        whole = len(data) // _BYTES[self._samples] * _BYTES[self._samples]
        self._rest = data[whole:]
        if whole:
            await self._hear(s16(data, self._samples))

    async def settled(self) -> None:
        pass

    async def end(self) -> None:
        pass


class Container:
    """ogg, webm, wav, mp3, ...: heard at CONTAINER_RATE.

    The decoder reads as it pleases, so it has a thread of its own, which waits for what the client sends. `unknown` is
    the error that ends the connection where the sound is none.
    """

    def __init__(self, socket: Socket, hear: Hear, unknown: VendorError) -> None:
        self._hear = hear
        self._unknown = unknown
        self._socket = socket
        self._loop = asyncio.get_running_loop()
        self._data: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._rest = self._made = b""
        self._taken = self._read = 0
        self._idle = asyncio.Event()
        self._decoded: asyncio.Queue[bytes | VendorError | None] = asyncio.Queue()
        self._room = threading.Semaphore(_AHEAD)
        self._closed = False
        self._hearing: asyncio.Task[None] | None = None

    async def take(self, data: bytes) -> None:
        self._start()
        self._taken += 1
        self._idle.clear()
        self._data.put(data)

    async def settled(self) -> None:
        if self._hearing is not None:
            await self._unless_over(self._idle.wait())
            await self._unless_over(self._decoded.join())

    async def end(self) -> None:
        if self._hearing is not None:
            self._data.put(None)
            await asyncio.wait([self._hearing])

    def read(self, size: int) -> bytes:
        """For the decoder, in its thread: some of what came in, b"" at the end."""
        if self._closed:
            return b""
        if not self._rest:
            if self._data.empty():
                self._hand_over()
                self._call(self._waiting, self._read)
            data = self._data.get()
            if data is None:
                self._data.put(None)  # it may ask again
                return b""
            self._read += 1
            self._rest = data
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def _start(self) -> None:
        if self._hearing is None:
            self._hearing = self._socket.beside(self._hear_all())
            self._socket.at_end(self._close)
            threading.Thread(target=self._decode, name="container", daemon=True).start()

    def _close(self) -> None:
        """Nobody hears any more: let the thread end, wherever it waits."""
        self._closed = True
        self._room.release()
        self._data.put(None)

    async def _hear_all(self) -> None:
        while True:
            decoded = await self._decoded.get()
            try:
                if decoded is None:
                    return
                if isinstance(decoded, VendorError):
                    raise decoded
                await self._hear(decoded)
            finally:
                self._room.release()
                self._decoded.task_done()

    async def _unless_over(self, wait: Awaitable[object]) -> None:
        """Wait, but no longer than anybody hears."""
        assert self._hearing is not None
        waiting = asyncio.ensure_future(wait)
        await asyncio.wait([waiting, self._hearing], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    def _waiting(self, read: int) -> None:
        if read == self._taken:
            self._idle.set()

    def _decode(self) -> None:
        import av

        over: VendorError | None = self._unknown
        try:
            with av.open(self, "r", buffer_size=4096, options=_PROBED) as source:
                resampler = av.AudioResampler(format="s16", layout="mono", rate=CONTAINER_RATE)
                for frame in itertools.chain(source.decode(source.streams.audio[0]), (None,)):
                    self._made += b"".join(made.to_ndarray().tobytes() for made in resampler.resample(frame))
                    if len(self._made) >= _PIECE_BYTES:
                        self._hand_over()
            over = None
        except (av.FFmpegError, IndexError, ValueError):
            pass
        finally:
            self._hand_over()
            self._call(self._decoded.put_nowait, over)

    def _hand_over(self) -> None:
        if self._made and not self._closed:
            self._room.acquire()
            self._call(self._decoded.put_nowait, self._made)
        self._made = b""

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody hears any more
            self._loop.call_soon_threadsafe(function, *arguments)


def s16(data: bytes, samples: Samples) -> bytes:
    """Raw sound as s16le; what is left of a sample at its end is dropped."""
    data = data[: len(data) // _BYTES[samples] * _BYTES[samples]]
    if samples == "s16":
        return data
    if samples in ("mulaw", "alaw"):
        return from_logarithmic(data, samples)
    if samples == "s32":
        return (np.frombuffer(data, "<i4") >> 16).astype("<i2").tobytes()
    values = np.frombuffer(data, "<f2" if samples == "f16" else "<f4").astype(np.float64)
    return (np.clip(np.nan_to_num(values), -1, 1) * 32767).astype("<i2").tobytes()
