"""Offers from outside: only one call's sound and messages are answered, and nothing else leaves anything behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import re
import threading
from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from story.transports.web.house import Guest
from story.transports.web.peer import MAX_CANDIDATES
from tests.transports.web.client import Browser, Microphone
from tests.transports.web.served import LOOPBACK, Served, serving

HOSTS = ("%s%d", "{0}", "evil.example", "evil.example.local", "evil_.local", ".local", "::1%evil", "a" * 300)
"""What no browser calls itself."""


async def waiting(guest: Guest, stacks: Mapping[str, str]) -> None:
    await guest.caller.while_there(asyncio.Event().wait())


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving(waiting) as made:
        yield made


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def offered(*, audio: int = 1, video: int = 0, channel: bool = True) -> str:
    """An offer as aiortc makes it."""
    LOOPBACK.restrict_addresses()
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for _ in range(audio):
        connection.addTrack(Microphone())
    for _ in range(video):
        connection.addTransceiver("video")
    if channel:
        connection.createDataChannel("story")
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp
    await connection.close()
    return sdp


async def post(http: aiohttp.ClientSession, served: Served, sdp: str) -> tuple[int, str]:
    async with http.post(f"{served.url}/api/calls", json={"offer": {"type": "offer", "sdp": sdp}}) as answer:
        body = await answer.json()
        return answer.status, body.get("error", "")


@pytest.mark.parametrize(
    "shape",
    [
        {"audio": 0},
        {"channel": False},
        {"audio": 2},
        {"video": 1},
        {"audio": 0, "video": 1},
    ],
)
async def test_an_offer_of_something_else(served: Served, http: aiohttp.ClientSession, shape: dict[str, int]) -> None:
    status, error = await post(http, served, await offered(**shape))  # type: ignore[arg-type]
    assert status == 400 and "one audio section and one data channel" in error
    assert served.house.active == 0


async def test_an_offer_without_opus(served: Served, http: aiohttp.ClientSession) -> None:
    sdp = await offered()
    sdp = re.sub(r"m=audio (\d+) (\S+) .*", r"m=audio \1 \2 0 8", sdp)
    sdp = re.sub(r"a=(rtpmap|rtcp-fb|fmtp):(?!0 |8 ).*\r\n", "", sdp)
    assert "opus" not in sdp and "PCMU" in sdp
    assert (await post(http, served, sdp))[0] == 400


async def test_the_answer_is_opus_alone(served: Served, http: aiohttp.ClientSession) -> None:
    async with http.post(
        f"{served.url}/api/calls", json={"offer": {"type": "offer", "sdp": await offered()}}
    ) as answer:
        assert answer.status == 201
        sdp = (await answer.json())["answer"]["sdp"]
    assert re.findall(r"a=rtpmap:\d+ (\S+)", sdp) == ["opus/48000/2"]
    assert set(re.findall(r"a=candidate:\S+ \d \S+ \d+ (\S+)", sdp)) == {"127.0.0.1"}


async def test_too_many_candidates(served: Served, http: aiohttp.ClientSession) -> None:
    candidate = "a=candidate:1 1 udp 2130706431 00000000-0000-0000-0000-000000000000.local 5000 typ host\r\n"
    sdp = (await offered()).replace("a=end-of-candidates\r\n", candidate * (MAX_CANDIDATES + 1), 1)
    status, error = await post(http, served, sdp)
    assert status == 400 and "candidates" in error


@pytest.mark.parametrize("host", HOSTS)
async def test_candidates_are_addresses(
    served: Served, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture, host: str
) -> None:
    caplog.set_level(logging.INFO)
    sdp = re.sub(r"(a=candidate:\S+ \d \S+ \d+) 127.0.0.1", lambda found: f"{found[1]} {host}", await offered())
    status, error = await post(http, served, sdp)
    assert status == 400 and "IP addresses" in error
    assert host not in caplog.text


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "192.0.2.1", "2001:db8::1", "5f0f1a5c-0b5d-4d0e-9d6f-0123456789ab.local"]
)
async def test_addresses_of_every_kind(served: Served, http: aiohttp.ClientSession, host: str) -> None:
    sdp = re.sub(r"(a=candidate:\S+ \d \S+ \d+) 127.0.0.1", lambda found: f"{found[1]} {host}", await offered())
    assert (await post(http, served, sdp))[0] == 201


@pytest.mark.parametrize("text", ["\x1b[31m", "\x07", "\u202e", "\x85", "\u2028", "\x00", "\r"])
async def test_an_offer_is_text(served: Served, http: aiohttp.ClientSession, text: str) -> None:
    status, error = await post(http, served, (await offered()).replace("a=mid:0", f"a=mid:0{text}"))
    assert status == 400 and "lines of text" in error


def mangled(sdp: str, rng: random.Random) -> str:
    """An offer with a few of its lines dropped, doubled, swapped, cut or overwritten."""
    lines = sdp.splitlines()
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(lines))
        match rng.randrange(8):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[at])
            case 2:
                other = rng.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
            case 4:
                lines[at] = re.sub(r"\d+", lambda _: str(rng.choice((-1, 0, 65_536, 10**12))), lines[at], count=2)
            case 5:
                lines[at] = "".join(chr(rng.randrange(1, 0x2FFF)) for _ in range(rng.randrange(40)))
            case 6:
                lines[at] = "".join(chr(rng.randrange(32, 127)) for _ in range(rng.randrange(40)))
            case 7:
                lines[at] = re.sub(r"\d+(\.\d+){3}", lambda _: rng.choice(HOSTS), lines[at])
        if not lines:
            break
    return "\r\n".join(lines) + "\r\n"


class Held:
    """What a process holds on to."""

    def __init__(self) -> None:
        gc.collect()
        self.threads = {thread.name for thread in threading.enumerate()}
        self.tasks = set(asyncio.all_tasks())
        self.files = len(os.listdir("/proc/self/fd"))


@pytest.mark.slow
async def test_a_hundred_malformed_offers_leave_nothing_behind(
    served: Served, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    good = await offered()
    rng = random.Random(7)
    unanswerable = ["", "v=0", "\0" * 1000, good[:200]]
    unanswerable += [good.replace(line, "") for line in ("a=fingerprint", "a=ice-", "a=group", "a=mid", "m=audio")]
    assert (await post(http, served, unanswerable[0]))[0] == 400
    before = Held()
    statuses = []
    for sdp in (*unanswerable, *(mangled(good, rng) for _ in range(100))):
        statuses.append((await post(http, served, sdp))[0])
        for guest in list(served.house._guests.values()):  # some are still offers, and their pages never connect
            guest.caller.hang_up("lost")
        await served.until_empty()
    assert set(statuses) <= {201, 400}
    assert statuses.count(400) > 50
    async with asyncio.timeout(20):
        while left := {task for task in asyncio.all_tasks() - before.tasks if task is not asyncio.current_task()}:
            await asyncio.wait(left, timeout=1)
    after = Held()
    assert after.threads - before.threads == set()
    assert after.files <= before.files + 1
    assert "never retrieved" not in caplog.text
    told = [record.getMessage() for record in caplog.records]
    assert told and all(message.isprintable() for message in told)


async def test_a_page_that_never_connects_frees_its_place(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("story.transports.web.peer.CONNECT_SECONDS", 0.05)
    async with serving(waiting, max_calls=1) as served:
        for _ in range(2):
            assert (await post(http, served, await offered()))[0] == 201
            await served.until_empty()


async def test_an_offer_that_takes_a_call_up_again_has_to_be_one(served: Served, http: aiohttp.ClientSession) -> None:
    browser = Browser(served.url)
    await browser.call(http)
    url = f"{served.url}/api/calls/{browser.ticket['call']}/offer"
    for offer in (None, {}, {"type": "offer", "sdp": "v=0"}, {"type": "answer", "sdp": await offered()}):
        async with http.post(url, json={"secret": browser.ticket["secret"], "offer": offer}) as answer:
            assert answer.status == 400
    assert served.house.active == 1
    browser.send(type="ping", id=1)
    assert (await browser.until("pong"))["id"] == 1, "and the connection that there is goes on"
    await browser.aclose()
