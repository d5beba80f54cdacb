"""/tts/bytes, /tts/sse and /tts/websocket (https://docs.cartesia.ai/api-reference/tts)."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from aiohttp import web

from story.emulator.audio import Codec, Format, chunks
from story.emulator.emulation import Emulation
from story.emulator.exchange import Exchange, until
from story.emulator.fields import optional, read
from story.emulator.latency import Stage
from story.emulator.socket import Socket
from story.emulator.synthesis import Speech, synthesise
from story.emulator.vendor import VendorError

CHUNK_SECONDS = 0.1
_ENCODINGS: Mapping[str, Codec] = {"pcm_s16le": "pcm", "pcm_f32le": "pcm", "pcm_mulaw": "mulaw", "pcm_alaw": "alaw"}
_RATES = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)
_BIT_RATES = (32_000, 64_000, 96_000, 128_000, 192_000)
_MODEL = re.compile(r"sonic[\w.-]*")
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
    if rate not in _RATES:
        known = ", ".join(map(str, _RATES))
        raise VendorError(400, f"output_format.sample_rate must be one of {known}", "invalid_sample_rate")
    if container == "mp3" and not streamed:
        bit_rate = read(told, "bit_rate", int, 128_000)
        if bit_rate not in _BIT_RATES:
            known = ", ".join(map(str, _BIT_RATES))
            raise VendorError(400, f"output_format.bit_rate must be one of {known}", "invalid_bit_rate")
        return _Output(Format("mp3", rate, bit_rate))
    encoding = read(told, "encoding", str, "pcm_s16le")
    if encoding not in _ENCODINGS or container not in (("raw",) if streamed else ("raw", "wav")):
        raise VendorError(400, f"unsupported output_format: {container} {encoding}", "invalid_output_format")
    if container == "wav":
        return _Output(Format("wav", rate))
    return _Output(Format(_ENCODINGS[encoding], rate), floating=encoding == "pcm_f32le")


@dataclass(frozen=True)
class _Asked:
    """What a request asks to be said, and how."""

    model: str
    text: str
    voice: str
    speed: float
    stamped: bool
    spelled: bool

    @classmethod
    def of(cls, body: Mapping[str, object], *, text: str | None = None) -> _Asked:
        """text: where the request may have none. Raises VendorError (400)."""
        model = read(body, "model_id", str)
        if not _MODEL.fullmatch(model):
            message = "The model is not valid, make sure it is a valid model ID."
            raise VendorError(400, message, "model_not_found")
        voice = body.get("voice")
        chosen = voice if isinstance(voice, str) else read(read(body, "voice", dict), "id", str)
        speed = read(read(body, "generation_config", dict, {}), "speed", float, 1.0)
        if not 0.6 <= speed <= 1.5:
            raise VendorError(400, "generation_config.speed must be from 0.6 to 1.5", "invalid_speed")
        return cls(
            model,
            read(body, "transcript", str, text),
            chosen,
            speed,
            stamped=read(body, "add_timestamps", bool, False),
            spelled=read(body, "add_phoneme_timestamps", bool, False),
        )

    async def made(self, emulation: Emulation, output: _Output) -> Speech:
        return await synthesise(emulation, self.text, output.format, voice=self.voice, speed=self.speed)

    def times(self, made: Speech, since: float) -> list[dict[str, object]]:
        """Messages with when what is said; `since`: seconds of sound before."""
        told: list[dict[str, object]] = []
        if self.stamped:
            told.append({"type": "timestamps", "word_timestamps": _columns("words", made.word_times(), since)})
        if self.spelled:
            phonemes = [time for time in made.character_times() if time[0].isalpha()]
            told.append({"type": "phoneme_timestamps", "phoneme_timestamps": _columns("phonemes", phonemes, since)})
        return told


async def tts_bytes(exchange: Exchange) -> web.StreamResponse:
    """Speak a text in one answer."""
    body = await exchange.json()
    asked, output = _Asked.of(body), _output(body, streamed=False)
    due = exchange.due("tts", asked.model)
    made = await asked.made(exchange.emulation, output)
    data = output.coded(made)
    pace = exchange.emulation.latencies.draw("cartesia", "tts", asked.model, Stage.AUDIO)
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
    asked, output = _Asked.of(body), _output(body, streamed=True)
    context_id = optional(body, "context_id", str)
    shared: dict[str, object] = {"status_code": 206, "done": False}
    shared |= {} if context_id is None else {"context_id": context_id}
    due = exchange.due("tts", asked.model)
    made = await asked.made(exchange.emulation, output)
    pace = exchange.emulation.latencies.draw("cartesia", "tts", asked.model, Stage.AUDIO)
    await until(due)
    async with exchange.events(named=True) as events:
        for chunk in _pieces(output.coded(made), made.seconds):
            data = base64.b64encode(chunk).decode()
            await events.event({"type": "chunk", **shared, "data": data, "step_time": 0.0})
            await until(due := due + pace * CHUNK_SECONDS)
        for told in asked.times(made, 0.0):
            await events.event({**shared, **told})
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
            asked = _Asked.of(message, text="")
            last = not read(message, "continue", bool, False)
            flush = read(message, "flush", bool, False)
        except VendorError as error:
            contexts.pop(context_id, None)
            told = socket.endpoint.error
            assert told is not None
            await socket.send(dict(told(socket, error)))
            continue
        request = _Request(socket, context_id, context, asked, flush, last)
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
    asked: _Asked
    flush: bool
    last: bool

    async def run(self, before: asyncio.Task[None] | None, arrived: float) -> None:
        """Answer it, after the one before it."""
        emulation = self.socket.emulation
        latency = emulation.latencies.draw("cartesia", "tts", self.asked.model, Stage.FIRST)
        made = await self.asked.made(emulation, self.context.output)
        if before is not None:
            await before
        if made.data:
            due = arrived if self.context.begun else arrived + latency
            self.context.begun = True
            await self._speak(made, due)
        if self.flush:
            await self._send({"type": "flush_done", "flush_done": True})
            self.context.flushes += 1
        if self.last:
            await self._send({"type": "done", "status_code": 200, "done": True})

    async def _speak(self, made: Speech, due: float) -> None:
        pace = self.socket.emulation.latencies.draw("cartesia", "tts", self.asked.model, Stage.AUDIO)
        for chunk in _pieces(self.context.output.coded(made), made.seconds):
            await until(due)
            await self._send({"type": "chunk", "data": base64.b64encode(chunk).decode(), "step_time": 0.0})
            due += pace * CHUNK_SECONDS
        for told in self.asked.times(made, self.context.seconds):
            await self._send(told)
        self.context.seconds += made.seconds

    async def _send(self, told: Mapping[str, object]) -> None:
        shared: dict[str, object] = {"context_id": self.context_id, "status_code": 206, "done": False}
        if told["type"] != "done":
            shared["flush_id"] = self.context.flushes + 1
        await self.socket.send({**shared, **told})


def _pieces(data: bytes, seconds: float) -> list[bytes]:
    count = max(1, round(seconds / CHUNK_SECONDS))
    size = max(4, -(-len(data) // count) // 4 * 4)
    return list(chunks(data, size))


def _columns(name: str, times: Sequence[tuple[str, float, float]], since: float) -> dict[str, list[object]]:
    return {
        name: [said for said, _, _ in times],
        "start": [round(since + start, 3) for _, start, _ in times],
        "end": [round(since + end, 3) for _, _, end in times],
    }
