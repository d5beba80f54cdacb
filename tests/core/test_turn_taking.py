"""Calls in sound in which caller and agent get in each other's way."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit.agents import inference, llm

from story.core import events
from story.core.call import Call
from story.core.live import LiveStack
from story.core.personas import load_chain
from story.transports.file import FileTransport
from tests.fakes import LoudnessSTT, ScriptedLLM, ToneTTS, Tool, last_user

pytestmark = pytest.mark.slow

CALLERS = Path(__file__).parents[1] / "callers"
SPEECH = CALLERS / "john" / "turn4.wav"  # "Keep going, please.": one short stretch
OKAY = CALLERS / "ack" / "af_sarah-okay.wav"
STORY = "Hello there, I have a long sentence to say and I will say all of it."
GOODBYE = "Goodbye."


class Listened:
    """A call whose recogniser hears `lines`. told: what the model was asked and what the call said, in order."""

    def __init__(self, lines: Sequence[str], **ears: float) -> None:
        self.told: list[events.Event | str] = []
        hearing, thinking = LoudnessSTT(lines, **ears), ScriptedLLM(self._answer)
        self.stack = LiveStack(stt=hearing, llm=thinking, tts=ToneTTS(pace=0.04), vad=inference.VAD())

    async def hold(self, transport: FileTransport) -> None:
        chain = load_chain(Path(__file__).parent / "two_personas.toml")
        personas = ("intro", "story")
        call = Call(chain, transport, dict.fromkeys(personas, self.stack), specs={p: p for p in personas})
        call.subscribe(self.told.append)
        await asyncio.wait_for(call.run(), 60)

    def of(self, kind: type[events.Event]) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    @property
    def turns(self) -> list[str]:
        """What the caller said, turn by turn."""
        return [turn.text for turn in self.of(events.UserTurn)]

    @property
    def cut(self) -> list[str]:
        """What of the agent's turns was heard, of those that were interrupted."""
        return [turn.text for turn in self.of(events.AgentTurn) if turn.interrupted]

    def asked_before_told(self, text: str) -> bool:
        """Whether the reply to a caller's turn was begun before that turn was known to be over."""
        told = next(i for i, e in enumerate(self.told) if isinstance(e, events.UserTurn) and e.text == text)
        return text in self.told[:told]

    def _answer(self, chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
        said = last_user(chat_ctx)
        self.told.append(said)
        ends = [tool for tool in tools if tool.id == "story_finished"]
        if any("goodbye" in (m.text_content or "") for m in chat_ctx.messages() if m.role in ("system", "developer")):
            return GOODBYE
        if "Maria" in said and not ends and choice != "none":
            return Tool("information_gathered", {"name": "Maria", "location": "Lisbon"})
        return Tool("story_finished", {}) if "stop" in said and ends and choice != "none" else STORY


def paused(path: Path, target: Path, *, at: float) -> Path:
    """The recording with 700 ms of silence, `at` seconds into it."""
    with wave.open(str(path)) as source:
        rate, sound = source.getframerate(), np.frombuffer(source.readframes(source.getnframes()), np.int16)
    cut = int(at * rate)
    with wave.open(str(target), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.concatenate([sound[:cut], np.zeros(int(0.7 * rate), np.int16), sound[cut:]]).tobytes())
    return target


async def test_an_acknowledgement_leaves_the_agent_its_word() -> None:
    call = Listened(["I am Maria.", "Okay.", "Please stop."])
    await call.hold(FileTransport([SPEECH, OKAY, SPEECH], barge_in={2: 0.4}, patience=1.5))
    assert call.turns == ["I am Maria.", "Please stop."]
    assert call.cut == [] and STORY in [turn.text for turn in call.of(events.AgentTurn)]
    assert "Okay." not in call.told
    states = [state for state, _ in groupby(event.agent for event in call.of(events.StateChanged))]
    assert any(states[i : i + 3] == ["speaking", "listening", "speaking"] for i in range(len(states))), "it paused"


async def test_a_caller_who_barges_in_is_answered_as_soon_as_any() -> None:
    call = Listened(["I am Maria.", "Wait, tell it again.", "Please stop."])
    await call.hold(FileTransport([SPEECH, SPEECH, SPEECH], barge_in={2: 0.4}))
    assert call.turns == ["I am Maria.", "Wait, tell it again.", "Please stop."]
    assert [0 < len(text) < len(STORY) for text in call.cut] == [True]
    assert all(call.asked_before_told(turn) for turn in call.turns)
    assert call.told.count("Wait, tell it again.") == 1, "and the reply that was begun is the one that was heard"
    assert call.of(events.CallEnded)[0].reason == "finished"


async def test_a_pause_inside_a_sentence_is_no_end(tmp_path: Path) -> None:
    call = Listened(["My name is", "Maria from Lisbon.", "Please stop."])
    halves = paused(CALLERS / "john" / "turn4.wav", tmp_path / "paused.wav", at=0.76)
    await call.hold(FileTransport([halves, SPEECH]))
    assert call.turns == ["My name is Maria from Lisbon.", "Please stop."]
    assert call.cut == []


async def test_the_same_words_answer_a_silent_agent() -> None:
    call = Listened(["Yes.", "I am Maria.", "Please stop."])
    await call.hold(FileTransport([OKAY, SPEECH, SPEECH]))
    assert call.turns == ["Yes.", "I am Maria.", "Please stop."]


async def test_an_acknowledgement_of_the_last_words_answers_them() -> None:
    call = Listened(["I am Maria.", "Yes.", "Please stop."])
    await call.hold(FileTransport([SPEECH, OKAY, SPEECH], barge_in={2: 1.9}))
    assert call.turns == ["I am Maria.", "Yes.", "Please stop."]
    assert call.cut == []


async def test_a_reply_is_begun_at_a_guess_that_is_a_whole_sentence() -> None:
    call = Listened(["Hm", "I am Maria.", "Please stop."], certain=0.5, guess=0.1)
    await call.hold(FileTransport([OKAY, OKAY, OKAY]))
    assert call.turns == ["Hm", "I am Maria.", "Please stop."]
    for turn, guessed in (("Hm", False), ("I am Maria.", True)):
        heard = [i for i, e in enumerate(call.told) if isinstance(e, events.Partial) and e.text == turn]
        assert call.told.count(turn) == 1
        assert heard[0] < call.told.index(turn)
        assert (call.told.index(turn) < heard[-1]) is guessed
