"""POST /v1/audio/speech (https://platform.openai.com/docs/api-reference/audio/createSpeech)."""

from __future__ import annotations

import base64

from aiohttp import web

from story.emulator.audio import Codec, Format, chunks
from story.emulator.exchange import Exchange, until
from story.emulator.fields import read
from story.emulator.latency import Stage
from story.emulator.openai.conversation import tokens
from story.emulator.synthesis import synthesise
from story.emulator.vendor import VendorError

CODECS: tuple[Codec, ...] = ("mp3", "opus", "aac", "flac", "wav", "pcm")
LONGEST = 4096
"""Characters of one request."""
RATE = 24_000
_CHUNK = 4800
_AUDIO_TOKENS_A_SECOND = 20
"""As gpt-4o-mini-tts counts its output."""


async def speech(exchange: Exchange) -> web.StreamResponse:
    """Speak a text."""
    body = await exchange.json()
    model, text, voice = read(body, "model", str), read(body, "input", str), body.get("voice")
    if isinstance(voice, dict):  # a custom voice
        voice = read(voice, "id", str)
    if not isinstance(voice, str):
        raise VendorError(400, "Missing required parameter: 'voice'.", "missing_required_parameter")
    if not text or len(text) > LONGEST:
        raise VendorError(400, f"Invalid 'input': expected 1 to {LONGEST} characters.", "string_above_max_length")
    name = read(body, "response_format", str, "mp3")
    codec = next((codec for codec in CODECS if codec == name), None)
    if codec is None:
        raise VendorError(400, f"Invalid value: '{name}'. Supported values are: {', '.join(CODECS)}.", "invalid_value")
    due = exchange.due("tts", model)
    made = await synthesise(exchange.emulation, text, Format(codec, RATE), voice=voice)
    pace = exchange.emulation.latencies.draw("openai", "tts", model, Stage.AUDIO)
    step = pace * made.seconds * _CHUNK / max(_CHUNK, len(made.data))
    await until(due)
    if read(body, "stream_format", str, "audio") == "sse":
        async with exchange.events() as events:
            for chunk in chunks(made.data, _CHUNK):
                await events.event({"type": "speech.audio.delta", "audio": base64.b64encode(chunk).decode()})
                await until(due := due + step)
            usage = {"input_tokens": tokens(text), "output_tokens": round(made.seconds * _AUDIO_TOKENS_A_SECOND)}
            usage["total_tokens"] = sum(usage.values())
            await events.event({"type": "speech.audio.done", "usage": usage})
        return events.response
    async with exchange.stream(Format(codec).media_type) as stream:
        for chunk in chunks(made.data, _CHUNK):
            await stream.send(chunk)
            await until(due := due + step)
    return stream.response
