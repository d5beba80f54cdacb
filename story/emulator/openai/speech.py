"""POST /v1/audio/speech (https://platform.openai.com/docs/api-reference/audio/createSpeech)."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from aiohttp import web

from story.emulator.audio import Codec, Format, chunks
from story.emulator.exchange import Exchange, until
from story.emulator.fields import read
from story.emulator.latency import Stage
from story.emulator.openai.conversation import tokens
from story.emulator.openai.limits import number_within
from story.emulator.openai.models import asked_model
from story.emulator.synthesis import synthesise
from story.emulator.vendor import VendorError

CODECS: tuple[Codec, ...] = ("mp3", "opus", "aac", "flac", "wav", "pcm")
STREAM_FORMATS = ("audio", "sse")
VOICES = ("alloy", "ash", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer")
LATER_VOICES = ("ballad", "cedar", "marin", "verse")
"""That the first models lack."""
FIRST_MODELS = ("tts-1", "tts-1-hd")
LONGEST = 4096
"""Characters of one request."""
SLOWEST, FASTEST = 0.25, 4.0
RATE = 24_000
_CHUNK = 4800
_AUDIO_TOKENS_A_SECOND = 20
"""As gpt-4o-mini-tts counts its output."""


async def speech(exchange: Exchange) -> web.StreamResponse:
    """Speak a text."""
    body = await exchange.json()
    model, text = asked_model(body), _input(body)
    voice, speed = _voice(body, model), number_within(body, "speed", 1.0, SLOWEST, FASTEST)
    codec = next(codec for codec in CODECS if codec == _one_of(body, "response_format", CODECS, "mp3"))
    streamed = _one_of(body, "stream_format", STREAM_FORMATS, "audio")
    if streamed == "sse" and model in FIRST_MODELS:
        message = f"Unsupported value: 'stream_format' does not support 'sse' with {model}."
        raise VendorError(400, message, "unsupported_value", param="stream_format")
    due = exchange.due("tts", model)
    made = await synthesise(exchange.emulation, text, Format(codec, RATE), voice=voice, speed=speed)
    pace = exchange.emulation.latencies.draw("openai", "tts", model, Stage.AUDIO)
    step = pace * made.seconds * _CHUNK / max(_CHUNK, len(made.data))
    await until(due)
    if streamed == "sse":
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


def _input(body: Mapping[str, object]) -> str:
    text = read(body, "input", str)
    if not text.strip():
        message = "Invalid 'input': string too short. Expected a string with minimum length 1, but got none."
        raise VendorError(400, message, "string_below_min_length", param="input")
    if len(text) > LONGEST:
        message = (
            f"Invalid 'input': string too long. Expected a string with maximum length {LONGEST}, "
            f"but got a string with length {len(text)} instead."
        )
        raise VendorError(400, message, "string_above_max_length", param="input")
    return text


def _voice(body: Mapping[str, object], model: str) -> str:
    """The name of a voice, or the id of one of the user's own."""
    if isinstance(body.get("voice"), dict):
        return read(read(body, "voice", dict), "id", str)
    return _one_of(body, "voice", VOICES if model in FIRST_MODELS else (*VOICES, *LATER_VOICES))


def _one_of(body: Mapping[str, object], name: str, known: Sequence[str], default: str | None = None) -> str:
    value = read(body, name, str, default)
    if value not in known:
        listed = ", ".join(f"'{word}'" for word in known)
        message = f"Invalid value: '{value}'. Supported values are: {listed}."
        raise VendorError(400, message, "invalid_value", param=name)
    return value
