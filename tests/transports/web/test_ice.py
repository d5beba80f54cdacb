"""STUN and TURN servers as options name them, and which addresses are offered."""

from __future__ import annotations

import aioice.ice
import pytest

from story.core.errors import ConfigError
from story.transports.web.ice import Ice, IceServer, ice_servers


def test_none_by_default() -> None:
    assert ice_servers((), ()) == () and Ice().servers == ()


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


@pytest.mark.parametrize("stun", ["", "stun:", "ann:secret@stun.example.org", "a host", "host:port", "host\n:1"])
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
