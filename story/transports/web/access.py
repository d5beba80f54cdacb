"""Who may use a server: this machine alone, or whoever has the token; and no page but our own."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import SplitResult, urlsplit

from aiohttp import web

from story.transports.web.budget import Budget

logger = logging.getLogger("story.web")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

COOKIE = "story_token"
TOKEN_BYTES = 24
REQUESTS_PER_SECOND = 10.0
REQUESTS_AT_ONCE = 200
"""A page asks for a dozen files; who asks for many more is no page."""
MAX_ADDRESSES = 10_000

CONNECT = "connect-src 'self'"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        CONNECT,
        "media-src 'self' blob: mediastream:",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
REASONS = {
    404: "there is nothing at this address",
    405: "this address takes no such request",
    413: "the body is too long",
}
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Access:
    """Checks every request.

    On a loopback address whoever is on this machine may call, but the request has to name that address: so a page of
    somebody else's, whose name leads here, gets nothing. On any other address a token is asked for, once in the URL
    and then in a cookie. A page of another origin gets nothing either way.

    open_paths: those that need no token. reaches: other origins that the page may connect to.
    """

    def __init__(self, host: str, *, open_paths: frozenset[str], secure: bool, reaches: Sequence[str] = ()) -> None:
        self.token = None if is_loopback(host) else secrets.token_urlsafe(TOKEN_BYTES)
        self._open_paths = open_paths
        self._secure = secure
        policy = POLICY.replace(CONNECT, " ".join((CONNECT, *reaches)))
        self._headers = {**HEADERS, "Content-Security-Policy": policy}
        self._budgets: dict[str, Budget] = {}

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """To be the outermost of an aiohttp application."""
        try:
            response = await self._checked(request, handler)
        except ConnectionError:
            raise  # nobody is there to be answered
        except Exception:
            logger.exception("a request failed")
            response = refusal(500, "something went wrong on the server; its log says what")
        if not response.prepared:  # a socket has sent its headers
            response.headers.update(self._headers)
        return response

    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = self._refused(request)
        if refused is None:
            refused = self._without_token(request)
        if refused is not None:
            return refused
        try:
            return await handler(request)
        except web.HTTPException as error:
            response = refusal(error.status, REASONS.get(error.status) or error.reason)
            response.headers.update({name: error.headers[name] for name in ("Allow",) if name in error.headers})
            return response

    def _refused(self, request: web.Request) -> web.Response | None:
        """The answer to a request that comes too often, or from where it should not."""
        if self.token is None and not is_loopback(_split(f"//{request.host}").hostname or ""):
            return refusal(403, "this server answers at its loopback address alone: open http://127.0.0.1")
        origin = request.headers.get("Origin")
        if origin is not None and _split(origin).netloc != request.host:
            return refusal(403, "this comes from another site's page")
        # last, or another site's page could use up what ours may do
        if not self._budget(request.remote or "").spend():
            return refusal(429, "too many requests: wait a little")
        return None

    def _without_token(self, request: web.Request) -> web.Response | None:
        """The answer to a request that has no token yet, or brings it in its address."""
        if self.token is None or request.path in self._open_paths:
            return None
        given = request.query.get("token")
        if given is not None and request.method == "GET" and self._right(given):
            return self._let_in(request)
        if self._right(request.cookies.get(_cookie(request)) or _bearer(request)):
            return None
        return refusal(401, "open the whole address that `story run` printed: it has the access token in it")

    def _let_in(self, request: web.Request) -> web.Response:
        """Keep the token in a cookie, and out of the address from now on."""
        assert self.token is not None
        response = web.Response(status=303, headers={"Location": "/"})
        # "Strict" would keep it from this very redirect, where a page of another site has the link
        response.set_cookie(_cookie(request), self.token, httponly=True, samesite="Lax", secure=self._secure, path="/")
        return response

    def _right(self, given: str) -> bool:
        return self.token is not None and same(given, self.token)

    def _budget(self, address: str) -> Budget:
        if len(self._budgets) > MAX_ADDRESSES:
            self._budgets = {known: budget for known, budget in self._budgets.items() if not budget.full}
        if (budget := self._budgets.get(address)) is None:
            budget = self._budgets[address] = Budget(REQUESTS_PER_SECOND, REQUESTS_AT_ONCE)
        return budget


def same(given: str, secret: str) -> bool:
    """Whether they are equal, in a time that tells nothing about the secret. `given` may be any string at all."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())


def refusal(status: int, why: str) -> web.Response:
    """An answer that says in one sentence why there is none."""
    headers = {"Retry-After": "5"} if status in (429, 503) else {}
    return web.json_response({"error": why}, status=status, headers=headers)


def _cookie(request: web.Request) -> str:
    """The name of the cookie. Browsers send it to every port of a host, where there may be another of these servers."""
    port = re.search(r":(\d+)$", request.host, re.ASCII)
    return f"{COOKIE}_{port[1]}" if port else COOKIE


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _split(url: str) -> SplitResult:
    """The parts of an address that came from outside; none of them where it is no address."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
