"""How long a caller waited for an answer, where the session's own figures don't say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import (
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    FunctionToolsExecutedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import ChatMessage

from story.core import events
from story.core.narration import Narration
from story.core.silence import SilenceWatch

SILENCE_BEFORE_TOLD = 0.5


class Session(rtc.EventEmitter[str]):
    """As much of a session as is followed. Its model tells an end of speech only after half a second."""

    def __init__(self) -> None:
        super().__init__()
        self.current_speech: object = None
        self.told: list[events.AgentTurn] = []
        self.kinds: list[str] = []
        self.call: Any = SimpleNamespace(persona="story", agent=None, audio=True, tell=self.tell)
        narration = Narration(self.call, SilenceWatch(lambda: None, lambda _: None))
        narration.follow(self)  # type: ignore[arg-type]
        self.typed, self.entered = narration.caller_typed, narration.entered

    def tell(self, kind: type[events.Event], **fields: Any) -> None:
        self.kinds.append(kind.type)
        if kind is events.AgentTurn:
            self.told.append(events.AgentTurn(call="call_1", t=0.0, **fields))

    def end_of_speech(self, told: float) -> float:
        return told - SILENCE_BEFORE_TOLD

    def caller(self, began: float, ended: float) -> None:
        for old, new, at in (("listening", "speaking", began), ("speaking", "listening", ended)):
            event = UserStateChangedEvent(old_state=old, new_state=new, created_at=at)
            self.emit("user_state_changed", event)

    def speech(self, modality: str = "audio") -> None:
        self.current_speech = SimpleNamespace(input_details=SimpleNamespace(modality=modality))

    def sounds(self, at: float) -> None:
        event = AgentStateChangedEvent(old_state="thinking", new_state="speaking", created_at=at)
        self.emit("agent_state_changed", event)

    def silent(self) -> None:
        event = AgentStateChangedEvent(old_state="speaking", new_state="listening")
        self.emit("agent_state_changed", event)

    def said(self, text: str = "Yes.", **metrics: float) -> dict[str, float]:
        message = ChatMessage(role="assistant", content=[text], metrics=metrics)  # type: ignore[arg-type]
        self.emit("conversation_item_added", ConversationItemAddedEvent(item=message))
        return dict(self.told[-1].metrics)


@pytest.fixture
async def session() -> Session:
    return Session()


async def test_an_answer_is_counted_from_the_callers_last_sound(session: Session) -> None:
    session.caller(1.0, 3.0)
    session.speech()
    session.sounds(3.75)
    assert session.said() == {"response_latency": 1.25, "end_of_turn_delay": 0.5}


async def test_what_livekit_says_goes_before(session: Session) -> None:
    session.caller(1.0, 3.0)
    session.speech()
    session.sounds(3.75)
    assert session.said(e2e_latency=1.0) == {"response_latency": 1.0, "end_of_turn_delay": 0.5}


async def test_a_turn_is_answered_once_by_the_first_sound_of_a_speech(session: Session) -> None:
    session.caller(1.0, 3.0)
    session.speech()
    session.sounds(4.0)
    session.silent()
    session.caller(5.0, 5.5)  # an acknowledgement: the speech goes on
    session.sounds(6.0)
    assert session.said()["response_latency"] == 1.5
    assert session.said("And more of it.") == {}


async def test_a_question_into_silence_answers_nothing(session: Session) -> None:
    session.caller(1.0, 3.0)
    session.speech("text")
    session.sounds(20.0)
    assert session.said("Are you still there?") == {}


async def test_a_goodbye_answers_the_turn_that_called_for_it(session: Session) -> None:
    session.caller(1.0, 3.0)
    session.emit("function_tools_executed", FunctionToolsExecutedEvent(function_calls=[], function_call_outputs=[]))
    session.speech("text")
    session.sounds(4.0)
    assert session.said("Goodbye!")["response_latency"] == 1.5


async def test_who_is_called_is_told_by_the_state_before_they_are_heard(session: Session) -> None:
    for persona in ("intro", "story"):
        session.call.persona = persona
        session.entered()
    assert session.kinds == ["state"]
    session.sounds(4.0)
    assert session.kinds == ["state", "handoff", "state"]


async def test_words_that_were_typed_have_no_end_of_speech(session: Session) -> None:
    session.caller(1.0, 3.0)
    session.typed()
    session.speech()
    session.sounds(4.0)
    assert session.said() == {}
