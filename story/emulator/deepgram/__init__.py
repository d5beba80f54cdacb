"""Deepgram: listen (Nova), flux, speak (Aura) and flux-speak."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from aiohttp import web

from story.emulator.deepgram import flux as turns
from story.emulator.deepgram import flux_speak as turn_voices
from story.emulator.deepgram import listen as recogniser
from story.emulator.deepgram import speak as voices
from story.emulator.json_text import dump_json
from story.emulator.parameters import INVALID
from story.emulator.socket import Socket
from story.emulator.vendor import Http, Vendor, VendorError, WebSocket

_CODES = {
    400: "Bad Request",
    401: "INVALID_AUTH",
    404: "PATH_NOT_FOUND",
    413: "PAYLOAD_TOO_LARGE",
    426: "UPGRADE_REQUIRED",
    429: "TOO_MANY_REQUESTS",
}


def _key(request: web.BaseRequest) -> str | None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() in ("token", "bearer") and key.strip():
        return key.strip()
    protocols = [part.strip() for part in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    return protocols[1] if len(protocols) == 2 and protocols[0].lower() in ("token", "bearer") else None


def _error(error: VendorError) -> dict[str, object]:
    code = "INVALID_QUERY_PARAMETER" if error.code == INVALID else error.code or ""
    if error.status != 400 or not code.isupper():  # in small letters: the emulator's own
        code = _CODES.get(error.status, "INTERNAL_SERVER_ERROR")
    message = "Invalid credentials." if error.status == 401 else error.message
    return {"err_code": code, "err_msg": message, "request_id": str(uuid.uuid4())}


def _headers() -> Mapping[str, str]:
    return {"dg-request-id": str(uuid.uuid4())}


def _error_headers(body: Mapping[str, object]) -> Mapping[str, str]:
    """https://developers.deepgram.com/changelog/2022/11/8"""
    return {"dg-request-id": str(body["request_id"]), "dg-error": dump_json(body)}


def _frame(socket: Socket, error: VendorError) -> dict[str, object]:
    return {"type": "Error", "code": error.code or "INTERNAL_SERVER_ERROR", "description": error.message}


def _listen_frame(socket: Socket, error: VendorError) -> dict[str, object]:
    told: dict[str, object] = {"type": "Error", "variant": error.code or "InternalServerError"}
    if error.code == "SchemaError" and not isinstance(socket.received, bytes):
        received = socket.received
        told["message"] = received if isinstance(received, str) else dump_json(received)
    return {**told, "description": error.message}


def _flux_frame(socket: Socket, error: VendorError) -> dict[str, object]:
    return {**_frame(socket, error), "request_id": socket.headers["dg-request-id"], "sequence_id": socket.sent}


DEEPGRAM = Vendor(
    name="deepgram",
    base_path="",
    keys=("DEEPGRAM_API_KEY",),
    key=_key,
    error=_error,
    headers=_headers,
    error_headers=_error_headers,
    endpoints=(
        Http("listen", "POST", "/v1/listen", recogniser.prerecorded),
        WebSocket(
            "listen",
            "/v1/listen",
            recogniser.listen,
            role="stt",
            error=_listen_frame,
            check=recogniser.Options.of,
        ),
        WebSocket("flux", "/v2/listen", turns.flux, role="stt", error=_flux_frame, check=turns.Options.of),
        Http("speak", "POST", "/v1/speak", voices.synthesis),
        WebSocket("speak", "/v1/speak", voices.speak, role="tts", error=_frame, check=voices.Options.of),
        Http("flux-speak", "POST", "/v2/speak", turn_voices.synthesis),
        WebSocket(
            "flux-speak",
            "/v2/speak",
            turn_voices.flux_speak,
            role="tts",
            error=_frame,
            check=turn_voices.Options.of,
        ),
    ),
    owns=("/v1/listen", "/v2/listen", "/v1/speak", "/v2/speak"),
)
