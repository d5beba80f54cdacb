"""Deepgram: listen (Nova), flux, speak (Aura) and flux-speak."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from aiohttp import web

from story.emulator.deepgram.flux import flux
from story.emulator.deepgram.flux_speak import flux_speak
from story.emulator.deepgram.listen import listen, prerecorded
from story.emulator.deepgram.speak import speak, synthesis
from story.emulator.socket import Socket
from story.emulator.vendor import Http, Vendor, VendorError, WebSocket

_CODES = {
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
    code = _CODES.get(error.status, "INTERNAL_SERVER_ERROR" if error.status >= 500 else "Bad Request")
    message = "Invalid credentials." if error.status == 401 else error.message
    return {"err_code": code, "err_msg": message, "request_id": str(uuid.uuid4())}


def _headers() -> Mapping[str, str]:
    return {"dg-request-id": str(uuid.uuid4())}


def _frame(socket: Socket, error: VendorError) -> dict[str, object]:
    code = error.code or "INTERNAL_SERVER_ERROR"
    return {"type": "Error", "code": code, "description": error.message, "message": error.message, "variant": code}


DEEPGRAM = Vendor(
    name="deepgram",
    base_path="",
    keys=("DEEPGRAM_API_KEY",),
    key=_key,
    error=_error,
    headers=_headers,
    endpoints=(
        Http("listen", "POST", "/v1/listen", prerecorded),
        WebSocket("listen", "/v1/listen", listen, role="stt", error=_frame),
        WebSocket("flux", "/v2/listen", flux, role="stt", error=_frame),
        Http("speak", "POST", "/v1/speak", synthesis),
        WebSocket("speak", "/v1/speak", speak, role="tts", error=_frame),
        Http("flux-speak", "POST", "/v2/speak", synthesis),
        WebSocket("flux-speak", "/v2/speak", flux_speak, role="tts", error=_frame),
    ),
    owns=("/v1/listen", "/v2/listen", "/v1/speak", "/v2/speak"),
)
