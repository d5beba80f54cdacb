"""GET /v1/models (https://platform.openai.com/docs/api-reference/models)."""

from __future__ import annotations

from aiohttp import web

from story.emulator.exchange import Exchange

NAMES = (
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-tts",
    "gpt-5",
    "gpt-5-mini",
    "gpt-realtime",
    "tts-1",
    "whisper-1",
)
"""Some of those that it answers for; a request may name any."""


async def models(exchange: Exchange) -> web.StreamResponse:
    """List the models."""
    return await exchange.reply({"object": "list", "data": [_model(name) for name in NAMES]})


async def model(exchange: Exchange) -> web.StreamResponse:
    """Tell about one."""
    return await exchange.reply(_model(exchange.request.match_info["model"]))


async def root(exchange: Exchange) -> web.StreamResponse:
    """The address by itself, which livekit's plugin asks for to have a connection ready."""
    return await exchange.reply({})


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "emulator"}
