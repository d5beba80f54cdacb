"""OpenAI: chat completions, responses, transcriptions, speech, realtime and models."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from aiohttp import web

from story.emulator.openai.chat import chat
from story.emulator.openai.errors import error_body
from story.emulator.openai.models import model, models, root
from story.emulator.openai.realtime import REALTIME
from story.emulator.openai.responses import error_event, respond, respond_in_socket
from story.emulator.openai.speech import speech
from story.emulator.openai.transcriptions import transcriptions
from story.emulator.vendor import Http, Vendor, WebSocket

_SUBPROTOCOL = "openai-insecure-api-key."
"""How browsers, which can set no headers, send a key."""


def _key(request: web.BaseRequest) -> str | None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    protocols = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    return next((name.removeprefix(_SUBPROTOCOL) for name in protocols if name.startswith(_SUBPROTOCOL)), None)


def _headers() -> Mapping[str, str]:
    return {"x-request-id": f"req_{uuid.uuid4().hex}", "openai-version": "2020-10-01"}


OPENAI = Vendor(
    name="openai",
    base_path="/v1",
    keys=("OPENAI_API_KEY",),
    key=_key,
    error=error_body,
    headers=_headers,
    endpoints=(
        Http("chat", "POST", "/v1/chat/completions", chat),
        Http("responses", "POST", "/v1/responses", respond),
        WebSocket("responses", "/v1/responses", respond_in_socket, role="llm", error=error_event),
        Http("transcriptions", "POST", "/v1/audio/transcriptions", transcriptions),
        Http("speech", "POST", "/v1/audio/speech", speech),
        REALTIME,
        Http("models", "GET", "/v1/", root),
        Http("models", "GET", "/v1/models", models),
        Http("models", "GET", "/v1/models/{model}", model),
    ),
    owns=("/v1/",),
)
