"""What one vendor's module contributes: its endpoints, and how it tells errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from story.emulator.brain import BrainError

if TYPE_CHECKING:
    from aiohttp import web

    from story.emulator.exchange import Exchange
    from story.emulator.socket import Socket


class VendorError(Exception):
    """A request or message that the vendor refuses. status: HTTP. code: the vendor's own name for it.

    param: the field that is at fault, for vendors that name it.
    """

    def __init__(self, status: int, message: str, code: str | None = None, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param


@dataclass(frozen=True)
class Http:
    """An HTTP endpoint. name: for faults and the journal. path: as aiohttp's router takes it."""

    name: str
    method: str
    path: str
    handler: Callable[[Exchange], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class WebSocket:
    """A websocket endpoint.

    role, model: whose connect time it has; `model` names the query parameter with the model.
    error: what the vendor sends in the socket for an error; None: it has no such message and closes.
    check: reads the parameters of the address before the handshake; a VendorError that it raises refuses it.
    protocols: the subprotocols it knows; a browser that offers some takes only an answer that picks one.
    """

    name: str
    path: str
    handler: Callable[[Socket], Awaitable[None]]
    role: str
    model: str = "model"
    error: Callable[[Socket, VendorError], Mapping[str, object]] | None = None
    check: Callable[[Mapping[str, str]], object] | None = None
    protocols: tuple[str, ...] = ()


@dataclass(frozen=True)
class Vendor:
    """One vendor's protocols.

    base_path: what story's provider adds to the server's address. keys: environment variables of its key.
    key: the key in a request, None where there is none. error: the body of an error answer.
    headers: of every answer, made anew for each (request ids). error_headers: those that repeat the body of an error.
    owns: whether an unknown path is this vendor's.
    """

    name: str
    base_path: str
    keys: tuple[str, ...]
    key: Callable[[web.BaseRequest], str | None]
    error: Callable[[VendorError], Mapping[str, object]]
    endpoints: tuple[Http | WebSocket, ...]
    headers: Callable[[], Mapping[str, str]] = dict
    error_headers: Callable[[Mapping[str, object]], Mapping[str, str]] = lambda body: {}
    owns: tuple[str, ...] = ()


def as_told(error: VendorError | BrainError) -> VendorError:
    """The error that a client is told: a mind that fails is the vendor's internal error."""
    return error if isinstance(error, VendorError) else VendorError(500, str(error), "internal_error")


def refused_key(vendor: Vendor, key: str | None) -> VendorError:
    """The error for a missing or unknown key; vendors put it into their own words with `error`."""
    return VendorError(401, "no API key" if key is None else "invalid API key", "invalid_api_key")
