"""What the server takes from anybody: keys, unknown paths, abuse; and what is left of it afterwards."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import json
import os
import random
from collections.abc import Callable

import aiohttp
import psutil
import pytest

from story.emulator.server import Emulator
from story.emulator.vendor import Http, Vendor, WebSocket
from story.emulator.vendors import VENDORS

ABUSES = 200
BY_NAME = {vendor.name: vendor for vendor in VENDORS}
KEYS = {
    "openai": {"Authorization": "Bearer k"},
    "deepgram": {"Authorization": "Token k"},
    "cartesia": {"X-API-Key": "k"},
    "elevenlabs": {"xi-api-key": "k"},
}


def path_of(endpoint: Http | WebSocket) -> str:
    """The path of an endpoint with something in place of its variables."""
    parts = [part if not part.startswith("{") else "x" for part in endpoint.path.split("/")]
    return "/".join(parts)


EVERY = [(vendor, endpoint) for vendor in VENDORS for endpoint in vendor.endpoints]
SOCKETS = [(vendor, endpoint) for vendor, endpoint in EVERY if isinstance(endpoint, WebSocket)]
ACCEPTED = {
    "/v1/listen": "?model=nova-3&encoding=linear16&sample_rate=16000",
    "/v2/listen": "?model=flux-general-en&encoding=linear16&sample_rate=16000",
    "/v1/speak": "?model=aura-2-thalia-en&encoding=linear16",
    "/v2/speak": "?model=flux-alexis-en",
    "/stt/websocket": "?model=ink-whisper&encoding=pcm_s16le&sample_rate=16000",
    "/stt/turns/websocket": "?model=ink-2&encoding=pcm_s16le&sample_rate=16000",
}
"""Addresses whose parameters are taken, so that the messages have their turn."""


def names(value: object) -> str | None:
    return getattr(value, "name", None)


@pytest.mark.parametrize(("vendor", "endpoint"), EVERY, ids=names)
async def test_without_a_key_the_vendor_s_own_refusal(
    emulator: Callable, vendor: Vendor, endpoint: Http | WebSocket
) -> None:
    server: Emulator = await emulator(*VENDORS, keys=["right"])
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {name: value.replace("k", "wrong") for name, value in KEYS[vendor.name].items()}):
            url = server.url + path_of(endpoint)
            if isinstance(endpoint, WebSocket):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await session.ws_connect(url, headers=headers)
                assert refused.value.status == 401
                continue
            async with session.request(endpoint.method, url, headers=headers, data=b"{}") as response:
                assert response.status == 401
                text = await response.text()
                assert isinstance(json.loads(text), dict) and "wrong" not in text


@pytest.mark.parametrize(("path", "shape"), [("/v1/nothing", "error"), ("/nothing", "error")])
async def test_an_unknown_path(emulator: Callable, path: str, shape: str) -> None:
    server: Emulator = await emulator(*VENDORS)
    async with aiohttp.ClientSession() as session, session.get(server.url + path, headers=KEYS["openai"]) as response:
        assert response.status == 404
        assert shape in await response.json()


async def test_a_method_that_an_endpoint_lacks(emulator: Callable) -> None:
    server: Emulator = await emulator(*VENDORS)
    async with aiohttp.ClientSession(headers=KEYS["openai"]) as session:
        async with session.delete(f"{server.url}/v1/chat/completions") as response:
            assert response.status in (405, 426)
        async with session.get(f"{server.url}/v1/realtime") as response:
            assert response.status == 426


async def test_the_control_endpoints(emulator: Callable) -> None:
    server: Emulator = await emulator(*VENDORS)
    control = f"{server.url}/emulator"
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{control}/faults", data="openai/models status=503 count=1") as response:
            assert (await response.json())["faults"] == ["openai/models status=503 count=1"]
        async with session.post(f"{control}/faults", data="openai/modles status=503") as response:
            assert response.status == 400 and "did you mean models" in (await response.json())["error"]
        for status in (503, 200):
            async with session.get(f"{server.url}/v1/models", headers=KEYS["openai"]) as response:
                assert response.status == status
        async with session.get(f"{control}/log") as response:
            requests = [entry for entry in await response.json() if entry["kind"] == "request"]
            assert [entry["content"]["path"] for entry in requests] == ["/v1/models"] * 2
        async with session.get(f"{control}/log?since=now") as response:
            assert response.status == 400
        async with session.delete(f"{control}/log") as response:
            assert (await response.json())["requests"] == 0
        async with session.get(f"{control}/nothing") as response:
            assert response.status == 404
        async with session.get(f"{control}/log", headers={"Origin": "https://example.org"}) as response:
            assert response.status == 403


def a_message(rng: random.Random) -> bytes | str:
    """Something that no client would send."""
    return rng.choice(
        [
            "",
            "{",
            "[]",
            "null",
            "not JSON",
            "[" * 5000,
            json.dumps({"type": None}),
            json.dumps({"type": "input_audio_buffer.append", "audio": "!"}),
            json.dumps({"type": "session.update", "session": []}),
            json.dumps({"type": "conversation.item.create", "item": {"type": "message", "content": 1}}),
            json.dumps({"type": "Speak", "text": 7}),
            json.dumps({"message_type": "input_audio_chunk", "audio_base_64": 3}),
            json.dumps({"context_id": {}, "text": []}),
            json.dumps({"transcript": None, "output_format": "x", "context_id": 1}),
            json.dumps({"type": "response.create", "response": 3}),
            base64.b64encode(rng.randbytes(99)).decode(),
            rng.randbytes(rng.choice([0, 1, 3, 999, 100_001])),
        ]
    )


async def abuse(server: Emulator, session: aiohttp.ClientSession, number: int) -> None:
    """One connection that misbehaves in its own way."""
    rng = random.Random(number)
    vendor, endpoint = rng.choice(EVERY)
    headers, path = KEYS[vendor.name], path_of(endpoint)
    if number % 4 == 0:  # dies at any byte
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = f"Sec-WebSocket-Key: {base64.b64encode(rng.randbytes(16)).decode()}\r\n"
        told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"GET {path}?sample_rate=16000 HTTP/1.1\r\nHost: x\r\n{upgrade}{key}{told}\r\n".encode()
        request += rng.randbytes(200)
        _, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(request[: rng.randrange(len(request))])
        await writer.drain()
        writer.transport.abort()
        return
    if isinstance(endpoint, WebSocket):
        wrong = ["", "?sample_rate=0", "?sample_rate=x&encoding=nonsense", "?sample_rate=16000&model=x"]
        query = rng.choice([*wrong, *[ACCEPTED.get(path, "")] * len(wrong)])
        try:
            async with session.ws_connect(server.url + path + query, headers=headers) as ws:
                for _ in range(rng.randrange(6)):
                    message = a_message(rng)
                    await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))
                if number % 3 == 0 and ws._response.connection is not None:
                    ws._response.connection.transport.abort()
        except (aiohttp.ClientError, ConnectionError):
            pass
        return
    body = a_message(rng)
    try:
        async with session.request(endpoint.method, server.url + path, headers=headers, data=body) as response:
            assert response.status < 600 and response.status != 500, await response.text()
            await response.read()
    except aiohttp.ClientError:
        pass


@pytest.mark.timeout(60)
async def test_abuse_leaves_nothing_behind(emulator: Callable, caplog: pytest.LogCaptureFixture) -> None:
    server: Emulator = await emulator(*VENDORS)

    async def answers() -> dict[str, object]:
        async with aiohttp.ClientSession(headers=KEYS["openai"]) as session:
            body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
            async with session.post(f"{server.url}/v1/chat/completions", json=body) as response:
                return (await response.json())["choices"][0]["message"]

    async def settled() -> tuple[int, int]:
        gc.collect()
        async with asyncio.timeout(10):
            while server.connections:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # aiohttp closes its side of dead connections in callbacks
        return len(asyncio.all_tasks()), psutil.Process(os.getpid()).num_fds()

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(abuse(server, session, number) for number in range(20)))  # first use of everything
    before, tasks_and_files = await answers(), await settled()
    for start in range(0, ABUSES, 20):
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(abuse(server, session, start + number) for number in range(20)))
    assert await answers() == before
    tasks, files = await settled()
    assert tasks <= tasks_and_files[0] and files <= tasks_and_files[1] + 2
    failures = [record for record in caplog.records if record.levelname == "ERROR" and record.name.startswith("story")]
    assert not failures, caplog.text


async def test_an_oversized_message_ends_the_connection_alone(emulator: Callable) -> None:
    server: Emulator = await emulator(*VENDORS)
    async with aiohttp.ClientSession(headers=KEYS["openai"]) as session:
        ws = await session.ws_connect(f"{server.url}/v1/realtime?model=gpt-realtime")
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):  # it is cut off while it sends
            await ws.send_str("x" * (17 * 2**20))
        async with asyncio.timeout(10):
            while server.connections:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.01)
        assert "received" not in [entry["kind"] for entry in server.emulation.journal.as_data()]
        async with session.get(f"{server.url}/v1/models") as response:
            assert response.status == 200


async def test_a_port_that_is_taken_is_one_clear_error(emulator: Callable) -> None:
    from story.core.errors import ConfigError

    server: Emulator = await emulator(*VENDORS)
    with pytest.raises(ConfigError, match=rf"port {server.port} of 127\.0\.0\.1 is taken"):
        await Emulator(server.emulation, VENDORS, port=server.port).__aenter__()
