"""How OpenAI tells errors (https://platform.openai.com/docs/guides/error-codes)."""

from __future__ import annotations

from story.emulator.vendor import VendorError

_KEYS = "https://platform.openai.com/account/api-keys."
_NO_KEY = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    f"(i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from {_KEYS}"
)
_WRONG_KEY = f"Incorrect API key provided: ***. You can find your API key at {_KEYS}"
_OWN_TYPES = ("insufficient_quota",)
"""Codes that are their type too."""


def error_object(error: VendorError) -> dict[str, object]:
    """message, type, param and code of an error, as each of the protocols holds them."""
    message, code = error.message, error.code
    if error.status == 401:
        missing = error.message == "no API key"
        message, code = (_NO_KEY, None) if missing else (_WRONG_KEY, "invalid_api_key")
    elif error.status == 404 and code == "not_found":
        code = None  # as it is for a path; a model that isn't there has a code
    elif error.status == 429 and code not in _OWN_TYPES:
        code = "rate_limit_exceeded"
    return {"message": message, "type": _type(error.status, code), "param": error.param, "code": code}


def error_body(error: VendorError) -> dict[str, object]:
    """The body of an answer, or the data of an event in a stream whose status is out already."""
    return {"error": error_object(error)}


def _type(status: int, code: str | None) -> str:
    if code in _OWN_TYPES:
        return str(code)
    if status == 429:
        return "requests"
    # 413 too: the real service's gateway refuses what is too large in its own name.
    return "server_error" if status >= 500 or status == 413 else "invalid_request_error"
