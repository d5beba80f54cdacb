"""A whole spoken call of the storyteller in a room: recorded words one way, the agent's voice the other."""

from __future__ import annotations

import asyncio
import json
import wave
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from story.bench.transports.coded import as_coded
from story.emulator.ears import load_clips
from story.transports.livekit.server_access import LiveKitServer
from story.transports.sound import SAMPLE_RATE
from tests.hearing import resampled, transcribe, word_errors, words
from tests.transports.livekit.caller import CALLERS, Caller, Stream, calling
from tests.transports.livekit.running import StoryRun, room_gone, worker

pytestmark = [pytest.mark.livekit, pytest.mark.slow, pytest.mark.full]

TURNS = (
    ("maria/turn1.wav", "Hi there! My name is Maria, and I live in Lisbon."),
    ("maria/turn2.wav", "Oh, I love it. What did the little boat do next?"),
    ("maria/turn3.wav", "That was lovely. I think I would like to stop now, thank you."),
)
LOCAL = ("--intro-stack", "local", "--story-stack", "local", "--agent-name", "local")


async def talk(caller: Caller, patience: float) -> list[int]:
    """The call of Maria from Lisbon, to the end of its room. How often something loud had been heard at the end of the
    greeting, of each answer, and of the goodbye. patience: seconds for each of them."""
    await caller.until_asked(1)
    heard = [len(caller.heard)]
    for recording, _ in TURNS[:2]:
        await caller.answered(recording, by="story", seconds=patience)
        heard.append(len(caller.heard))
    await caller.say(TURNS[2][0])
    await caller.until(lambda: caller.disconnected, patience)
    return [*heard, len(caller.heard)]


async def check_outcome(caller: Caller, server: LiveKitServer, run: StoryRun) -> None:
    assert caller.disconnected == "ROOM_DELETED"
    await room_gone(server, caller.name)
    ended = caller.of("call_ended")[0]
    assert ended["reason"] == "finished" and ended["data"] == {"name": "Maria", "location": "Lisbon"}
    assert await asyncio.to_thread(run.until, "call_ended", call=ended["call"]) == ended
    assert [event["message"] for event in caller.of("error")] == []
    assert [tool["name"] for tool in caller.of("tool_call")] == ["information_gathered", "story_finished"]
    goodbye = caller.of("agent_turn")[-1]
    assert "Maria" in goodbye["text"] and not goodbye["interrupted"]


def check_attributes(caller: Caller, *states: str) -> None:
    """Persona and stack change together, and each persona shows these states."""
    stacks = caller.of("call_started")[0]["stacks"]
    told, shown = {"story.persona": "intro", "story.stack": stacks["intro"]}, []
    for change in caller.attributes:  # what is as it was is not told again
        told = told | change
        shown.append((told["story.persona"], told["story.stack"]))
    assert shown[-1] == ("story", stacks["story"]) and set(shown) <= set(stacks.items())
    handed = next(n for n, change in enumerate(caller.attributes) if change.get("story.persona") == "story")
    for changes in (caller.attributes[:handed], caller.attributes[handed:]):
        assert set(states) <= {change.get("lk.agent.state") for change in changes}


def check_streams(caller: Caller, agent: str) -> None:
    """What either side said is among its transcriptions, in order and in whole."""
    finals = [stream for stream in caller.streams if _is_final(stream)]
    by_agent = " ".join(stream.text for stream in finals if stream.who == agent)
    by_caller = " ".join(stream.text for stream in finals if stream.who == caller.identity)
    assert words(by_agent) == words(" ".join(turn["text"] for turn in caller.of("agent_turn")))
    assert words(by_caller) == words(" ".join(turn["text"] for turn in caller.of("user_turn")))


def _is_final(stream: Stream) -> bool:
    told: dict[str, Any] = stream.opened | (stream.closed or {})
    return told.get("lk.transcription_final") == "true"


def known_by_heart(folder: Path) -> Path:
    """For the emulated vendors' recognisers: Maria's turns as they sound in a room, after Opus."""
    turns = []
    for clip in load_clips(CALLERS / "callers.json"):
        for number, coded in enumerate(as_coded(clip) if clip.name.startswith("maria") else ()):
            file = folder / f"{Path(clip.name).stem}-{number}.wav"
            with wave.open(str(file), "wb") as recording:
                recording.setparams((1, 2, coded.rate, 0, "NONE", ""))
                recording.writeframes(coded.pcm)
            turns.append({"file": file.name, "words": [list(asdict(word).values()) for word in coded.words]})
    callers = folder / "callers.json"
    callers.write_text(json.dumps({"turns": turns}))
    return callers


async def test_on_emulated_vendors(server: LiveKitServer, tmp_path: Path, room: str) -> None:
    """From a pipeline to a realtime model. Its vendors' voices are tones: who speaks is heard, words are not."""
    heart = str(known_by_heart(tmp_path))
    with worker(server, tmp_path, "--heard", heart, "--agent-name", "emulated") as run:
        async with calling(server, room, agent="emulated") as caller:
            await caller.until(lambda: caller.agent)
            assert caller.agent is not None
            agent = caller.agent.identity
            heard = await talk(caller, 60.0)
            await check_outcome(caller, server, run)
            assert heard[0] and heard == sorted(set(heard))
            assert [words(turn["text"]) for turn in caller.of("user_turn")] == [words(said) for _, said in TURNS]
            assert caller.of("agent_turn")[-1]["text"].endswith("Goodbye!")
            check_attributes(caller, "listening", "speaking")
            check_streams(caller, agent)


@pytest.mark.weights("qwen2.5-coder-1.5b", "moonshine-tiny-en", "hibari", "whisper-tiny.en")
@pytest.mark.timeout(400)
async def test_on_the_models_of_this_machine(server: LiveKitServer, tmp_path: Path, room: str) -> None:
    """An independent recogniser hears what the events say was spoken."""
    with worker(server, tmp_path, *LOCAL, emulated=False) as run:
        async with calling(server, room, agent="local") as caller:
            await caller.until(lambda: caller.agent)
            assert caller.agent is not None
            agent = caller.agent.identity
            await talk(caller, 120.0)
            await check_outcome(caller, server, run)
            check_attributes(caller, "listening", "thinking", "speaking")
            check_streams(caller, agent)
            said = words(" ".join(turn["text"] for turn in caller.of("agent_turn")))
            assert word_errors(said, words(await asyncio.to_thread(heard_by, caller))) / len(said) <= 0.15


def heard_by(caller: Caller) -> str:
    """What the recogniser makes of all the sound that came to the caller."""
    sound = np.concatenate(caller.sound).astype(np.float32) / 32768
    return transcribe(resampled(sound, SAMPLE_RATE))
