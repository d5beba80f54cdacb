"""Where a page is that is served on every address of this machine."""

from __future__ import annotations

import socket

import aiohttp
import psutil
import pytest

from story.transports.web.addresses import address_for_others, address_here
from tests.transports.web.served import serving


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "192.168.1.20", "story.example.org"])
def test_an_address_that_is_one_is_told_as_it_is(host: str) -> None:
    assert address_for_others(host) == address_here(host) == host


@pytest.mark.parametrize(("host", "here"), [("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_every_address_is_told_as_one_of_this_machine(host: str, here: str) -> None:
    own = {known.address.partition("%")[0] for each in psutil.net_if_addrs().values() for known in each}
    assert address_here(host) == here
    assert address_for_others(host) in own | {here}


def test_a_machine_without_a_way_out_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Offline(socket.socket):
        def connect(self, address: object) -> None:
            raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "socket", Offline)
    assert address_for_others("0.0.0.0") == "127.0.0.1"


async def test_both_lead_to_the_page() -> None:
    async with serving(host="0.0.0.0") as served, aiohttp.ClientSession() as http:
        for url in (served.server.url, served.server.url_here):
            assert "0.0.0.0" not in url
            async with http.get(url, allow_redirects=False) as answer:
                assert answer.status == 303, url
