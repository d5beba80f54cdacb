"""Cartesia: voices (Sonic) and recognisers (Ink)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from aiohttp import web

from story.emulator.cartesia.stt import finalised, recording, turns
from story.emulator.cartesia.tts import tts, tts_bytes, tts_events
from story.emulator.exchange import Exchange
from story.emulator.socket import Socket
from story.emulator.vendor import Http, Vendor, VendorError, WebSocket

_TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    404: "Not found",
    413: "Payload too large",
    429: "Too many requests",
}
_OWN_TITLES = {"model_not_found": "Invalid model"}
_VOICE = {
    "id": "f786b574-daa5-4673-aa0c-cbe3e8534c02",
    "is_owner": False,
    "is_public": True,  # `access` and `visibility` of younger versions
    "access": "public",
    "visibility": "all",
    "name": "Katie",
    "tagline": "",
    "description": "The emulator's voice",
    "gender": "feminine",
    "created_at": "2025-01-01T00:00:00Z",
    "language": "en",
    "country": "US",
    "locales": [{"locale": "en-US", "is_native": True}],
}


def _key(request: web.BaseRequest) -> str | None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    bearer = key.strip() if scheme.lower() == "bearer" else ""
    return request.headers.get("X-API-Key") or bearer or request.query.get("api_key")


def _error(error: VendorError) -> dict[str, object]:
    title = _TITLES.get(error.status, "Internal server error" if error.status >= 500 else "Bad request")
    return {
        "error_code": error.code or "bad_request",
        "title": _OWN_TITLES.get(error.code or "", title),
        "message": "Invalid API key." if error.status == 401 else error.message,
        "request_id": str(uuid.uuid4()),
        "status_code": error.status,
    }


def _headers() -> Mapping[str, str]:
    return {"x-request-id": str(uuid.uuid4())}


def _error_headers(body: Mapping[str, object]) -> Mapping[str, str]:
    return {"x-request-id": str(body["request_id"])}


def _of_socket(socket: Socket, error: VendorError) -> dict[str, object]:
    return {"type": "error", **_error(error), "request_id": socket.headers["x-request-id"]}


def _tts_frame(socket: Socket, error: VendorError) -> dict[str, object]:
    named = {} if socket.context is None else {"context_id": socket.context}
    return {**_of_socket(socket, error), **named, "done": True, "error": error.message}


def _stt_frame(socket: Socket, error: VendorError) -> dict[str, object]:
    return {**_of_socket(socket, error), "code": error.status}  # of older versions, which livekit's plugin reads


async def _voices(exchange: Exchange) -> web.StreamResponse:
    beyond = (
        "starting_after" in exchange.query or "ending_before" in exchange.query
    )  # clients ask until a page is empty
    return await exchange.reply({"data": [] if beyond else [_VOICE], "has_more": False, "next_page": None})


async def _voice(exchange: Exchange) -> web.StreamResponse:
    return await exchange.reply({**_VOICE, "id": exchange.request.match_info["voice"]})


CARTESIA = Vendor(
    name="cartesia",
    base_path="",
    keys=("CARTESIA_API_KEY",),
    key=_key,
    error=_error,
    headers=_headers,
    error_headers=_error_headers,
    endpoints=(
        Http("tts", "POST", "/tts/bytes", tts_bytes),
        Http("tts", "POST", "/tts/sse", tts_events),
        WebSocket("tts", "/tts/websocket", tts, role="tts", model="model_id", error=_tts_frame),
        Http("stt", "POST", "/stt", recording),
        WebSocket("stt", "/stt/websocket", finalised, role="stt", error=_stt_frame),
        WebSocket("turns", "/stt/turns/websocket", turns, role="stt", error=_stt_frame),
        Http("voices", "GET", "/voices", _voices),
        Http("voices", "GET", "/voices/{voice}", _voice),
    ),
    owns=("/tts", "/stt", "/voices"),
)
