"""A caller who reads what the agent says, and subscribes to no sound."""

from __future__ import annotations

import pytest
from livekit import rtc

from story.transports.livekit.server_access import LiveKitServer
from tests.transports.livekit.caller import Caller
from tests.transports.livekit.running import StoryRun

pytestmark = [pytest.mark.livekit, pytest.mark.slow, pytest.mark.long]


async def test_a_caller_who_only_reads_has_a_call_as_well(server: LiveKitServer, run: StoryRun, room: str) -> None:
    caller = Caller(server, room)
    caller.room.on("data_received", caller._on_data)
    await caller.room.connect(server.url, caller.token(agent="story"), rtc.RoomOptions(auto_subscribe=False))
    try:
        await caller.until_asked(1)
        assert caller.of("call_started")
        await caller.type("I am Maria from Lisbon.")
        await caller.until(lambda: caller.of("handoff"))
    finally:
        await caller.leave()
