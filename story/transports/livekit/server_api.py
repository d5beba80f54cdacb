"""What a LiveKit server does when it is asked over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from livekit import api

from story.transports.livekit.server_access import LiveKitServer

SECONDS = 10.0


@asynccontextmanager
async def reach(server: LiveKitServer, *, seconds: float = SECONDS) -> AsyncIterator[api.LiveKitAPI]:
    """Within the block there is the API of the server, by way of the proxy that is set for it. seconds: a request."""
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with aiohttp.ClientSession(timeout=timeout, proxy=server.proxy) as http:
        yield api.LiveKitAPI(server.http_url, server.key, server.secret, session=http)
