"""Faults: what they strike, how often, and what a client sees of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from story.core.errors import ConfigError
from story.emulator.faults import KINDS, Fault, Faults, parse_fault
from story.emulator.server import Emulator
from story.emulator.vendors import VENDORS

ENDPOINTS = {vendor.name: tuple(endpoint.name for endpoint in vendor.endpoints) for vendor in VENDORS}
BEARER = {"Authorization": "Bearer k"}
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "stream": True}


@pytest.mark.parametrize(
    "text",
    [
        "openai/chat status=429 count=2",
        "* refuse",
        "deepgram/listen hang after=3 p=0.25",
        "openai/realtime close=1011 after=40",
        "cartesia drip=0.5",
        "elevenlabs/tts error=quota_exceeded sent=2",
        'openai/models content-type="text/html; charset=x"',
    ],
)
def test_a_fault_reads_as_it_prints(text: str) -> None:
    fault = parse_fault(text, ENDPOINTS)
    assert parse_fault(str(fault), ENDPOINTS) == fault


@given(st.text(max_size=60) | st.tuples(st.sampled_from(["openai/chat ", "* "]), st.text(max_size=30)).map("".join))
def test_any_text_is_a_fault_or_a_clear_error(text: str) -> None:
    try:
        fault = parse_fault(text, ENDPOINTS)
    except ConfigError as error:
        assert "\n" not in str(error).replace(text, "")
    else:
        assert parse_fault(str(fault), ENDPOINTS) == fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("openai/chat", "write where and what"),
        ("opnai/chat cut", "unknown vendor 'opnai' (did you mean openai?)"),
        ("openai/chatt cut", "unknown endpoint 'chatt' (did you mean chat"),
        ("openai/chat stattus=1", "unknown kind 'stattus' (did you mean status?)"),
        ("openai/chat status", "status takes a value"),
        ("openai/chat cut=1", "cut takes no value"),
        ("openai/chat status=200", "status is a number from 400 to 599"),
        ("openai/chat cut often", "'often' is none of after=N"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse_fault(text, ENDPOINTS)
    assert message in str(told.value)


def test_counts_and_probabilities() -> None:
    faults = Faults([Fault("openai", "chat", "cut", count=2), Fault("*", "*", "refuse", probability=0.5)], seed=3)
    struck = [faults.take("openai", "chat") for _ in range(200)]
    assert [[f.kind for f in one].count("cut") for one in struck] == [1, 1] + [0] * 198
    assert 70 < sum("refuse" in [f.kind for f in one] for one in struck) < 130
    again = Faults([Fault("*", "*", "refuse", probability=0.5)], seed=3)
    other = Faults([Fault("*", "*", "refuse", probability=0.5)], seed=3)
    assert [again.take("a", "b") for _ in range(50)] == [other.take("a", "b") for _ in range(50)]
    assert not faults.take("deepgram", "listen") or faults.take("deepgram", "listen")[0].kind == "refuse"


async def faulty(emulator: Callable, *texts: str) -> Emulator:
    server: Emulator = await emulator(*VENDORS)
    server.emulation.faults.faults = [parse_fault(text, ENDPOINTS) for text in texts]
    return server


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("close",)])
async def test_a_request_meets_a_fault(emulator: Callable, kind: str) -> None:
    values = {"status": "=503", "drip": "=0.01", "content-type": "=text/html"}
    spec = f"openai/chat {kind}{values.get(kind, '')}" + (" sent=2" if kind in ("cut", "malformed", "error") else "")
    server = await faulty(emulator, spec + " count=1")
    async with aiohttp.ClientSession(headers=BEARER) as session:

        async def ask() -> tuple[int, str | None, list[str]]:
            async with session.post(f"{server.url}/v1/chat/completions", json=CHAT) as response:
                lines = (await response.text()).split("\n\n")
                return response.status, response.content_type, [line.removeprefix("data: ") for line in lines if line]

        if kind in ("refuse", "cut"):
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await ask()
        elif kind == "hang":
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await ask()
        else:
            status, content_type, lines = await ask()
            assert status == (503 if kind == "status" else 200)
            if kind == "content-type":
                assert content_type == "text/html"
            if kind == "error":
                assert json.loads(lines[2])["error"]["type"] == "server_error"
            if kind == "malformed":
                with pytest.raises(ValueError, match=r"Unterminated|Expecting|Invalid"):
                    json.loads(lines[2])
        assert (await ask())[0] == 200


async def test_an_answer_in_one_piece_meets_a_fault(emulator: Callable) -> None:
    server = await faulty(emulator, "openai/models error=boom count=1")
    async with aiohttp.ClientSession(headers=BEARER) as session:
        async with session.get(f"{server.url}/v1/models") as response:
            assert response.status == 500 and (await response.json())["error"]["code"] == "boom"
        server.emulation.faults.faults = [parse_fault("openai/models malformed count=1", ENDPOINTS)]
        async with session.get(f"{server.url}/v1/models") as response:
            with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
                json.loads(await response.text())
        server.emulation.faults.faults = [parse_fault("openai/speech error sent=1 count=1", ENDPOINTS)]
        body = {"model": "tts-1", "voice": "echo", "input": "Once upon a time.", "response_format": "pcm"}
        with pytest.raises(aiohttp.ClientError):
            async with session.post(f"{server.url}/v1/audio/speech", json=body) as response:
                await response.read()


@pytest.mark.parametrize("kind", ["status=429", "refuse", "hang"])
async def test_a_handshake_meets_a_fault(emulator: Callable, kind: str) -> None:
    count = 2 if kind == "refuse" else 1  # aiohttp itself tries a refused connection again
    server = await faulty(emulator, f"openai/realtime {kind} count={count}")
    async with aiohttp.ClientSession(headers=BEARER) as session:
        with pytest.raises((aiohttp.ClientError, TimeoutError)) as told:
            async with asyncio.timeout(0.2):
                await session.ws_connect(f"{server.url}/v1/realtime")
        if kind.startswith("status"):
            assert told.value.status == 429
        async with session.ws_connect(f"{server.url}/v1/realtime") as ws:
            assert (await ws.receive_json())["type"] == "session.created"


@pytest.mark.parametrize("kind", ["close=4000", "cut", "error=insufficient_quota", "malformed", "hang"])
async def test_a_socket_meets_a_fault(emulator: Callable, kind: str) -> None:
    server = await faulty(emulator, f"openai/realtime {kind} after=2 count=1")
    async with aiohttp.ClientSession(headers=BEARER) as session, session.ws_connect(f"{server.url}/v1/realtime") as ws:
        assert (await ws.receive_json())["type"] == "session.created"
        clear = {"type": "input_audio_buffer.clear"}
        await ws.send_json(clear)
        assert (await ws.receive_json())["type"] == "input_audio_buffer.cleared"
        await ws.send_json(clear)
        if kind == "hang":
            with pytest.raises(TimeoutError):
                await ws.receive(timeout=0.2)
            return
        told = await ws.receive(timeout=5)
        if kind.startswith("error"):
            assert json.loads(told.data)["error"]["type"] == "insufficient_quota"
        elif kind == "malformed":
            with pytest.raises(ValueError, match=r"Unterminated|Expecting|Invalid"):
                json.loads(told.data)
        else:
            assert told.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
            assert ws.close_code == (4000 if kind.startswith("close") else 1006)
