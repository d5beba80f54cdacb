"""Sound in containers is heard while it arrives, where no encoding of raw samples is named."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from functools import cache

import aiohttp
import av
import numpy as np
import pytest
from conftest import SaidEars, silence, speech
from wire import Told, converse

from story.emulator.audio import Format, decode, encode
from story.emulator.deepgram import DEEPGRAM
from story.emulator.server import Emulator

KEY = {"Authorization": "Token k"}
LINE = "What is the weather in Paris?"
LISTEN = "/v1/listen?model=nova-3&punctuate=true"
RATE = 16_000


@cache
def contained(name: str) -> bytes:
    """Two seconds of speech and two of silence, as browsers (webm, ogg) and programs send them."""
    pcm = speech(2.0) + silence(2.0)
    if name in ("wav", "mp3", "flac", "aac"):
        return encode(pcm, RATE, Format(name, RATE))
    written = io.BytesIO()
    options = {"live": "1", "cluster_time_limit": "100"} if name == "webm" else {"page_duration": "100000"}
    with av.open(written, "w", format=name, options=options) as output:
        stream = output.add_stream("libopus", rate=48_000)
        stream.layout = "mono"
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=48_000, frame_size=960)
        output.start_encoding()
        frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2").reshape(1, -1), "s16", "mono")
        frame.sample_rate = RATE
        for made in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(made))
        output.mux(stream.encode(None))
    return written.getvalue()


def pieces(data: bytes, size: int = 400) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def finals(told: Told) -> list[str]:
    results = [message for message in told if message["type"] == "Results" and message["is_final"]]
    return [str(result["channel"]["alternatives"][0]["transcript"]) for result in results]


def threads() -> int:
    return sum(thread.name == "container" for thread in threading.enumerate())


async def no_threads() -> None:
    async with asyncio.timeout(10):
        while threads():  # noqa: ASYNC110 - threads have no event for it
            await asyncio.sleep(0.01)


@pytest.fixture
async def server(emulator: Callable) -> Emulator:
    return await emulator(DEEPGRAM, ears=SaidEars(LINE, "And in Rome?"))


@pytest.mark.parametrize("name", ["ogg", "webm", "wav", "mp3", "flac", "aac"])
async def test_whole(server: Emulator, name: str) -> None:
    told, code = await converse(server.url + LISTEN, KEY, [*pieces(contained(name)), {"type": "CloseStream"}])
    assert finals(told) == [LINE] and code == 1000
    assert told[-1]["duration"] == pytest.approx(4.0, abs=0.1)
    await no_threads()


@pytest.mark.parametrize("name", ["ogg", "webm", "wav"])
@pytest.mark.parametrize("path", [LISTEN, "/v2/listen?model=flux-general-en"])
async def test_while_it_arrives(server: Emulator, name: str, path: str) -> None:
    """Nothing says that the stream is over, and yet what was said comes back."""
    async with asyncio.timeout(10), aiohttp.ClientSession(headers=KEY) as session:
        ws = await session.ws_connect(server.url + path)
        for piece in pieces(contained(name)):
            await ws.send_bytes(piece)
        text = ""
        while not text.endswith("Paris?"):
            told = await ws.receive_json()
            text = str(
                told["channel"]["alternatives"][0]["transcript"] if "channel" in told else told.get("transcript")
            )
        await ws.close()
    await no_threads()


async def test_finalize_takes_all_that_came_before_it(server: Emulator) -> None:
    data = contained("webm")
    half = pieces(data[: len(data) // 3])
    told, _ = await converse(server.url + LISTEN, KEY, [*half, {"type": "Finalize"}], until="Results")
    assert finals(told) == [LINE] and told[-1]["from_finalize"]
    pcm, rate = decode(b"".join(half))
    assert told[-1]["duration"] == pytest.approx(len(pcm) / 2 / rate, abs=0.1)
    await no_threads()


@pytest.mark.parametrize("encoding", ["opus", "ogg-opus", "flac"])
async def test_encodings_that_come_in_containers(server: Emulator, encoding: str) -> None:
    data = contained("flac" if encoding == "flac" else "ogg")
    url = f"{server.url}{LISTEN}&encoding={encoding}&sample_rate=48000"
    told, _ = await converse(url, KEY, [data, {"type": "CloseStream"}])
    assert finals(told) == [LINE]


@pytest.mark.parametrize("data", [b"not sound at all. " * 5000, speech(5.0), b"OggS" + bytes(50_000), b"x"])
async def test_what_is_no_sound(server: Emulator, data: bytes) -> None:
    told, code = await converse(server.url + LISTEN, KEY, [*pieces(data, 5000), {"type": "CloseStream"}])
    assert [(message["type"], message["variant"]) for message in told] == [("Error", "DATA-0000")] and code == 1008
    await no_threads()


async def test_long_silence_in_a_few_bytes_is_heard_little_by_little(server: Emulator) -> None:
    """The decoder waits for the listener, also where the client goes away meanwhile."""
    data = encode(silence(120, 8_000), 8_000, Format("flac", 8_000))
    async with aiohttp.ClientSession(headers=KEY) as session:
        ws = await session.ws_connect(server.url + LISTEN)
        await ws.send_bytes(data)
        ws._response.connection.transport.abort()
    await no_threads()
    told, code = await converse(server.url + LISTEN, KEY, [data, {"type": "CloseStream"}])
    assert told[-1]["duration"] == pytest.approx(120, abs=1) and code == 1000


async def test_a_stream_without_sound(server: Emulator) -> None:
    told, code = await converse(server.url + LISTEN, KEY, [{"type": "Finalize"}, {"type": "CloseStream"}])
    assert [message["type"] for message in told] == ["Results", "Metadata"] and code == 1000


async def test_one_that_breaks_off_leaves_nothing_behind(server: Emulator) -> None:
    data = contained("webm")
    async with aiohttp.ClientSession(headers=KEY) as session:
        for size in (1, 100, 3000, len(data) - 1):
            ws = await session.ws_connect(server.url + LISTEN)
            await ws.send_bytes(data[:size])
            await ws.send_json({"type": "KeepAlive"})
            ws._response.connection.transport.abort()
    async with asyncio.timeout(10):
        while server.connections:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
    await no_threads()
