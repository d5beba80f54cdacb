"""By which addresses a server is reached that listens on every one of this machine's."""

from __future__ import annotations

import ipaddress
import socket

ELSEWHERE = {4: "192.0.2.1", 6: "2001:db8::1"}
"""Addresses that nobody has (RFC 5737, RFC 3849)."""
LOOPBACK = {4: "127.0.0.1", 6: "::1"}


def address_here(host: str) -> str:
    """The one for a browser on this machine; `host` itself, unless that stands for every address."""
    return LOOPBACK[version] if (version := _every(host)) else host


def address_for_others(host: str) -> str:
    """The one that others know this machine by, as far as it can tell: what it would itself reach them from."""
    if not (version := _every(host)):
        return host
    with socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as way_out:
        try:
            way_out.connect((ELSEWHERE[version], 9))  # sends nothing
        except OSError:  # there is no way out
            return LOOPBACK[version]
        return str(way_out.getsockname()[0])


def _every(host: str) -> int:
    """4 or 6 where `host` stands for every address of that version, else 0."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return 0
    return address.version if address.is_unspecified else 0
