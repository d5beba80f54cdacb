"""Each kind of fault as a client of a vendor meets it that has one endpoint of each sort, and what is left after it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from story.core.errors import ConfigError
from story.emulator.exchange import Exchange
from story.emulator.faults import KINDS, Fault, parse_fault
from story.emulator.server import Emulator
from story.emulator.socket import Socket
from story.emulator.vendor import Http, Vendor, VendorError, WebSocket

ANSWER = {"answer": list(range(20))}
PARTS = 4
KEY = {"Authorization": "k"}


async def whole(exchange: Exchange) -> web.StreamResponse:
    return await exchange.reply(ANSWER)


async def in_events(exchange: Exchange) -> web.StreamResponse:
    async with exchange.events() as events:
        for number in range(PARTS):
            await events.event({"part": number})
    return events.response


async def in_bytes(exchange: Exchange) -> web.StreamResponse:
    async with exchange.stream("audio/pcm") as stream:
        for _ in range(PARTS):
            await stream.send(bytes(100))
    return stream.response


async def talk(socket: Socket) -> None:
    """Answers each message twice: at once, and in its turn."""
    async for message in socket:
        await socket.send({"heard": message})
        socket.later(socket.arrived, lambda: socket.send({"later": True}))


def error_frame(socket: Socket, error: VendorError) -> Mapping[str, object]:
    return {"error": error.code, "message": error.message}


TINY = Vendor(
    name="tiny",
    base_path="",
    keys=("TINY_KEY",),
    key=lambda request: request.headers.get("Authorization"),
    error=lambda error: {"tiny": error.code},
    endpoints=(
        Http("whole", "GET", "/whole", whole),
        Http("events", "GET", "/events", in_events),
        Http("bytes", "GET", "/bytes", in_bytes),
        WebSocket("talk", "/talk", talk, role="stt", error=error_frame),
    ),
)
ENDPOINTS = {"tiny": ("whole", "events", "bytes", "talk")}
HTTP = ("whole", "events", "bytes")


@pytest.fixture
async def server(emulator: Callable) -> Emulator:
    return await emulator(TINY)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=KEY) as session:
        yield session


def strike(server: Emulator, *texts: str) -> None:
    server.emulation.faults.faults = [parse_fault(text, ENDPOINTS) for text in texts]


async def get(session: aiohttp.ClientSession, server: Emulator, name: str) -> tuple[int, str, str]:
    async with asyncio.timeout(5), session.get(f"{server.url}/{name}") as response:
        return response.status, response.headers["Content-Type"], await response.text()


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not reached():  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def heard(ws: aiohttp.ClientWebSocketResponse, sent: int) -> list[object]:
    """Send so many messages; all that comes until the server closes or everything is answered, text as it is."""
    told: list[object] = []
    for number in range(sent):
        await ws.send_json({"number": number})
    async with asyncio.timeout(5):
        while len(told) < 2 * sent:
            frame = await ws.receive()
            if frame.type is not aiohttp.WSMsgType.TEXT:
                break
            told.append(frame.data)
    return told


@pytest.mark.parametrize("name", HTTP)
async def test_a_status(server: Emulator, session: aiohttp.ClientSession, name: str) -> None:
    strike(server, f"tiny/{name} status=418 count=1")
    status, _, text = await get(session, server, name)
    assert (status, json.loads(text)) == (418, {"tiny": "emulated"})
    assert (await get(session, server, name))[0] == 200


async def test_a_status_instead_of_a_handshake(server: Emulator, session: aiohttp.ClientSession) -> None:
    strike(server, "tiny/talk status=503")
    with pytest.raises(aiohttp.WSServerHandshakeError) as told:
        await session.ws_connect(f"{server.url}/talk")
    assert told.value.status == 503 and server.connections == 0


@pytest.mark.parametrize("name", [*HTTP, "talk"])
async def test_a_refused_connection(server: Emulator, session: aiohttp.ClientSession, name: str) -> None:
    strike(server, f"tiny/{name} refuse")
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await (session.ws_connect(f"{server.url}/talk") if name == "talk" else get(session, server, name))


@pytest.mark.parametrize("when", ["", " sent=2"])
@pytest.mark.parametrize("name", [*HTTP, "talk"])
async def test_who_leaves_a_hanging_request_leaves_no_task(server: Emulator, name: str, when: str) -> None:
    before = len(asyncio.all_tasks())
    strike(server, f"tiny/{name} hang{when}")
    async with aiohttp.ClientSession(headers=KEY) as session:

        async def ask() -> None:
            if name == "talk":
                async with session.ws_connect(f"{server.url}/talk") as ws:
                    await heard(ws, 3)
            else:
                await get(session, server, name)

        asking = asyncio.create_task(ask())
        journal = server.emulation.journal
        await until(lambda: any(entry.kind == "request" for entry in journal.entries) or asking.done())
        if when and name == "talk":
            await until(lambda: sum(entry.kind == "sent" for entry in journal.entries) == 2)
        if when and name == "whole":
            await asking  # it has one part, so nothing is sent after the second
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: len(asyncio.all_tasks()) <= before and server.connections == 0)


async def test_who_hangs_says_nothing_more(server: Emulator, session: aiohttp.ClientSession) -> None:
    strike(server, "tiny/talk hang after=2")
    async with session.ws_connect(f"{server.url}/talk") as ws:
        assert len(await heard(ws, 1)) == 2
        await ws.send_json({"number": 2})
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.1)
    await until(lambda: server.connections == 0)


@pytest.mark.parametrize(("when", "told"), [("after=2", 2), ("after=1", 0), ("sent=3", 3), ("", 0)])
@pytest.mark.parametrize("kind", ["close=4321", "cut"])
async def test_a_connection_that_ends(
    server: Emulator, session: aiohttp.ClientSession, kind: str, when: str, told: int
) -> None:
    strike(server, f"tiny/talk {kind} {when}")
    async with session.ws_connect(f"{server.url}/talk") as ws:
        got: list[object] = []
        for _ in range(3):
            if ws.closed:
                break
            got += await heard(ws, 1)
        assert (len(got), ws.close_code) == (told, 1006 if kind == "cut" else 4321)
    await until(lambda: server.connections == 0)


@pytest.mark.parametrize("name", ["events", "bytes"])
@pytest.mark.parametrize("kind", ["cut", "close=1011"])
async def test_an_answer_that_breaks_off(
    server: Emulator, session: aiohttp.ClientSession, name: str, kind: str
) -> None:
    strike(server, f"tiny/{name} {kind} sent=2")
    async with asyncio.timeout(5), session.get(f"{server.url}/{name}") as response:
        assert response.status == 200
        got = b""
        with pytest.raises(aiohttp.ClientError):
            async for data, _ in response.content.iter_chunks():
                got += data
        assert got in (b"".join(b'data: {"part":%d}\n\n' % part for part in range(2)), bytes(200))


async def test_an_error_among_messages(server: Emulator, session: aiohttp.ClientSession) -> None:
    strike(server, "tiny/talk error=too_tired after=2")
    async with session.ws_connect(f"{server.url}/talk") as ws:
        first = [json.loads(text) for text in await heard(ws, 1)]
        await ws.send_json({"number": 2})
        error = await ws.receive_json(timeout=5)
        rest = [await ws.receive_json(timeout=5) for _ in range(2)]
    assert not any("error" in message for message in first + rest)
    assert error["error"] == "too_tired"


async def test_an_error_among_events(server: Emulator, session: aiohttp.ClientSession) -> None:
    strike(server, "tiny/events error=too_tired sent=2")
    status, _, text = await get(session, server, "events")
    events = [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line]
    assert status == 200 and events[:3] == [{"part": 0}, {"part": 1}, {"tiny": "too_tired"}]


async def test_a_malformed_message_comes_once(server: Emulator, session: aiohttp.ClientSession) -> None:
    strike(server, "tiny/talk malformed sent=1")
    async with session.ws_connect(f"{server.url}/talk") as ws:
        told = [*await heard(ws, 1), *await heard(ws, 1)]
    broken = [text for text in told if not _is_json(text)]
    assert len(told) == 4 and broken == told[1:2]


@pytest.mark.parametrize("name", HTTP)
@pytest.mark.parametrize("media", ["text/html", "text/html; charset=latin-1", "application/x.tiny+json"])
async def test_a_wrong_content_type(server: Emulator, session: aiohttp.ClientSession, name: str, media: str) -> None:
    strike(server, f'tiny/{name} content-type="{media}"')
    status, told, text = await get(session, server, name)
    assert (status, told.split(";")[0]) == (200, media.split(";", maxsplit=1)[0])
    assert text


@pytest.mark.parametrize(("name", "parts"), [("whole", 1), ("events", PARTS), ("bytes", PARTS), ("talk", 4)])
async def test_a_drip_waits_before_each_part(
    server: Emulator, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, name: str, parts: int
) -> None:
    strike(server, f"tiny/{name} drip=0.0125")
    waits: list[float] = []
    sleep = asyncio.sleep

    def noted(seconds: float, *rest: object) -> Awaitable[object]:
        waits.append(seconds)
        return sleep(seconds, *rest)

    monkeypatch.setattr(asyncio, "sleep", noted)
    if name == "talk":
        async with session.ws_connect(f"{server.url}/talk") as ws:
            assert len(await heard(ws, 2)) == 4
    else:
        assert (await get(session, server, name))[0] == 200
    assert waits.count(0.0125) == parts


async def test_only_who_is_meant_and_only_so_often(server: Emulator, session: aiohttp.ClientSession) -> None:
    strike(server, "tiny/whole status=500 count=2", "tiny/events status=501 p=0")
    asked = ["whole", "bytes", "events", "whole", "whole"]
    assert [(await get(session, server, name))[0] for name in asked] == [500, 200, 200, 500, 200]
    assert [str(fault) for fault in server.emulation.faults.faults] == ["tiny/events status=501 p=0"]


def _is_json(text: object) -> bool:
    try:
        json.loads(str(text))
    except ValueError:
        return False
    return True


VALUES = {
    "status": st.integers(400, 599).map(str),
    "close": st.integers(1000, 4999).map(str),
    "drip": st.floats(0, 3600).map(lambda seconds: f"{seconds:.3f}"),
    "content-type": st.sampled_from(["text/html", "text/html; charset=utf-8", "a/b+c"]),
    "error": st.text(max_size=20),
}
WORDS = st.builds(
    lambda *parts: " ".join(part for part in parts if part),
    st.sampled_from(["", "after=3", "after=0", "after=" + "9" * 5000, "after=٣", "after=-1", "after"]),
    st.sampled_from(["", "sent=2", "sent=1e3"]),
    st.floats(0, 1).map(lambda p: f"p={p:.12f}") | st.sampled_from(["", "p=.00001", "p=1.", "p=1.5", "p=nan", "p=.٣"]),
    st.sampled_from(["", "count=1", "count=0", "count=x"]),
)


@given(st.data())
def test_a_fault_prints_as_it_reads(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(KINDS)))
    fault = Fault(
        *data.draw(st.sampled_from([("*", "*"), ("tiny", "*"), ("tiny", "talk"), ("*", "whole")])),
        kind,
        data.draw(VALUES.get(kind, st.just(""))),
        data.draw(st.integers(0, 999_999_999)),
        data.draw(st.integers(0, 999_999_999)),
        data.draw(st.floats(0, 1)),
        data.draw(st.none() | st.integers(0, 999_999_999)),
    )
    assert parse_fault(str(fault), ENDPOINTS) == fault


@given(
    st.sampled_from(["tiny", "tiny/talk", "*", "*/whole", "tiny/", "/talk", "tiny/*"]),
    st.sampled_from(list(KINDS)),
    st.sampled_from(["", "=", "=429", "=1e3", "=٤٢٩", "=0.5", '="a\nb: c"', "=text/html", "=" + "9" * 5000]),
    WORDS,
)
def test_any_words_are_a_fault_or_a_clear_error(target: str, kind: str, value: str, words: str) -> None:
    try:
        fault = parse_fault(f"{target} {kind}{value} {words}", ENDPOINTS)
    except ConfigError:
        return
    assert parse_fault(str(fault), ENDPOINTS) == fault
    assert fault.kind not in ("status", "close", "drip") or 0 <= fault.number < 5000
