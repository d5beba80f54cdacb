"""/tts/bytes, /tts/sse and /tts/websocket (https://docs.cartesia.ai/api-reference/tts)."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from aiohttp import web

from story.emulator.audio import Codec, Format, chunks
from story.emulator.exchange import Exchange, until
from story.emulator.fields import optional, read
from story.emulator.latency import Stage
from story.emulator.socket import Socket
from story.emulator.synthesis import Speech, synthesise
from story.emulator.vendor import VendorError

CHUNK_SECONDS = 0.1
_ENCODINGS: Mapping[str, Codec] = {"pcm_s16le": "pcm", "pcm_f32le": "pcm", "pcm_mulaw": "mulaw", "pcm_alaw": "alaw"}
_CHUNK_BYTES = 4800


@dataclass(frozen=True)
class _Output:
    """The format that a request asks for; `floating`: samples of 32 bits."""

    format: Format
    floating: bool = False

    def coded(self, made: Speech) -> bytes:
        if not self.floating:
            return made.data
        return (np.frombuffer(made.data, "<i2").astype(np.float32) / 32768).astype("<f4").tobytes()


@dataclass
class _Context:
    """What a websocket's requests with one context id have in common. seconds: of sound so far."""

    output: _Output
    seconds: float = 0.0
    begun: bool = False
    flushes: int = 0
    work: asyncio.Task[None] | None = field(default=None, repr=False)


def _output(body: Mapping[str, object], *, streamed: bool) -> _Output:
    told = read(body, "output_format", dict)
    container, rate = read(told, "container", str, "raw"), read(told, "sample_rate", int, 44_100)
    if not 8_000 <= rate <= 48_000:
        raise VendorError(400, "output_format.sample_rate must be from 8000 to 48000", "invalid_sample_rate")
    if container == "mp3" and not streamed:
        return _Output(Format("mp3", rate, read(told, "bit_rate", int, 128_000)))
    encoding = read(told, "encoding", str, "pcm_s16le")
    if encoding not in _ENCODINGS or container not in (("raw",) if streamed else ("raw", "wav")):
        raise VendorError(400, f"unsupported output_format: {container} {encoding}", "invalid_output_format")
    if container == "wav":
        return _Output(Format("wav", rate))
    return _Output(Format(_ENCODINGS[encoding], rate), floating=encoding == "pcm_f32le")


def _voice(body: Mapping[str, object]) -> str | None:
    return optional(read(body, "voice", dict, {}), "id", str)


async def tts_bytes(exchange: Exchange) -> web.StreamResponse:
    """Speak a text in one answer."""
    body = await exchange.json()
    model, text, output = read(body, "model_id", str), read(body, "transcript", str), _output(body, streamed=False)
    due = exchange.due("tts", model)
    made = await synthesise(exchange.emulation, text, output.format, voice=_voice(body))
    data = output.coded(made)
    pace = exchange.emulation.latencies.draw("cartesia", "tts", model, Stage.AUDIO)
    step = pace * made.seconds * _CHUNK_BYTES / max(_CHUNK_BYTES, len(data))
    await until(due)
    async with exchange.stream(output.format.media_type) as stream:
        for chunk in chunks(data, _CHUNK_BYTES):
            await stream.send(chunk)
            await until(due := due + step)
    return stream.response


async def tts_events(exchange: Exchange) -> web.StreamResponse:
    """Speak a text as server-sent events."""
    body = await exchange.json()
    model, text, output = read(body, "model_id", str), read(body, "transcript", str), _output(body, streamed=True)
    context_id = read(body, "context_id", str, "")
    shared = {"context_id": context_id, "status_code": 206, "done": False}
    due = exchange.due("tts", model)
    made = await synthesise(exchange.emulation, text, output.format, voice=_voice(body))
    pace = exchange.emulation.latencies.draw("cartesia", "tts", model, Stage.AUDIO)
    await until(due)
    async with exchange.events(named=True) as events:
        for chunk in _pieces(output.coded(made), made.seconds):
            data = base64.b64encode(chunk).decode()
            await events.event({"type": "chunk", **shared, "data": data, "step_time": 0.0})
            await until(due := due + pace * CHUNK_SECONDS)
        if read(body, "add_timestamps", bool, False):
            await events.event({"type": "timestamps", **shared, "word_timestamps": _timestamps(made, 0.0)})
        await events.event({"type": "done", **shared, "status_code": 200, "done": True})
    return events.response


