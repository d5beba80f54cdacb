"""Calls in rooms of a real LiveKit server, on emulated vendors; the callers are on LiveKit's own client."""

from __future__ import annotations

import asyncio
import json

import pytest
from livekit import rtc

from story.transports.livekit.server_access import LiveKitServer
from tests.transports.livekit.caller import Caller, calling
from tests.transports.livekit.running import StoryRun, room_gone

pytestmark = [pytest.mark.livekit, pytest.mark.slow]


async def test_a_typed_call_from_the_greeting_to_the_end_of_the_room(
    server: LiveKitServer, run: StoryRun, room: str
) -> None:
    async with calling(server, room) as caller:
        await caller.until(lambda: caller.heard)
        await caller.until_asked(1)
        assert caller.of("call_started")[0]["transport"] == "livekit"
        agent = caller.agent
        assert agent is not None and agent.name == "Echo"
        await caller.until(lambda: agent.attributes.get("lk.agent.state") == "listening")
        seen = dict(agent.attributes)
        assert seen["lk.agent.name"] == "story"
        assert (seen["story.persona"], seen["story.name"]) == ("intro", "Echo")
        assert seen["story.stack"] == caller.of("call_started")[0]["stacks"]["intro"]
        await caller.type("I am Maria from Lisbon.")
        await caller.until(lambda: caller.of("handoff"))
        await caller.until(lambda: agent.attributes.get("story.persona") == "story")
        await caller.until_asked(len(caller.of("agent_turn")) + 1)
        await caller.type("Goodbye!")
        await caller.until(lambda: caller.disconnected)
        assert caller.disconnected == "ROOM_DELETED"
        ended = caller.of("call_ended")[0]
        assert ended["reason"] == "finished"
        assert ended["data"] == {"name": "Maria", "location": "Lisbon"}
    assert await asyncio.to_thread(run.until, "call_ended", call=ended["call"]) == ended
    await room_gone(server, room)


@pytest.mark.long
async def test_a_caller_who_leaves_ends_the_call_and_two_can_talk_at_once(
    server: LiveKitServer, run: StoryRun, room: str
) -> None:
    async with calling(server, f"{room}-1", "one") as one, calling(server, f"{room}-2", "two") as two:
        for caller in (one, two):
            await caller.until(
                lambda caller=caller: caller.of("state") and caller.of("state")[-1]["agent"] == "speaking"
            )
        call = one.of("call_started")[0]["call"]
        assert call != two.of("call_started")[0]["call"]
        await one.leave()
        ended = await asyncio.to_thread(run.until, "call_ended", call=call)
        assert ended["reason"] == "caller_left"
        await two.until_asked(1)
        assert not two.of("call_ended")


@pytest.mark.long
async def test_a_caller_on_the_telephone_is_greeted_like_any_other(
    server: LiveKitServer, run: StoryRun, room: str
) -> None:
    """With what LiveKit's SIP service says of a call, and keys that they press."""
    told = {"sip.phoneNumber": "+15550100", "sip.trunkPhoneNumber": "+15550199", "sip.callID": "SCL_1"}
    told |= {"sip.callStatus": "active", "sip.trunkID": "ST_1", "sip.ruleID": "SDR_1"}
    async with calling(server, room, kind="sip", attributes=told) as caller:
        assert caller.room.local_participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
        await caller.until(lambda: caller.heard)
        await caller.until_asked(1)
        for code, digit in ((1, "1"), (11, "#")):
            await caller.room.local_participant.publish_dtmf(code=code, digit=digit)
        await caller.say("maria/turn1.wav")
        await caller.until(lambda: caller.of("handoff"))
        assert caller.of("error") == []


@pytest.mark.parametrize("metadata, told", [
    ("{", "the job's metadata is no JSON"),
    (json.dumps({"chain": "storiteller"}), "unknown chain 'storiteller' (did you mean storyteller?)"),
    (json.dumps({"stacks": {"intro": "deepgram+gpt4o-mimi"}}), "unknown model 'gpt4o-mimi' (did you mean gpt4o-mini"),
    (json.dumps({"stacks": {"outro": "local"}}), "has no persona 'outro'"),
    (json.dumps({"stacks": {"intro": "local"}}), "not what this worker was started for"),
], ids=["json", "chain", "model", "persona", "stack"])  # fmt: skip
async def test_an_order_that_makes_no_sense_is_refused_with_the_reason(
    server: LiveKitServer, run: StoryRun, room: str, metadata: str, told: str
) -> None:
    async with calling(server, room, metadata=metadata) as caller:
        await caller.until(lambda: caller.of("refused"))
        assert told in caller.of("refused")[0]["error"]
        await caller.until(lambda: caller.agent is None)
        assert not caller.of("call_started") and caller.disconnected is None


async def test_an_order_chooses_the_stacks_of_the_call(server: LiveKitServer, run: StoryRun, room: str) -> None:
    metadata = json.dumps({"chain": "storyteller", "stacks": {"intro": "openai-realtime:marin"}})
    async with calling(server, room, metadata=metadata) as caller:
        await caller.until(lambda: caller.of("call_started"))
        stacks = caller.of("call_started")[0]["stacks"]
        assert "marin" in stacks["intro"]
        await caller.until(lambda: caller.heard)


@pytest.mark.long
async def test_what_is_said_is_transcribed_as_livekits_clients_expect(
    server: LiveKitServer, run: StoryRun, room: str
) -> None:
    async with calling(server, room) as caller:
        await caller.until_asked(1)
        await caller.say("maria/turn1.wav")
        await caller.until(lambda: caller.of("handoff"))
        check_streams(caller)


def check_streams(caller: Caller) -> None:
    """One stream for each turn of the agent's, its words as they are heard; one for each guess at the caller's."""
    assert caller.agent is not None
    agent = [stream for stream in caller.streams if stream.who == caller.agent.identity]
    theirs = [stream for stream in caller.streams if stream.who == caller.identity]
    greeting = agent[0]
    assert greeting.opened["lk.transcription_final"] == "false" and len(greeting.chunks) > 1
    assert greeting.closed is not None and greeting.closed["lk.transcription_final"] == "true"
    assert greeting.text.strip() == caller.of("agent_turn")[0]["text"]
    assert all(stream.opened["lk.segment_id"].startswith("SG_") for stream in caller.streams)
    assert all(stream.opened["lk.transcribed_track_id"].startswith("TR_") for stream in caller.streams)
    finals = [stream.text for stream in theirs if stream.opened["lk.transcription_final"] == "true"]
    assert " ".join(finals).strip() == caller.of("user_turn")[0]["text"]
    assert len({stream.opened["lk.segment_id"] for stream in theirs[:2]}) == 1
