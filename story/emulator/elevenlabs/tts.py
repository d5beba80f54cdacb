"""POST /v1/text-to-speech and /v1/text-to-dialogue (https://elevenlabs.io/docs/api-reference/text-to-speech)."""

from __future__ import annotations

import base64
import json

from aiohttp import web

from story.emulator.audio import chunks
from story.emulator.elevenlabs.formats import DEFAULT_FORMAT, DEFAULT_MODEL, alignment_seconds, output_format
from story.emulator.exchange import Exchange, until
from story.emulator.fields import objects, read
from story.emulator.latency import Stage
from story.emulator.synthesis import Speech, synthesise
from story.emulator.vendor import VendorError

_CHUNK_BYTES = 4096


async def tts_whole(exchange: Exchange) -> web.StreamResponse:
    """Speak a text."""
    body = await exchange.json()
    model, text = read(body, "model_id", str, DEFAULT_MODEL), read(body, "text", str)
    return await _spoken(exchange, model, text, exchange.request.match_info["voice"])


async def dialogue_whole(exchange: Exchange) -> web.StreamResponse:
    """Speak the lines of a dialogue."""
    body = await exchange.json()
    inputs = objects(body, "inputs")
    text = " ".join(read(line, "text", str) for line in inputs)
    voice = read(inputs[0], "voice_id", str, "") if inputs else ""
    return await _spoken(exchange, read(body, "model_id", str, "eleven_v3"), text, voice)


async def tts_timed(exchange: Exchange) -> web.StreamResponse:
    """Speak a text and say when each character is heard; streamed as lines of JSON, or whole."""
    body = await exchange.json()
    model, text = read(body, "model_id", str, DEFAULT_MODEL), read(body, "text", str)
    made, due = await _made(exchange, model, text, exchange.request.match_info["voice"])
    await until(due)
    aligned = alignment_seconds(made)
    told = {
        "audio_base64": base64.b64encode(made.data).decode(),
        "alignment": aligned,
        "normalized_alignment": aligned,
    }
    if "/stream" not in exchange.request.path:
        return await exchange.reply(told)
    async with exchange.stream("application/json") as stream:
        await stream.send(json.dumps(told).encode() + b"\n")
    return stream.response


async def _spoken(exchange: Exchange, model: str, text: str, voice: str) -> web.StreamResponse:
    made, due = await _made(exchange, model, text, voice)
    pace = exchange.emulation.latencies.draw("elevenlabs", "tts", model, Stage.AUDIO)
    step = pace * made.seconds * _CHUNK_BYTES / max(_CHUNK_BYTES, len(made.data))
    await until(due)
    media = output_format(exchange.query.get("output_format", DEFAULT_FORMAT)).media_type
    async with exchange.stream(media, {"character-cost": str(len(text))}) as stream:
        for chunk in chunks(made.data, _CHUNK_BYTES):
            await stream.send(chunk)
            await until(due := due + step)
    return stream.response


async def _made(exchange: Exchange, model: str, text: str, voice: str) -> tuple[Speech, float]:
    """The sound, and when its first is due."""
    if not text.strip():
        raise VendorError(400, "text must not be empty", "invalid_text")
    chosen = output_format(exchange.query.get("output_format", DEFAULT_FORMAT))
    due = exchange.due("tts", model)
    return await synthesise(exchange.emulation, text, chosen, voice=voice), due
