"""OpenAI: chat completions, responses, transcriptions, speech, realtime and models."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from aiohttp import web

from story.emulator.openai.chat import chat
from story.emulator.openai.models import model, models, root
from story.emulator.openai.realtime import REALTIME
from story.emulator.openai.responses import Responses, error_event
from story.emulator.openai.speech import speech
from story.emulator.openai.transcriptions import transcriptions
from story.emulator.vendor import Http, Vendor, VendorError, WebSocket

_TYPES = {401: "invalid_request_error", 403: "invalid_request_error", 429: "rate_limit_error"}
_SUBPROTOCOL = "openai-insecure-api-key."
_KEY_HELP = "You can find your API key at https://platform.openai.com/account/api-keys."


def _key(request: web.BaseRequest) -> str | None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    protocols = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    return next((p.strip().removeprefix(_SUBPROTOCOL) for p in protocols if p.strip().startswith(_SUBPROTOCOL)), None)


def _error(error: VendorError) -> dict[str, object]:
    message, code = error.message, error.code
    if error.status == 401:
        message = (
            "Incorrect API key provided: ***. "
            if error.message == "invalid API key"
            else "You didn't provide an API key. "
        )
        message, code = message + _KEY_HELP, "invalid_api_key"
    kind = _TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _headers() -> Mapping[str, str]:
    return {"x-request-id": f"req_{uuid.uuid4().hex}", "openai-version": "2020-10-01"}


_RESPONSES = Responses()

OPENAI = Vendor(
    name="openai",
    base_path="/v1",
    keys=("OPENAI_API_KEY",),
    key=_key,
    error=_error,
    headers=_headers,
    endpoints=(
        Http("chat", "POST", "/v1/chat/completions", chat),
        Http("responses", "POST", "/v1/responses", _RESPONSES.http),
        WebSocket("responses", "/v1/responses", _RESPONSES.websocket, role="llm", error=error_event),
        Http("transcriptions", "POST", "/v1/audio/transcriptions", transcriptions),
        Http("speech", "POST", "/v1/audio/speech", speech),
        REALTIME,
        Http("models", "GET", "/v1/", root),
        Http("models", "GET", "/v1/models", models),
        Http("models", "GET", "/v1/models/{model}", model),
    ),
    owns=("/v1/",),
)
