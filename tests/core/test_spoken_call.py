"""Calls in sound: recorded speech in, tones out, on livekit's own voice activity detection."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import inference, llm

from story.core import events
from story.core.call import Call
from story.core.live import LiveStack
from story.core.personas import Chain, load_chain
from story.transports.file import FileTransport
from tests.fakes import LoudnessSTT, ScriptedLLM, ToneTTS, Tool, last_user

pytestmark = pytest.mark.slow

CALLERS = Path(__file__).parents[1] / "callers"
SPEECH = CALLERS / "john" / "turn4.wav"  # "Keep going, please.": one short stretch
SENTENCE = "Hello there, I have a long sentence to say and I will say all of it."
CHAIN = Path(__file__).parent / "two_personas.toml"


def spoken(script: Any, lines: Sequence[str] = (), **more: Any) -> LiveStack:
    return LiveStack(
        stt=LoudnessSTT(lines), llm=ScriptedLLM(script), tts=more.pop("tts", None) or ToneTTS(), vad=inference.VAD()
    )


async def hold(transport: FileTransport, stacks: dict[str, LiveStack], chain: Chain | None = None) -> list[Any]:
    chain = chain or load_chain(CHAIN)
    call = Call(chain, transport, stacks, specs={key: key for key in stacks}, max_duration=60)
    seen: list[Any] = []
    call.subscribe(seen.append)
    await asyncio.wait_for(call.run(), 90)
    return seen


def of(seen: list[Any], kind: type[events.Event]) -> list[Any]:
    return [event for event in seen if isinstance(event, kind)]


def asked_for(chat_ctx: llm.ChatContext, words: str) -> bool:
    return any(words in (m.text_content or "") for m in chat_ctx.messages() if m.role in ("system", "developer"))


def storyteller(chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
    """Both personas: gathers at "Maria", tells, ends at "stop"."""
    if asked_for(chat_ctx, "goodbye"):
        return "Goodbye then, it was lovely to talk with you."
    if asked_for(chat_ctx, "still there"):
        return "Are you still there?"
    said = last_user(chat_ctx)
    if choice != "none" and tools and tools[0].id == "information_gathered" and "Maria" in said:
        return Tool("information_gathered", {"name": "Maria", "location": "Lisbon"})
    if choice != "none" and tools and tools[0].id == "story_finished" and "stop" in said:
        return Tool("story_finished", {})
    return SENTENCE


def impatient(tmp_path: Path, seconds: float) -> Chain:
    text = CHAIN.read_text()
    for persona in ("intro", "story"):
        text = text.replace(
            f"[personas.{persona}.then]",
            f"[personas.{persona}.silence]\nask_after = {seconds}\n\n[personas.{persona}.then]",
        )
    path = tmp_path / "impatient.toml"
    path.write_text(text)
    return load_chain(path)


async def test_a_whole_spoken_call(tmp_path: Path) -> None:
    stack = spoken(storyteller, ["I am Maria from Lisbon", "stop"])
    out = tmp_path / "out.wav"
    seen = await hold(FileTransport([SPEECH, SPEECH], out=out), {"intro": stack, "story": stack})
    assert of(seen, events.CallEnded)[0].reason == "finished"
    handoff = of(seen, events.Handoff)[0]
    assert 0 < handoff.gap < 10
    turn = of(seen, events.UserTurn)[0]
    assert turn.text == "I am Maria from Lisbon"
    assert turn.language == "en"
    assert {"end_of_turn_delay", "transcription_delay"} <= set(turn.metrics)
    answer = of(seen, events.AgentTurn)[1].metrics
    assert {"response_latency", "llm_ttft", "tts_ttfb"} <= set(answer)
    assert turn.metrics.items() <= answer.items()
    assert of(seen, events.AgentTurn)[-1].text.startswith("Goodbye")
    assert ["response_latency" in turn.metrics for turn in of(seen, events.AgentTurn)] == [False, True, True]
    assert stack.stt.closed == stack.llm.closed == stack.tts.closed == 1
    assert out.stat().st_size > 100_000


async def test_a_silent_caller_is_asked_once_then_let_go(tmp_path: Path) -> None:
    stack = spoken(storyteller)
    seen = await hold(FileTransport([SPEECH], patience=600), {"intro": stack, "story": stack}, impatient(tmp_path, 2.0))
    said = [turn.text for turn in of(seen, events.AgentTurn)]
    assert said.count("Are you still there?") == 1
    assert said[-1].startswith("Goodbye")
    assert of(seen, events.CallEnded)[0].reason == "caller_silent"


@pytest.mark.full
async def test_an_interrupted_sentence_is_told_as_far_as_it_was_heard() -> None:
    stack = spoken(storyteller, ["Maria", "wait", "stop"], tts=ToneTTS(pace=0.04))
    seen = await hold(FileTransport([SPEECH, SPEECH, SPEECH], barge_in={2: 0.4}), {"intro": stack, "story": stack})
    cut = [turn for turn in of(seen, events.AgentTurn) if turn.interrupted]
    assert len(cut) == 1
    assert cut[0].text and len(cut[0].text) < len(SENTENCE)
    assert f"{cut[0].text} {cut[0].unheard}" == SENTENCE
    assert of(seen, events.CallEnded)[0].reason == "finished"


async def test_nobody_talks_the_goodbye_down() -> None:
    stack = spoken(storyteller, ["Maria", "stop", "no, wait"])
    seen = await hold(FileTransport([SPEECH, SPEECH, SPEECH], barge_in={3: 0.1}), {"intro": stack, "story": stack})
    last = of(seen, events.AgentTurn)[-1]
    assert (last.text, last.interrupted) == ("Goodbye then, it was lovely to talk with you.", False)
    assert of(seen, events.CallEnded)[0].reason == "finished"


async def test_a_caller_who_speaks_on_during_the_handoff_is_still_handed_over(tmp_path: Path) -> None:
    stack = spoken(storyteller, ["I am Maria", "Maria from Lisbon", "stop"])
    seen = await hold(
        FileTransport([SPEECH, SPEECH, SPEECH], patience=0.3, settle=0.3),
        {"intro": stack, "story": stack},
        impatient(tmp_path, 1.0),
    )
    assert [(h.from_, h.to) for h in of(seen, events.Handoff)] == [("intro", "story")]
    assert of(seen, events.CallEnded)[0].data["name"] == "Maria"


async def test_sorry_is_said_where_the_next_persona_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from livekit.agents.voice.agent_activity import AgentActivity

    stack, broken = spoken(storyteller, ["Maria"]), spoken(storyteller)
    start = AgentActivity.start

    async def refuse(self: Any, **kwargs: Any) -> None:
        if self.agent.llm is broken.llm:
            raise RuntimeError("no such model")
        await start(self, **kwargs)

    monkeypatch.setattr(AgentActivity, "start", refuse)
    seen = await hold(FileTransport([SPEECH]), {"intro": stack, "story": broken})
    assert "something went wrong" in of(seen, events.AgentTurn)[-1].text
    assert of(seen, events.CallEnded)[0].reason == "error"
