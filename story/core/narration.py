"""Tells a livekit session's events as the events of a call."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from livekit.agents import (
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    FunctionToolsExecutedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import AgentHandoff, ChatMessage
from livekit.agents.voice import SpeechHandle

from story.core import events

if TYPE_CHECKING:
    from story.core.call import Call
    from story.core.session import StagedSession
    from story.core.silence import SilenceWatch

CALLER_STATES = {"speaking": "speaking", "listening": "silent", "away": "away"}

USER_METRICS = {"end_of_turn_delay": "end_of_turn_delay", "transcription_delay": "transcription_delay"}
AGENT_METRICS = {
    "e2e_latency": "response_latency",
    "llm_node_ttft": "llm_ttft",
    "tts_node_ttfb": "tts_ttfb",
    "playback_latency": "playback_latency",
}

ANSWER_SECONDS = 20.0
"""In which a realtime model has to begin its answer, before the silence is taken for the caller's."""


class Narration:
    """Follows a session and tells the call: turns, tool calls, states, handoffs at their first sound."""

    def __init__(self, call: Call, silence: SilenceWatch) -> None:
        self._call = call
        self._silence = silence
        self._states = {"agent": "listening", "caller": "silent"}
        self._heard: list[str] = []
        self._language: str | None = None
        self._last_word: float | None = None
        self._unanswered: dict[str, float] = {}
        self._ended: float | None = None
        self._waited = 0.0
        self._acted = False
        self._speech: SpeechHandle | None = None
        self._answer: dict[str, float] = {}
        self._left: str | None = None
        self._handoff: tuple[str, str] | None = None

    def follow(self, session: StagedSession) -> None:
        self._session = session
        session.on("agent_state_changed", self._on_agent_state)
        session.on("user_state_changed", self._on_user_state)
        session.on("user_input_transcribed", self._on_transcribed)
        session.on("conversation_item_added", self._on_item)
        session.on("function_tools_executed", self._on_tools)

    def caller_typed(self) -> None:
        self._last_word, self._ended = time.time(), None
        self._silence.answered()

    def entered(self) -> None:
        """A persona's part begins; if another went before, its handoff is told at the first sound."""
        key = self._call.persona
        if key is not None and self._left is not None and self._left != key:
            self._tell_handoff(sounded=False)
            self._handoff = (self._left, key)
            self._call.tell(events.StateChanged, **self._states)  # of the next persona, who is not heard yet
        self._left = key

    def finish(self) -> None:
        self._tell_handoff(sounded=False)

    def _on_agent_state(self, event: AgentStateChangedEvent) -> None:
        if event.new_state in ("idle", "initializing"):
            return
        if event.new_state == "speaking":
            self._tell_handoff(sounded=True)
            self._measure(event.created_at)
        self._states["agent"] = event.new_state
        self._silence.agent(quiet=event.new_state == "listening")
        self._call.tell(events.StateChanged, **self._states)

    def _on_user_state(self, event: UserStateChangedEvent) -> None:
        if event.old_state == "speaking":
            self._ended = self._last_word = self._session.end_of_speech(event.created_at)
            self._waited, self._acted = event.created_at - self._ended, False
        self._states["caller"] = CALLER_STATES[event.new_state]
        realtime = self._call.agent is not None and self._call.agent.stack.realtime
        self._silence.caller(quiet=event.new_state != "speaking", owed=ANSWER_SECONDS if realtime else 0.0)
        self._call.tell(events.StateChanged, **self._states)

    def _measure(self, sounded: float) -> None:
        """The agent is heard, or heard again: how long did the caller wait for it?

        livekit (1.8.9) can't say where it was not told of the end of speech itself, or was told twice in a turn.
        """
        speech = self._session.current_speech
        if speech is None or speech is self._speech:
            return
        self._speech, self._answer = speech, {}
        # a question whether the caller is still there is asked for in text, and follows no tool call
        if self._ended is not None and (speech.input_details.modality == "audio" or self._acted):
            self._answer["response_latency"] = round(max(0.0, sounded - self._ended), 3)
            if self._waited:
                self._answer["end_of_turn_delay"] = round(self._waited, 3)
            self._ended = None

    def _tell_handoff(self, *, sounded: bool) -> None:
        if self._handoff is None:
            return
        (left, entered), self._handoff = self._handoff, None
        gap = None
        if sounded and self._call.audio and self._last_word is not None:
            gap = round(max(0.0, time.time() - self._last_word), 3)
        self._call.tell(events.Handoff, from_=left, to=entered, gap=gap)

    def _on_transcribed(self, event: UserInputTranscribedEvent) -> None:
        if event.transcript.strip():
            self._silence.answered()
        text = " ".join([*self._heard, event.transcript]).strip()
        if event.is_final:
            self._heard.append(event.transcript.strip())
            self._language = event.language or self._language
        self._call.tell(events.Partial, who="caller", text=text)

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if isinstance(item, AgentHandoff) or not isinstance(item, ChatMessage):
            return
        text = (item.text_content or "").strip()
        if item.role == "user":
            self._heard.clear()
            language, self._language = self._language, None
            self._unanswered = _metrics(item, USER_METRICS)
            self._call.tell(events.UserTurn, text=text, language=language, metrics=self._unanswered)
        elif item.role == "assistant" and text:
            answer, self._answer = self._answer, {}
            metrics = answer | _metrics(item, AGENT_METRICS)
            if "response_latency" in metrics:  # the parts of it that were over before the agent had its turn
                metrics, self._unanswered = {**self._unanswered, **metrics}, {}
            agent = self._call.agent if item.interrupted else None
            unheard = agent.intended.unheard(text) if agent else ""
            self._call.tell(events.AgentTurn, text=text, interrupted=item.interrupted, unheard=unheard, metrics=metrics)

    def _on_tools(self, event: FunctionToolsExecutedEvent) -> None:
        self._acted = True
        for call, output in event.zipped():
            failed = output.is_error
            self._call.tell(
                events.ToolCall,
                name=call.name,
                arguments=_arguments(call.arguments),
                result=None if failed else output.output,
                error=output.output if failed else None,
            )
        if event.has_agent_handoff:
            # with a reply to another tool of the same batch, the old persona would speak once more
            event.cancel_tool_reply()


def _arguments(text: str) -> dict[str, object]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {"": text}
    return value if isinstance(value, dict) else {"": value}


def _metrics(message: ChatMessage, names: dict[str, str]) -> dict[str, float]:
    found = {ours: message.metrics.get(theirs) for theirs, ours in names.items()}
    return {name: round(value, 3) for name, value in found.items() if isinstance(value, int | float)}
