"""STUN and TURN servers as options name them, and which addresses are offered."""

from __future__ import annotations

import asyncio

import aiohttp
import aioice.ice
import pytest
from aioice import stun

from story.core.errors import ConfigError
from story.transports.web.ice import Ice, IceServer, ice_servers
from story.transports.web.peer import Peer
from tests.transports.web.client import Browser
from tests.transports.web.served import LOOPBACK, serving


class Nobody:
    """The ends of a call that nobody is in."""

    caller_rate, agent_rate = 16_000, 24_000


class StunServer(asyncio.DatagramProtocol):
    """Tells whoever asks that they are at 203.0.113.9."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        asked = stun.parse_message(data)
        where = {"XOR-MAPPED-ADDRESS": ("203.0.113.9", 5000)}
        answer = stun.Message(asked.message_method, stun.Class.RESPONSE, asked.transaction_id, where)
        self._transport.sendto(bytes(answer), address)


def test_none_by_default() -> None:
    assert ice_servers((), ()) == () and Ice().servers == ()


def asked(servers: tuple[IceServer, ...]) -> list[tuple[object, object, object]]:
    """Which servers aiortc is told of."""
    configuration = Peer(Nobody(), Ice(servers))._connection._RTCPeerConnection__configuration  # type: ignore[arg-type, attr-defined]
    return [(server.urls, server.username, server.credential) for server in configuration.iceServers]


async def test_aiortc_asks_those_alone() -> None:
    assert asked(()) == [], "None would be a server of Google's"
    assert asked(ice_servers(["stun.example.org"], ["ann:secret@turn.example.org"])) == [
        ("stun:stun.example.org", None, None),
        ("turn:turn.example.org", "ann", "secret"),
    ]
    assert asked(ice_servers(["[2001:db8::1]:3478"], ())) == [], "which it can't read, and refuses every offer over"


async def test_a_stun_server_is_asked_and_its_answer_offered() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(StunServer, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    ice = Ice(ice_servers([f"127.0.0.1:{port}"], ()), LOOPBACK.addresses)
    browser = Browser("")
    async with (
        serving(ice=ice) as served,
        aiohttp.ClientSession(served.url) as http,
        http.post("/api/calls", json=await browser._offered()) as answer,
    ):
        assert answer.status == 201
        assert "203.0.113.9" in (await answer.json())["answer"]["sdp"]
    await browser.aclose()
    transport.close()


@pytest.mark.parametrize(
    ("stun", "url"),
    [
        ("stun.example.org", "stun:stun.example.org"),
        ("stun.example.org:3478", "stun:stun.example.org:3478"),
        ("stun:stun.example.org:3478", "stun:stun.example.org:3478"),
        ("stuns:stun.example.org", "stuns:stun.example.org"),
        ("[2001:db8::1]:3478", "stun:[2001:db8::1]:3478"),
    ],
)
def test_stun(stun: str, url: str) -> None:
    assert ice_servers([stun], ()) == (IceServer(url),)
    assert ice_servers([stun], ())[0].as_dict() == {"urls": [url]}


@pytest.mark.parametrize(
    ("turn", "server"),
    [
        ("ann:secret@turn.example.org", IceServer("turn:turn.example.org", "ann", "secret")),
        ("turn:ann:se:cr@et@turn.example.org:3478", IceServer("turn:turn.example.org:3478", "ann", "se:cr@et")),
        ("turns:a:b@t.example.org?transport=tcp", IceServer("turns:t.example.org?transport=tcp", "a", "b")),
    ],
)
def test_turn(turn: str, server: IceServer) -> None:
    assert ice_servers((), [turn]) == (server,)
    assert server.as_dict() == {"urls": [server.url], "username": server.username, "credential": server.credential}
    assert str(server.credential) not in repr(server).replace(server.url, "").replace(f"{server.username!r}", "")


@pytest.mark.parametrize(
    "stun",
    ["", "stun:", "stun.example.org?transport=udp", "ann:secret@stun.example.org", "a host", "host:port", "host\n:1"],
)
def test_bad_stun(stun: str) -> None:
    with pytest.raises(ConfigError, match="--stun"):
        ice_servers([stun], ())


@pytest.mark.parametrize(
    "turn", ["", "turn.example.org", "ann@turn.example.org", "ann:hush@", "ann:hush@a host", ":hush@turn.example.org"]
)
def test_bad_turn_is_refused_without_its_password(turn: str) -> None:
    with pytest.raises(ConfigError, match="--turn") as raised:
        ice_servers((), [turn])
    assert "hush" not in str(raised.value)


def test_a_mistaken_stun_does_not_tell_a_password() -> None:
    with pytest.raises(ConfigError) as raised:
        ice_servers(["ann:hush@stun.example.org"], ())
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("address", ["", "here", "127.0.0.1:80", "10.0.0.0/8"])
def test_addresses_are_addresses(address: str) -> None:
    with pytest.raises(ConfigError, match="--ice-address"):
        Ice(addresses=(address,))


def test_the_addresses_that_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aioice.ice, "get_host_addresses", aioice.ice.get_host_addresses)
    Ice(addresses=("127.0.0.1",)).restrict_addresses()
    assert aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True) == ["127.0.0.1"]
    Ice().restrict_addresses()
    offered = aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True)
    assert offered[0] == "127.0.0.1" and len(offered) == len(set(offered))
    Ice().restrict_addresses()
    assert aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True) == offered
