"""The model process: serves the on-device engines on 127.0.0.1 to the process tree that started it.

    POST /engines/NAME       load it; 200 {"url": its own server's address or null}, else {"error", "kind"}
    GET  /recognise/NAME     WebSocket: s16le mono 16 kHz in binary frames, "flush" and "end" as text;
                             out come the events of `recognition`
    POST /synthesise/NAME    {"text", "voice", "speed"}; s16le mono at `synthesiser.SAMPLE_RATE`
    GET  /health             {"pid", "engines"}

Every request needs the tree's token. Run as `python -m story.providers.local.server` by `process`, which says in the
environment where to listen and reads the port from the first line of stdout; ends when stdin does.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable

from aiohttp import WSCloseCode, WSMsgType, web

from story.core.errors import StoryError
from story.providers.local.engines import Engines
from story.providers.local.process import ADDRESS_VARIABLE, HOST, TOKEN_VARIABLE
from story.providers.local.recognition import Recognition
from story.providers.local.segments import Pauses

_ENGINES = web.AppKey("engines", Engines)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(token: str) -> web.Application:
    """The server; `token` is what its clients must show."""
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def admit(request: web.Request, handler: _Handler) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(shown, expected):
            return web.json_response({"error": "the token is missing or wrong", "kind": "StoryError"}, status=401)
        try:
            return await handler(request)
        except StoryError as error:
            return web.json_response({"error": str(error), "kind": type(error).__name__}, status=503)

    app = web.Application(middlewares=[admit])
    app[_ENGINES] = Engines(token)
    app.add_routes(
        [
            web.get("/health", _health),
            web.post("/engines/{name}", _load),
            web.get("/recognise/{name}", _recognise),
            web.post("/synthesise/{name}", _synthesise),
        ]
    )
    return app


async def _health(request: web.Request) -> web.StreamResponse:
    return web.json_response({"pid": os.getpid(), "engines": request.app[_ENGINES].loaded})


async def _load(request: web.Request) -> web.StreamResponse:
    try:
        url = await request.app[_ENGINES].load(request.match_info["name"])
    except StoryError:
        raise
    except Exception as error:  # whatever a native library throws: its user gets the line, not a traceback
        raise StoryError(f"{request.match_info['name']} can't be loaded: {error}") from error
    return web.json_response({"url": url})


async def _recognise(request: web.Request) -> web.StreamResponse:
    recogniser = await request.app[_ENGINES].recogniser(request.match_info["name"])
    pauses = Pauses(end=float(request.query["end_silence"])) if "end_silence" in request.query else Pauses()
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    recognition = Recognition(recogniser, pauses)

    async def answer() -> None:
        try:
            async for event in recognition.events():
                await socket.send_json(event)
        except Exception as error:  # of the native library: the client must not wait for what will never come
            await socket.close(code=WSCloseCode.INTERNAL_ERROR, message=str(error).encode()[:120])
        else:
            await socket.close()

    answering = asyncio.create_task(answer())
    try:
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                recognition.feed(message.data)
            elif message.data == "flush":
                recognition.flush()
            elif message.data == "end":
                recognition.end()
            if answering.done():
                break
    finally:
        recognition.close()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
    return socket


async def _synthesise(request: web.Request) -> web.StreamResponse:
    speaker = await request.app[_ENGINES].speaker(request.match_info["name"])
    wanted = await request.json()
    voice = wanted.get("voice")
    sound = await speaker.say(str(wanted["text"]), None if voice is None else str(voice), float(wanted["speed"]))
    return web.Response(body=sound, content_type="audio/pcm")


def _die_with_owner() -> None:
    """End when the pipe to the owner breaks, which the kernel sees to even if the owner is killed."""
    sys.stdin.buffer.read()
    os._exit(0)


async def serve() -> None:
    token = os.environ[TOKEN_VARIABLE]
    port = int(os.environ[ADDRESS_VARIABLE].rpartition(":")[2])
    # Native libraries write to stdout as they please: the hello line goes out on a descriptor of its own.
    hello = os.dup(1)
    os.dup2(2, 1)
    threading.Thread(target=_die_with_owner, name="owner", daemon=True).start()
    # Cancelling a handler whose client has gone drops what it waits for: speech nobody will hear.
    runner = web.AppRunner(application(token), access_log=None, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, HOST, port)
    await site.start()
    with os.fdopen(hello, "w") as pipe:
        pipe.write(json.dumps({"port": runner.addresses[0][1]}) + "\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    # Ctrl-C goes to the whole terminal: the owner decides when a call is over.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(serve())
