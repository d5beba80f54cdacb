"""GET /v1/models (https://platform.openai.com/docs/api-reference/models), and which models requests may name."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aiohttp import web

from story.emulator.exchange import Exchange
from story.emulator.fields import read
from story.emulator.vendor import VendorError

NAMES = (
    "gpt-3.5-turbo",
    "gpt-4-turbo",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-4.1-nano",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-tts",
    "gpt-4o-transcribe",
    "gpt-4o-transcribe-diarize",
    "gpt-5",
    "gpt-5-mini",
    "gpt-5-nano",
    "gpt-5.1",
    "gpt-5.2",
    "gpt-5.4",
    "gpt-5.4-mini",
    "gpt-5.5",
    "gpt-live-transcribe",
    "gpt-realtime",
    "gpt-realtime-1.5",
    "gpt-realtime-2",
    "gpt-realtime-mini",
    "gpt-realtime-whisper",
    "gpt-transcribe",
    "tts-1",
    "tts-1-hd",
    "whisper-1",
)
"""Those that it lists and tells about. A request for work may name later ones, too."""
_PLAUSIBLE = re.compile(r"[A-Za-z0-9][\w.:/-]*")
"""An id; those of fine-tuned models have colons."""


async def models(exchange: Exchange) -> web.StreamResponse:
    """List the models."""
    return await exchange.reply({"object": "list", "data": [_model(name) for name in NAMES]})


async def model(exchange: Exchange) -> web.StreamResponse:
    """Tell about one."""
    name = exchange.request.match_info["model"]
    if name not in NAMES:
        raise VendorError(404, f"The model '{name}' does not exist", "model_not_found", param="model")
    return await exchange.reply(_model(name))


async def root(exchange: Exchange) -> web.StreamResponse:
    """The address by itself, which livekit's plugin asks for to have a connection ready."""
    return await exchange.reply({})


def asked_model(body: Mapping[str, object]) -> str:
    """The model that a request names. Raises VendorError: 400 where it names none, 404 for what can be no model."""
    return check_model(read(body, "model", str))


def check_model(name: str) -> str:
    """`name`, which may be a model that is newer than this list. Raises VendorError(404) for what can be none."""
    if _PLAUSIBLE.fullmatch(name) is None:
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise VendorError(404, message, "model_not_found")
    return name


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "emulator"}
