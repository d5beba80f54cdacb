"""Callers who drop out of their room: for a while the call waits for them."""

from __future__ import annotations

import asyncio

import pytest

from story.transports.livekit.room import GRACE_SECONDS
from story.transports.livekit.server_access import LiveKitServer
from tests.transports.livekit.caller import calling
from tests.transports.livekit.running import StoryRun

pytestmark = [pytest.mark.livekit, pytest.mark.slow, pytest.mark.long]


async def test_one_who_comes_back_goes_on_with_the_call_and_one_who_does_not_ends_it(
    server: LiveKitServer, run: StoryRun, room: str
) -> None:
    async with calling(server, f"{room}-1", "one") as one, calling(server, f"{room}-2", "two") as two:
        for caller in (one, two):
            await caller.until_asked(1)
        first, second = (caller.of("call_started")[0]["call"] for caller in (one, two))
        for caller in (one, two):
            await caller.remove()
        async with calling(server, one.name, one.identity, agent=None) as again:
            ended = await asyncio.to_thread(run.until, "call_ended", call=second)
            assert ended["reason"] == "lost" and ended["duration"] > GRACE_SECONDS
            await again.say("maria/turn1.wav")
            await again.until(lambda: again.of("handoff"))
            assert {event["call"] for event in again.events} == {first}
            await again.until(lambda: again.heard)
    assert (await asyncio.to_thread(run.until, "call_ended", call=first))["reason"] == "caller_left"
    assert len(run.of("call_started")) == 2
