"""The caller at a page, whatever happens to its connection and in whichever order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from story.core import events
from story.transports.sound import Samples
from story.transports.web import page_caller
from story.transports.web.page_caller import MESSAGES_AT_ONCE, SOUND_AT_ONCE, PageCaller


class FakeCarrier:
    """A connection that remembers what went over it."""

    name = "fake"

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.unsent: list[dict[str, Any]] = []
        self.cleared = self.closed = 0
        self.may_close = asyncio.Event()
        self.may_close.set()

    def send(self, message: Mapping[str, object]) -> None:
        self.sent.append(dict(message))

    def recall(self) -> list[dict[str, Any]]:
        return self.unsent

    def clear(self) -> None:
        self.cleared += 1

    async def aclose(self) -> None:
        self.closed += 1
        await self.may_close.wait()


class FakeCall:
    """As much of a call as a caller uses."""

    id = "call_1"

    def __init__(self) -> None:
        self.said: list[str] = []
        self.interrupted = 0
        self.hung_up: list[str] = []
        self.finished: list[str] = []
        self.held: list[bool] = []
        self.observer: Any = None

    def subscribe(self, observer: object) -> None:
        self.observer = observer

    def say(self, text: str) -> None:
        self.said.append(text)

    def interrupt(self) -> None:
        self.interrupted += 1

    def hang_up(self, reason: str) -> None:
        self.hung_up.append(reason)

    def finish(self, goodbye: str, *, reason: str, closing: str | None) -> None:
        self.finished.append(reason)

    def hold_silence(self, held: bool) -> None:
        self.held.append(held)


class FakeSound:
    def __init__(self) -> None:
        self.heard = 0

    def pull(self, count: int) -> Samples:
        return np.ones(count, np.int16)

    def push(self, samples: Samples) -> None:
        self.heard += len(samples)


@pytest.fixture
async def caller() -> PageCaller:
    return PageCaller()


def joined(caller: PageCaller) -> tuple[FakeCall, FakeSound]:
    call, sound = FakeCall(), FakeSound()
    caller.join(call, sound)  # type: ignore[arg-type]
    return call, sound


def says(caller: PageCaller, type_: str, **fields: object) -> None:
    caller.message(json.dumps({"type": type_, **fields}))


def ended(reason: str) -> events.CallEnded:
    return events.CallEnded(call="call_1", t=1, reason=reason, data={}, usage={}, duration=1)


async def test_what_the_page_says_is_done(caller: PageCaller) -> None:
    carrier = FakeCarrier()
    caller.use(carrier)
    call, _ = joined(caller)
    says(caller, "say", text=" Hello\nyou ")
    says(caller, "say", text=" \x00 ")
    says(caller, "interrupt")
    says(caller, "ping", id=3)
    caller.message("nonsense")
    assert (call.said, call.interrupted, carrier.sent) == (["Hello you"], 1, [{"type": "pong", "id": 3}])
    says(caller, "hang_up")
    assert call.hung_up == ["caller_left"]


async def test_silence_means_nothing_while_the_caller_types_is_muted_or_lost(caller: PageCaller) -> None:
    caller.connected()
    call, _ = joined(caller)
    for message in (("typing", {"active": True}), ("mute", {"muted": True}), ("typing", {"active": False})):
        says(caller, message[0], **message[1])
        assert call.held[-1]
    says(caller, "mute", muted=False)
    assert not call.held[-1]
    says(caller, "typing", active=True)
    caller.lost("test")
    assert call.held[-1]
    caller.connected()
    assert not call.held[-1], "what was being typed is told anew by the page"


async def test_what_is_typed_before_the_call_has_begun_is_said_then(caller: PageCaller) -> None:
    says(caller, "say", text="One")
    says(caller, "interrupt")
    says(caller, "say", text="Two")
    call, _ = joined(caller)
    assert call.said == ["One", "Two"]


async def test_who_says_too_much_is_let_go_once(caller: PageCaller, caplog: pytest.LogCaptureFixture) -> None:
    call, _ = joined(caller)
    for _ in range(MESSAGES_AT_ONCE * 2):
        says(caller, "interrupt")
    assert call.interrupted <= MESSAGES_AT_ONCE + 10 and call.hung_up == ["lost"]
    assert caplog.text.count("too much") == 1


async def test_nonsense_reaches_the_log_in_one_escaped_line(
    caller: PageCaller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    caller.message("evil\r\n\x1b[31m" + "x" * 1000)
    (line,) = caplog.messages
    assert line.isprintable() and len(line) < 150


async def test_more_sound_than_time_allows_is_dropped(caller: PageCaller) -> None:
    _, sound = joined(caller)
    second = np.zeros(caller.caller_rate, np.int16)
    for _ in range(100):
        caller.push(second)
    assert sound.heard <= (SOUND_AT_ONCE + 5) * caller.caller_rate


async def test_before_and_after_the_call_there_is_silence(caller: PageCaller) -> None:
    caller.push(np.ones(320, np.int16))
    assert not caller.pull(480).any()
    _, sound = joined(caller)
    assert caller.pull(480).all() and sound.heard == 0
    caller.leave()
    caller.push(np.ones(320, np.int16))
    assert not caller.pull(480).any() and sound.heard == 0


async def test_a_page_that_was_never_there_is_not_waited_for(caller: PageCaller) -> None:
    call, _ = joined(caller)
    caller.lost("it did not connect")
    assert call.hung_up == ["lost"]


async def test_a_lost_page_is_waited_for_and_then_given_up(caller: PageCaller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_caller, "GRACE_SECONDS", 0.01)
    caller.connected()
    call, sound = joined(caller)
    caller.lost("test")
    caller.lost("test")
    assert call.hung_up == [] and sound.heard > 0, "the caller has fallen silent"
    await caller.while_there(asyncio.Event().wait())
    assert call.hung_up == ["lost"] and caller.left == "lost"


async def test_a_page_that_is_found_again_is_told_so(caller: PageCaller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_caller, "GRACE_SECONDS", 0.01)
    first, second = FakeCarrier(), FakeCarrier()
    caller.use(first)
    caller.connected()
    call, _ = joined(caller)
    assert first.sent == []
    caller.lost("test")
    assert caller.use(second)
    caller.connected()
    assert second.sent == [{"type": "resumed"}]
    await asyncio.sleep(0.03)
    assert call.hung_up == [], "and nobody waits for it any more"


async def test_a_page_that_came_back_before_it_was_missed_is_told_so_too(caller: PageCaller) -> None:
    caller.use(FakeCarrier())
    caller.connected()
    carrier = FakeCarrier()
    caller.use(carrier)
    caller.connected()
    assert carrier.sent == [{"type": "resumed"}]


async def test_what_a_connection_could_not_send_the_next_one_sends(caller: PageCaller) -> None:
    first, second = FakeCarrier(), FakeCarrier()
    first.unsent = [{"type": "call_started"}, {"type": "state"}]
    for carrier in (first, second):
        caller.use(carrier)
    caller.send({"type": "partial"})
    assert [message["type"] for message in second.sent] == ["call_started", "state", "partial"]


async def test_the_connection_before_is_closed_without_being_waited_for(caller: PageCaller) -> None:
    first, second, third = FakeCarrier(), FakeCarrier(), FakeCarrier()
    first.may_close.clear()
    for carrier in (first, second, third):
        caller.use(carrier)
    caller.send({"type": "hello"})
    assert (first.sent, second.sent, third.sent) == ([], [], [{"type": "hello"}])
    closing = asyncio.create_task(caller.aclose())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not closing.done()
    first.may_close.set()
    await closing
    assert [carrier.closed for carrier in (first, second, third)] == [1, 1, 1]
    await caller.aclose()
    assert [carrier.closed for carrier in (first, second, third)] == [1, 1, 1]


async def test_a_connection_that_comes_when_the_call_is_over_is_closed(caller: PageCaller) -> None:
    joined(caller)
    await caller.aclose()
    carrier = FakeCarrier()
    assert not caller.use(carrier)
    await caller.aclose()
    assert carrier.closed == 1
    caller.connected()
    caller.send({"type": "hello"})
    assert carrier.sent == []


async def test_a_connection_that_does_not_close_well_hurts_nobody(
    caller: PageCaller, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(FakeCarrier):
        async def aclose(self) -> None:
            raise OSError("broken")

    caller.use(Broken())
    await caller.aclose()
    assert "did not close" in caplog.text


async def test_a_page_that_goes_when_the_call_has_ended_is_not_lost(caller: PageCaller) -> None:
    carrier = FakeCarrier()
    caller.use(carrier)
    caller.connected()
    call, _ = joined(caller)
    call.observer(ended("finished"))
    assert carrier.sent[-1]["type"] == "call_ended" and caller.left == "finished"
    caller.lost("it closed its connection")
    says(caller, "say", text="Hello?")
    assert call.hung_up == [] and call.said == []


async def test_who_left_before_the_call_began_is_not_in_it(caller: PageCaller) -> None:
    caller.part()
    call, _ = joined(caller)
    assert call.hung_up == ["shutdown"]


async def test_a_call_that_is_to_end_says_goodbye(caller: PageCaller) -> None:
    call, _ = joined(caller)
    caller.part()
    assert call.finished == ["shutdown"] and call.hung_up == []
