"""What LiveKit's Agents Playground asks and is told, message by message (livekit's own client here)."""

from __future__ import annotations

from typing import Any

import pytest
from livekit.agents import __version__ as agents_version
from livekit.agents.voice.remote_session import RemoteSession
from livekit.protocol.agent_pb import agent_session as pb

from story.transports.livekit.page import CAPTIONS
from story.transports.livekit.server_access import LiveKitServer
from tests.transports.livekit.caller import Caller, calling
from tests.transports.livekit.running import StoryRun

pytestmark = [pytest.mark.livekit, pytest.mark.slow, pytest.mark.long]

EVENTS = (
    "agent_state_changed",
    "user_state_changed",
    "user_input_transcribed",
    "conversation_item_added",
    "function_tools_executed",
    "session_usage_updated",
)


class Playground:
    """Byte streams on lk.agent.session, as the Playground has them. told: the events, oldest first."""

    def __init__(self, caller: Caller) -> None:
        assert caller.agent is not None
        self.session = RemoteSession.from_room(caller.room, caller.agent.identity)
        self.told: list[tuple[str, Any]] = []
        for name in EVENTS:
            self.session.on(name, lambda event, name=name: self._add(caller, name, event))

    def _add(self, caller: Caller, name: str, event: pb.AgentSessionEvent) -> None:
        self.told.append((name, getattr(event, name)))
        caller._tell()

    def of(self, name: str) -> list[Any]:
        return [payload for known, payload in self.told if known == name]

    def said(self, role: pb.ChatRole) -> list[str]:
        """Texts of the messages that were added."""
        messages = [
            added.item.message for added in self.of("conversation_item_added") if added.item.HasField("message")
        ]
        return [message.content[0].text.strip() for message in messages if message.role == role]

    async def __aenter__(self) -> Playground:
        await self.session.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.aclose()


async def test_what_it_asks(server: LiveKitServer, run: StoryRun, room: str) -> None:
    async with calling(server, room) as caller:
        await caller.until_asked(1)
        async with Playground(caller) as playground:
            asked = playground.session
            info = await asked.get_agent_info()
            assert info.id == "intro" and list(info.tools) == ["information_gathered"] and "Echo" in info.instructions
            framework = await asked.get_framework_info()
            assert (framework.sdk, framework.sdk_version) == ("python", agents_version)
            state = await asked.get_session_state()
            assert (state.agent_state, state.agent_id) == (pb.AS_LISTENING, "intro")
            history = await asked.get_chat_history()
            greeting = caller.of("agent_turn")[0]["text"]
            (message,) = (item.message for item in history.items if item.HasField("message"))
            assert (message.role, message.content[0].text.strip()) == (pb.ASSISTANT, greeting)
            ran = await asked.run("Hello.")
            assert [item.message.role for item in ran.items if item.HasField("message")] == [pb.ASSISTANT]
        assert caller.of("user_turn")[0]["text"] == "Hello."
        assert caller.of("agent_turn")[-1]["text"] == ran.items[-1].message.content[0].text.strip()


async def test_what_it_is_told(server: LiveKitServer, run: StoryRun, room: str) -> None:
    """Of one spoken turn, in this order."""
    async with calling(server, room) as caller:
        await caller.until_asked(1)
        async with Playground(caller) as playground:
            await caller.say("maria/turn1.wav")
            await caller.until(lambda: caller.of("handoff"))
            await caller.until(
                lambda: pb.AS_SPEAKING in [event.new_state for event in playground.of("agent_state_changed")]
            )
            await caller.until(lambda: playground.of("session_usage_updated"))
        words = caller.of("user_turn")[0]["text"]
        users = [(event.old_state, event.new_state) for event in playground.of("user_state_changed")]
        assert users[:2] == [(pb.US_LISTENING, pb.US_SPEAKING), (pb.US_SPEAKING, pb.US_LISTENING)]
        agents = [(event.old_state, event.new_state) for event in playground.of("agent_state_changed")]
        thinks = agents.index((pb.AS_LISTENING, pb.AS_THINKING))
        assert pb.AS_SPEAKING in [new for _, new in agents[thinks:]]
        finals = [event.transcript for event in playground.of("user_input_transcribed") if event.is_final]
        assert " ".join(finals) == words == playground.said(pb.USER)[0]
        (executed,) = playground.of("function_tools_executed")
        (called,), (output,) = executed.function_calls, executed.function_call_outputs
        assert called.name == output.name == "information_gathered" and called.call_id == output.call_id
        assert '"Maria"' in called.arguments and not output.is_error
        names = [name for name, _ in playground.told]
        order = ("user_input_transcribed", "function_tools_executed")
        assert [names.index(name) for name in order] == sorted(names.index(name) for name in order)
        usage = playground.of("session_usage_updated")[-1].usage
        assert {model.WhichOneof("usage") for model in usage.model_usage} >= {"llm", "stt", "tts"}


async def test_a_caller_of_our_own_page_gets_none_of_it(server: LiveKitServer, run: StoryRun, room: str) -> None:
    """It tells a persona's instructions."""
    async with calling(server, room, attributes={CAPTIONS: "1"}) as caller:
        await caller.until_asked(1)
        async with Playground(caller) as playground:
            with pytest.raises(TimeoutError):
                await playground.session.wait_for_ready(timeout=2.0)
            await caller.type("I am Maria from Lisbon.")
            await caller.until(lambda: caller.of("handoff"))
        assert playground.told == []
        assert [partial["who"] for partial in caller.of("partial")]  # what it asked for
