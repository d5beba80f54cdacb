"""/v1/speak (Aura) streamed, and Aura and Flux whole (https://developers.deepgram.com/reference/text-to-speech)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from story.emulator.audio import Codec, Format, chunks
from story.emulator.deepgram.models import AURA, check
from story.emulator.exchange import Exchange, until
from story.emulator.fields import read
from story.emulator.latency import Stage
from story.emulator.parameters import Query, number, whole
from story.emulator.socket import Socket
from story.emulator.synthesis import Speech, synthesise
from story.emulator.vendor import VendorError

DEFAULT_MODEL = "aura-asteria-en"
CHUNK_SECONDS = 0.05
LONGEST = 2000
"""Characters of one request, or between two flushes."""
_CODECS: Mapping[str, Codec] = {
    "linear16": "pcm",
    "mulaw": "mulaw",
    "alaw": "alaw",
    "mp3": "mp3",
    "opus": "opus",
    "flac": "flac",
    "aac": "aac",
}
_STREAMED = ("linear16", "mulaw", "alaw")
_RATES = {"mulaw": 8_000, "alaw": 8_000, "mp3": 22_050, "opus": 48_000, "aac": 22_050}
_KNOWN_RATES: Mapping[str, tuple[int, ...]] = {
    "linear16": (8_000, 16_000, 24_000, 32_000, 44_100, 48_000),
    "mulaw": (8_000, 16_000),
    "alaw": (8_000, 16_000),
    "flac": (8_000, 16_000, 22_050, 32_000, 48_000),
}
_CHUNK_BYTES = 4800
_UNSUPPORTED = "UNSUPPORTED_AUDIO_FORMAT"


@dataclass(frozen=True)
class Options:
    """What the address asks for. speed: 1 is the voice's own."""

    model: str
    format: Format
    speed: float

    @classmethod
    def of(cls, query: Query) -> Options:
        """Of a websocket. Raises VendorError (400)."""
        model = check(query.get("model", DEFAULT_MODEL), AURA)
        return cls(model, sound_format(query, streamed=True), number(query, "speed", 1.0, 0.7, 1.5))


def sound_format(query: Query, *, streamed: bool) -> Format:
    """The format that the parameters ask for. Raises VendorError (400)."""
    encoding = query.get("encoding", "linear16" if streamed else "mp3")
    known = _STREAMED if streamed else tuple(_CODECS)
    if encoding not in known:
        message = f"Unsupported audio format: encoding={encoding[:40]}; one of {', '.join(known)}"
        raise VendorError(400, message, _UNSUPPORTED)
    codec = _CODECS[encoding]
    rate = whole(query, "sample_rate", _RATES.get(encoding, 24_000), 8_000, 48_000)
    if rate not in _KNOWN_RATES.get(encoding, (rate,)):
        raise VendorError(400, f"Unsupported audio format: {encoding} at sample_rate={rate}", _UNSUPPORTED)
    if codec == "pcm" and query.get("container", "none" if streamed else "wav") == "wav":
        codec = "wav"
    return Format(codec, rate, whole(query, "bit_rate", 48_000, 4_000, 650_000))


async def synthesis(exchange: Exchange) -> web.StreamResponse:
    """Speak a text in one answer."""
    model = check(exchange.query.get("model", DEFAULT_MODEL), AURA)
    return await spoken(exchange, model, number(exchange.query, "speed", 1.0, 0.7, 1.5))


