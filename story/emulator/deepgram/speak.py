"""/v1/speak (Aura) streamed, and Aura and Flux whole (https://developers.deepgram.com/reference/text-to-speech)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping

from aiohttp import web

from story.emulator.audio import Codec, Format, chunks
from story.emulator.exchange import Exchange, until
from story.emulator.fields import read
from story.emulator.latency import Stage
from story.emulator.socket import Socket
from story.emulator.synthesis import Speech, synthesise
from story.emulator.vendor import VendorError

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
_RATES = {"mulaw": 8_000, "alaw": 8_000, "mp3": 22_050, "opus": 48_000, "aac": 22_050}
_CHUNK_BYTES = 4800


def sound_format(query: Mapping[str, str], *, default: str) -> Format:
    """The format that the parameters ask for. Raises VendorError."""
    encoding = query.get("encoding", default)
    if encoding not in _CODECS:
        known = ", ".join(_CODECS)
        raise VendorError(
            400, f"Unsupported audio format: encoding={encoding}; one of {known}", "UNSUPPORTED_AUDIO_FORMAT"
        )
    codec = _CODECS[encoding]
    rate = _number(query, "sample_rate", _RATES.get(encoding, 24_000), 8_000, 48_000)
    if codec == "pcm" and query.get("container", "none" if default == "linear16" else "wav") == "wav":
        codec = "wav"
    return Format(codec, rate, _number(query, "bit_rate", 48_000, 4_000, 650_000))


def _number(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = query.get(name, str(default))
    if not text.isdecimal() or not low <= int(text) <= high:
        raise VendorError(400, f"{name} must be a number from {low} to {high}", "Bad Request")
    return int(text)


async def synthesis(exchange: Exchange) -> web.StreamResponse:
    """Speak a text in one answer."""
    body = await exchange.json()
    text, model = read(body, "text", str), exchange.query.get("model", "aura-asteria-en")
    if not text.strip() or len(text) > LONGEST:
        raise VendorError(
            413 if len(text) > LONGEST else 400, f"text must have 1 to {LONGEST} characters", "Bad Request"
        )
    chosen = sound_format(exchange.query, default="mp3")
    due = exchange.due("tts", model)
    made = await synthesise(exchange.emulation, text, chosen, voice=model)
    pace = exchange.emulation.latencies.draw("deepgram", "tts", model, Stage.AUDIO)
    step = pace * made.seconds * _CHUNK_BYTES / max(_CHUNK_BYTES, len(made.data))
    await until(due)
    headers = {"dg-model-name": model, "dg-char-count": str(len(text))}
    media = "audio/l16" if chosen.codec == "pcm" else chosen.media_type
    async with exchange.stream(media, headers) as stream:
        for chunk in chunks(made.data, _CHUNK_BYTES):
            await stream.send(chunk)
            await until(due := due + step)
    return stream.response


async def speak(socket: Socket) -> None:
    """Aura, streamed."""
    await Speaking(socket).run()


class Speaking:
    """One streaming session: text is gathered until it is flushed."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._format = sound_format(socket.query, default="linear16")
        self._request_id = str(uuid.uuid4())
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
        model = {"model_name": self._socket.model, "model_version": "emulated", "model_uuid": self._request_id}
        await self._socket.send({"type": "Metadata", "request_id": self._request_id, **model})

    async def _part(self) -> None:
        pass

    async def _speak(self, text: str, arrived: float) -> None:
        if text.strip():
            due = self._socket.due("tts", after=arrived)
            await self._send_sound(await self._made(text), due)
        await self._flushed()

    async def _made(self, text: str) -> Speech:
        return await synthesise(self._socket.emulation, text, self._format, voice=self._socket.model)

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
