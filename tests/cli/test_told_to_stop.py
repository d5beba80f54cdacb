"""Signals to a server, and what its user is told of the ways into its rooms."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from story.orders import Orders
from story.serving_log import Log


@pytest.fixture
def hangup() -> Iterator[None]:
    """SIGHUP as it is by default, whatever these tests were started by."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
async def test_the_first_signal_stops_and_the_second_hurries(name: str, hangup: None) -> None:
    orders = Orders()
    with orders.by_signal():
        signal.raise_signal(getattr(signal, name))
        await orders.stop.wait()
        assert not orders.hurry.is_set()
        signal.raise_signal(getattr(signal, name))
        await orders.hurry.wait()


async def test_a_terminal_that_is_closed_stops_nothing_under_nohup(hangup: None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    orders = Orders()
    with orders.by_signal():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        await orders.stop.wait()
        assert not orders.hurry.is_set()


@pytest.mark.parametrize("agent, command", [
    ("story", "story token --room lobby --identity me, for"),
    ("my agent", "story token --room lobby --identity me --agent-name 'my agent', for"),
    ("", "story token --room lobby --identity me --agent-name '', for"),
])  # fmt: skip
def test_without_a_page_the_token_is_for_its_own_agent(
    agent: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Log(as_json=False).no_page(agent, wanted=False)
    assert command in capsys.readouterr().out
    Log(as_json=True).no_page(agent, wanted=True)
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("--open: there is no page here")


@pytest.mark.parametrize("secret", ["random", None])
def test_a_server_of_its_own_is_told_with_the_secret_that_nobody_else_knows(
    secret: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {"url": "ws://127.0.0.1:7880", "key": "devkey"}
    Log(as_json=True).dev_server(**named, secret=secret)
    told = json.loads(capsys.readouterr().out)
    assert told == {"type": "dev_server", **named, **({"secret": secret} if secret else {})}
    Log(as_json=False).dev_server(**named, secret=secret)
    plain = capsys.readouterr().out
    assert ("LIVEKIT_API_SECRET=random" in plain) == (secret is not None) == bool(plain)