async def spoken(exchange: Exchange, model: str, speed: float) -> web.StreamResponse:
    """The answer to a request for a text in that voice."""
    chosen = sound_format(exchange.query, streamed=False)
    text = read(await exchange.json(), "text", str)
    if not text.strip() or len(text) > LONGEST:
        raise VendorError(
            413 if len(text) > LONGEST else 400, f"text must have 1 to {LONGEST} characters", "Bad Request"
        )
    due = exchange.due("tts", model)
    made = await synthesise(exchange.emulation, text, chosen, voice=model, speed=speed)
    pace = exchange.emulation.latencies.draw("deepgram", "tts", model, Stage.AUDIO)
    step = pace * made.seconds * _CHUNK_BYTES / max(_CHUNK_BYTES, len(made.data))
    await until(due)
    headers = {
        "dg-model-name": model,
        "dg-model-uuid": exchange.headers["dg-request-id"],
        "dg-char-count": str(len(text)),
    }
    media = "audio/l16" if chosen.codec == "pcm" else chosen.media_type
    async with exchange.stream(media, headers) as stream:
        for chunk in chunks(made.data, _CHUNK_BYTES):
            await stream.send(chunk)
            await until(due := due + step)
    return stream.response


async def speak(socket: Socket) -> None:
    """Aura, streamed."""
    await Speaking(socket, Options.of(socket.query)).run()


class Speaking:
    """One streaming session: text is gathered until it is flushed."""

    def __init__(self, socket: Socket, options: Options) -> None:
        self._socket = socket
        self._options = options
        self._speed = options.speed
        self._request_id = socket.headers["dg-request-id"]
        self._text: list[str] = []
        self._flushes = 0
        self._speaking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve the session until either side ends it."""
        await self._greet()
        async for message in self._socket:
            told = message if isinstance(message, dict) else {}
            kind = told.get("type")
            if kind == "Speak":
                self._text.append(read(told, "text", str))
                if sum(map(len, self._text)) > LONGEST:
                    raise VendorError(400, f"more than {LONGEST} characters without a Flush", "INPUT_TEXT_TOO_LONG")
            elif kind == "Flush":
                text, self._text = "".join(self._text), []
                self._speaking = self._socket.beside(self._after(self._speaking, text, self._socket.arrived))
            elif kind == "Close":
                if self._speaking is not None:
                    await self._speaking
                await self._part()
                return
            else:
                await self._take(str(kind), told)

    async def _take(self, kind: str, told: Mapping[str, object]) -> None:
        """A message that is of one version alone."""
        if kind != "Clear":
            raise VendorError(400, "Could not deserialize last text message", "DATA-0000")
        await self._stop()
        await self._socket.send({"type": "Cleared", "sequence_id": self._flushes})

    async def _after(self, before: asyncio.Task[None] | None, text: str, arrived: float) -> None:
        if before is not None:
            await asyncio.gather(before, return_exceptions=True)
        await self._speak(text, arrived)

    async def _stop(self) -> None:
        """Drop what is being said and what is to be said."""
        self._text = []
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.gather(self._speaking, return_exceptions=True)
            self._speaking = None

    async def _greet(self) -> None:
        model = {"model_name": self._options.model, "model_version": "emulated", "model_uuid": self._request_id}
        await self._socket.send({"type": "Metadata", "request_id": self._request_id, **model})

    async def _part(self) -> None:
        pass

    async def _speak(self, text: str, arrived: float) -> None:
        if text.strip():
            due = self._socket.due("tts", after=arrived)
            await self._send_sound(await self._made(text), due)
        await self._flushed()

    async def _made(self, text: str) -> Speech:
        options = self._options
        return await synthesise(self._socket.emulation, text, options.format, voice=options.model, speed=self._speed)

    async def _send_sound(self, made: Speech, due: float) -> None:
        pace = self._socket.emulation.latencies.draw("deepgram", "tts", self._socket.model, Stage.AUDIO)
        pieces = max(1, round(made.seconds / CHUNK_SECONDS))
        size = max(2, -(-len(made.data) // pieces) // 2 * 2)
        for chunk in chunks(made.data, size):
            await until(due)
            await self._socket.send(chunk)
            due += pace * CHUNK_SECONDS

    async def _flushed(self) -> None:
        await self._socket.send({"type": "Flushed", "sequence_id": self._flushes})
        self._flushes += 1
