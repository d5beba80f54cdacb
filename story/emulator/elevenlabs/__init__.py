"""ElevenLabs: text to speech, dialogue, and the Scribe recognisers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from aiohttp import web

from story.emulator.elevenlabs.formats import VOICE
from story.emulator.elevenlabs.scribe import scribe, scribe_recording
from story.emulator.elevenlabs.streaming import dialogue, multi_context, single_context
from story.emulator.elevenlabs.tts import dialogue_whole, tts_timed, tts_whole
from story.emulator.exchange import Exchange
from story.emulator.socket import Socket
from story.emulator.vendor import Http, Vendor, VendorError, WebSocket

_STATUSES = {401: "invalid_api_key", 404: "not_found", 429: "too_many_concurrent_requests"}
_SPEAKING = "/v1/text-to-speech/{voice}"
_DIALOGUE = "/v1/text-to-dialogue"


def _key(request: web.BaseRequest) -> str | None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    bearer = key.strip() if scheme.lower() == "bearer" else ""
    return request.headers.get("xi-api-key") or bearer or request.query.get("token")


def _error(error: VendorError) -> dict[str, object]:
    status = _STATUSES.get(error.status, error.code or "internal_error")
    message = "Invalid API key" if error.status == 401 else error.message
    return {"detail": {"status": status, "message": message}}


def _headers() -> Mapping[str, str]:
    return {"x-trace-id": uuid.uuid4().hex, "request-id": uuid.uuid4().hex[:20]}


def _frame(socket: Socket, error: VendorError) -> dict[str, object]:
    told: dict[str, object] = {"message": error.message, "error": error.code or "internal_error", "code": 1008}
    return told if socket.context is None else {**told, "contextId": socket.context}


def _dialogue_frame(socket: Socket, error: VendorError) -> dict[str, object]:
    told: dict[str, object] = {"message": error.message, "error": error.code or "internal_error", "code": 1008}
    return told if socket.context is None else {**told, "context_id": socket.context}


def _scribe_frame(socket: Socket, error: VendorError) -> dict[str, object]:
    known = ("auth_error", "quota_exceeded", "input_error", "transcriber_error", "rate_limited")
    kind = error.code if error.code in known else "input_error" if error.status < 500 else "error"
    return {"message_type": kind, "error": error.message}


def _check(query: Mapping[str, str]) -> None:
    """Its third generation speaks over the websocket of dialogues alone (https://github.com/livekit/agents/issues/3235)."""
    model = query.get("model_id", "")
    if model.startswith("eleven_v3"):
        raise VendorError(403, f"{model[:40]} can't be streamed to", "model_not_supported")


async def _voices(exchange: Exchange) -> web.StreamResponse:
    return await exchange.reply({"voices": [VOICE], "has_more": False, "total_count": 1, "next_page_token": None})


ELEVENLABS = Vendor(
    name="elevenlabs",
    base_path="/v1",
    keys=("ELEVEN_API_KEY",),
    key=_key,
    error=_error,
    headers=_headers,
    endpoints=(
        Http("tts", "POST", _SPEAKING, tts_whole),
        Http("tts", "POST", _SPEAKING + "/stream", tts_whole),
        Http("tts", "POST", _SPEAKING + "/with-timestamps", tts_timed),
        Http("tts", "POST", _SPEAKING + "/stream/with-timestamps", tts_timed),
        *(
            WebSocket("tts", _SPEAKING + path, speak, role="tts", model="model_id", error=_frame, check=_check)
            for path, speak in (("/stream-input", single_context), ("/multi-stream-input", multi_context))
        ),
        Http("dialogue", "POST", _DIALOGUE, dialogue_whole),
        Http("dialogue", "POST", _DIALOGUE + "/stream", dialogue_whole),
        WebSocket(
            "dialogue", _DIALOGUE + "/multi-stream-input", dialogue, role="tts", model="model_id", error=_dialogue_frame
        ),
        Http("scribe", "POST", "/v1/speech-to-text", scribe_recording),
        WebSocket(
            "scribe-realtime", "/v1/speech-to-text/realtime", scribe, role="stt", model="model_id", error=_scribe_frame
        ),
        Http("voices", "GET", "/v1/voices", _voices),
        Http("voices", "GET", "/v2/voices", _voices),
    ),
    owns=("/v1/text-to-speech", "/v1/text-to-dialogue", "/v1/speech-to-text", "/v1/voices", "/v2/voices"),
)