async def tts(socket: Socket) -> None:
    """Speak what comes, context by context."""
    contexts: dict[str, _Context] = {}
    async for message in socket:
        if not isinstance(message, dict):
            raise VendorError(400, "expected a JSON object", "invalid_json")
        context_id = socket.context = read(message, "context_id", str)
        try:
            if read(message, "cancel", bool, False):
                _cancel(contexts.pop(context_id, None))
                continue
            context = contexts.get(context_id)
            if context is None:
                context = contexts[context_id] = _Context(_output(message, streamed=True))
            text, model = read(message, "transcript", str, ""), read(message, "model_id", str)
            last = not read(message, "continue", bool, False)
            stamped, flush = read(message, "add_timestamps", bool, False), read(message, "flush", bool, False)
        except VendorError as error:
            contexts.pop(context_id, None)
            told = socket.endpoint.error
            assert told is not None
            await socket.send(dict(told(socket, error)))
            continue
        request = _Request(socket, context_id, context, text, model, _voice(message), stamped, flush, last)
        context.work = socket.beside(request.run(context.work, socket.arrived))
        if last:
            contexts.pop(context_id)


def _cancel(context: _Context | None) -> None:
    if context is not None and context.work is not None:
        context.work.cancel()


@dataclass(frozen=True)
class _Request:
    """One message of a context."""

    socket: Socket
    context_id: str
    context: _Context
    text: str
    model: str
    voice: str | None
    stamped: bool
    flush: bool
    last: bool

    async def run(self, before: asyncio.Task[None] | None, arrived: float) -> None:
        """Answer it, after the one before it."""
        emulation = self.socket.emulation
        latency = emulation.latencies.draw("cartesia", "tts", self.model, Stage.FIRST)
        made = await synthesise(emulation, self.text, self.context.output.format, voice=self.voice)
        if before is not None:
            await before
        if made.data:
            due = arrived if self.context.begun else arrived + latency
            self.context.begun = True
            await self._speak(made, due)
        if self.flush:
            self.context.flushes += 1
            await self._send("flush_done", flush_done=True, flush_id=self.context.flushes)
        if self.last:
            await self._send("done", status_code=200, done=True)

    async def _speak(self, made: Speech, due: float) -> None:
        pace = self.socket.emulation.latencies.draw("cartesia", "tts", self.model, Stage.AUDIO)
        for chunk in _pieces(self.context.output.coded(made), made.seconds):
            await until(due)
            await self._send("chunk", data=base64.b64encode(chunk).decode(), step_time=0.0)
            due += pace * CHUNK_SECONDS
        if self.stamped:
            await self._send("timestamps", word_timestamps=_timestamps(made, self.context.seconds))
        self.context.seconds += made.seconds

    async def _send(self, kind: str, **fields: object) -> None:
        shared = {"type": kind, "context_id": self.context_id, "status_code": 206, "done": False}
        await self.socket.send({**shared, **fields})


def _pieces(data: bytes, seconds: float) -> list[bytes]:
    count = max(1, round(seconds / CHUNK_SECONDS))
    size = max(4, -(-len(data) // count) // 4 * 4)
    return list(chunks(data, size))


def _timestamps(made: Speech, since: float) -> dict[str, list[object]]:
    times = made.word_times()
    return {
        "words": [word for word, _, _ in times],
        "start": [round(since + start, 3) for _, start, _ in times],
        "end": [round(since + end, 3) for _, _, end in times],
    }
