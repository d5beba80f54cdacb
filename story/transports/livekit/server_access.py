"""Which LiveKit server to work for, and whether it can be worked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from story.core.errors import ConfigError, StoryError
from story.core.settings import Settings

URL, KEY, SECRET = VARIABLES = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")

ANSWER_SECONDS = 6.0
"""For a server's answer; whoever starts a worker is told within 10 s that there is none."""
TOKEN_SECONDS = 60
RETRY_SECONDS = 2.0
PROBE = "/twirp/livekit.RoomService/ListRooms"
"""What every LiveKit server, the cloud too, answers without doing anything."""


class ServerError(StoryError):
    """A LiveKit server that can't be worked for: none is there, or it refuses the key or the secret."""


@dataclass(frozen=True)
class LiveKitServer:
    """An address (ws or wss) and who may use it."""

    url: str
    key: str
    secret: str = field(repr=False)

    @property
    def http_url(self) -> str:
        """Where its HTTP API is, without a trailing slash."""
        return "http" + self.url.rstrip("/").removeprefix("ws").removeprefix("http")

    @property
    def proxy(self) -> str | None:
        """What is between it and us: HTTPS_PROXY or HTTP_PROXY, unless NO_PROXY names the server."""
        from urllib.request import getproxies, proxy_bypass

        parts = urlsplit(self.http_url)
        return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)

    def settings(self, settings: Settings) -> Settings:
        """`settings` with this server in place of the one they name."""
        return settings.with_overrides(env=dict(zip(VARIABLES, (self.url, self.key, self.secret), strict=True)))


def server_of(settings: Settings) -> LiveKitServer | None:
    """The server that the user has set; None if they name none.

    Raises:
        ConfigError: a part of it is missing, or the address is none.
    """
    url = settings.key(URL)
    if url is None:
        return None
    if missing := [name for name in (KEY, SECRET) if settings.key(name) is None]:
        raise ConfigError(f"{URL} is set, but not {' and '.join(missing)}: set both, or take it away")
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss", "http", "https") or not parts.hostname:
        raise ConfigError(f"{URL} is no address of a server: write it as in wss://example.org or ws://127.0.0.1:7880")
    return LiveKitServer(url, settings.key(KEY) or "", settings.key(SECRET) or "")


def required_server(settings: Settings) -> LiveKitServer:
    """The server that the user has set. Raises ConfigError if they name none."""
    server = server_of(settings)
    if server is None:
        raise ConfigError(f"no LiveKit server is named: set {', '.join(VARIABLES)}, or try `story run --dev-server`")
    return server


async def check(server: LiveKitServer) -> None:
    """Ask the server whether it takes the key and the secret.

    Raises:
        ServerError: which of them it does not take, or that there is no LiveKit server.
    """
    import aiohttp

    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            if server.proxy is None:
                await _look_up(urlsplit(server.url).hostname or "")
            async with (
                aiohttp.ClientSession(proxy=server.proxy) as http,
                http.post(
                    server.http_url + PROBE,
                    json={"names": ["story"]},
                    headers={"Authorization": f"Bearer {_probe_token(server)}"},
                    allow_redirects=False,
                ) as response,
            ):
                status, text = response.status, await response.text(errors="replace")
    except TimeoutError:
        raise ServerError(_absent(server, f"nothing within {ANSWER_SECONDS:.0f} s")) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ServerError(_absent(server, _reason(error, server))) from None
    if problem := _problem(status, text, server):
        raise ServerError(problem)


async def _look_up(name: str) -> None:
    """Wait for the name's address on a thread of its own, which nobody has to wait for if no name server answers:
    the end of the program waits for those of the event loop, up to half a minute.

    Raises:
        OSError: it has none.
        ValueError: it is no name.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Exception | None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        if not found.done():
            found.set_result(error)

    def look_up() -> None:
        error: Exception | None = None
        try:
            socket.getaddrinfo(name, None)
        except (OSError, ValueError) as failed:
            error = failed
        with contextlib.suppress(RuntimeError):  # nobody waits any more
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=look_up, name="story-look-up", daemon=True).start()
    if error := await found:
        raise error


def _probe_token(server: LiveKitServer) -> str:
    import jwt  # livekit's own class for it takes a second to import

    now = int(time.time())
    claims = {"iss": server.key, "nbf": now - 60, "exp": now + TOKEN_SECONDS, "video": {"roomList": True}}
    return jwt.encode(claims, server.secret, algorithm="HS256")


def _problem(status: int, text: str, server: LiveKitServer) -> str | None:
    """What the server's answer means; None if all is well."""
    where = f"the LiveKit server at {server.url}"
    ours = _is_json(text)
    problem: str | None = f"what answers at {server.url} is no LiveKit server (status {status}): correct {URL}"
    if status == 200 and ours:
        problem = None
    elif status == 401 and "invalid API key" in text:
        problem = f"{where} does not know {KEY}: correct it, or {URL}"
    elif status == 401 and "invalid token" in text:
        problem = f"{where} knows {KEY}, but {SECRET} is not the secret of that key"
        if "expired" in text or "not valid yet" in text:
            problem = f"{where} has another time than this machine: correct the clock of one of them"
    elif status in (401, 403) and ours:
        problem = f"{where} refuses {KEY} and {SECRET}: they may not be used by agents"
    elif status >= 500 and ours:
        problem = f"{where} is in trouble: it answers {status}"
    return problem


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _absent(server: LiveKitServer, why: str) -> str:
    return f"no LiveKit server answers at {server.url} ({why}): start one, or correct {URL}"


def _reason(error: Exception, server: LiveKitServer) -> str:
    import aiohttp

    match error:
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not valid"
        case aiohttp.ClientConnectorSSLError():
            return f"TLS fails with it: if it speaks none, write ws{server.url[server.url.index(':') :]}"
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            return "its name is not known"
        case aiohttp.ClientConnectorError():
            return os.strerror(error.errno) if error.errno else str(error.os_error)
        case aiohttp.ServerDisconnectedError():
            return "it hung up"
    return " ".join(str(error).split()) or type(error).__name__
