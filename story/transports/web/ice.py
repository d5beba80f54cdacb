"""How the two ends of a WebRTC call find each other."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from story.core.errors import ConfigError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class IceServer:
    """A STUN or TURN server. url: as in stun:host:port, turn:host:port?transport=tcp."""

    url: str
    username: str | None = None
    credential: str | None = field(default=None, repr=False)

    def as_dict(self) -> dict[str, object]:
        """As a browser's RTCPeerConnection takes it."""
        named = {"username": self.username, "credential": self.credential}
        return {"urls": [self.url], **{name: value for name, value in named.items() if value is not None}}


@dataclass(frozen=True)
class Ice:
    """servers: what helps to find a way, none by default. addresses: where callers' sound may come in; none given
    means every address of this machine, the loopback one included.

    Raises:
        ConfigError: one is no address.
    """

    servers: tuple[IceServer, ...] = ()
    addresses: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for address in self.addresses:
            try:
                ipaddress.ip_address(address)
            except ValueError:
                raise ConfigError(
                    f"--ice-address {address!r}: write an address of this machine, as in --ice-address 192.168.1.20"
                ) from None

    def restrict_addresses(self) -> None:
        """Have aioice offer `addresses`, in the whole process: it takes them from a function of its own."""
        import aioice.ice

        offered, every = self.addresses, _every_address()

        def get_host_addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
            return list(offered) if offered else [LOOPBACK, *every(use_ipv4=use_ipv4, use_ipv6=use_ipv6)]

        aioice.ice.get_host_addresses = get_host_addresses


@cache
def _every_address() -> Callable[..., list[str]]:
    """aioice's own function, before it was replaced. It leaves the loopback address out."""
    import aioice.ice

    return aioice.ice.get_host_addresses


def ice_servers(stun: Sequence[str], turn: Sequence[str]) -> tuple[IceServer, ...]:
    """Servers from `stun:HOST[:PORT]` and `turn:USER:PASSWORD@HOST[:PORT]`; the scheme may be left out.

    Raises:
        ConfigError: one can't be read; without its password.
    """
    servers = []
    for text in stun:
        scheme, host = _scheme(text, ("stun", "stuns"))
        if "@" in host or "?" in host or not _is_host(host):
            raise ConfigError(
                f"--stun {host.rpartition('@')[2]!r}: write HOST:PORT, as in --stun stun.example.org:3478"
            )
        servers.append(IceServer(f"{scheme}:{host}"))
    for text in turn:
        scheme, rest = _scheme(text, ("turn", "turns"))
        login, at, host = rest.rpartition("@")
        username, colon, credential = login.partition(":")
        if not (at and colon and username and credential and _is_host(host)):
            raise ConfigError("--turn: write USER:PASSWORD@HOST:PORT, as in --turn ann:secret@turn.example.org:3478")
        servers.append(IceServer(f"{scheme}:{host}", username, credential))
    return tuple(servers)


def _scheme(text: str, known: tuple[str, str]) -> tuple[str, str]:
    scheme, colon, rest = text.partition(":")
    return (scheme, rest) if colon and scheme in known else (known[0], text)


def _is_host(host: str) -> bool:
    return bool(re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[\w.-]+)(:\d{1,5})?(\?transport=(udp|tcp))?", host))
