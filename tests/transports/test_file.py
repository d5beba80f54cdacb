"""Calls from WAV to WAV: who speaks when, barge-in, and a recording whose two sides share one clock."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from story.core import events
from story.core.errors import AudioError
from story.transports import sound
from story.transports.file import FileTransport
from story.transports.floor import SETTLE_SECONDS
from story.transports.sound import SAMPLE_RATE, read_wav
from tests.fakes import SECONDS_PER_CHARACTER
from tests.transports.calls import CALLERS, GOODBYE, GREETING, STORY, hold, make_call

pytestmark = pytest.mark.slow

TICK = 480
LONG = "This story goes on and on and it does not end for a very long while, so you may well break into it. " * 2
Stretch = tuple[int, int]


def tone(path: Path, seconds: float, hertz: float) -> Path:
    samples = 8000 * np.cos(2 * np.pi * hertz * np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        out.writeframes(samples.astype("<i2").tobytes())
    return path


def sides(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with wave.open(str(path)) as recorded:
        assert recorded.getparams()[:3] == (2, 2, SAMPLE_RATE)
        both = np.frombuffer(recorded.readframes(recorded.getnframes()), "<i2").reshape(-1, 2)
    return both[:, 0], both[:, 1]


def stretches(side: np.ndarray) -> list[Stretch]:
    """From where to where (in samples) there is sound, gaps under a tick left out."""
    loud = np.flatnonzero(side)
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) > TICK)
    starts, ends = np.r_[loud[0], loud[breaks + 1]], np.r_[loud[breaks], loud[-1]] + 1
    return [(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_each_turn_comes_once_the_agent_has_finished(tmp_path: Path) -> None:
    turns = [tone(tmp_path / f"{n}.wav", 0.5, 400 + 100 * n) for n in range(3)]
    out = tmp_path / "out.wav"
    outcome = await hold(FileTransport(turns, out=out), hears=["hm?", "Maria from Lisbon", "stop"])
    assert outcome.ended.reason == "finished"
    assert [turn.text for turn in outcome.of(events.UserTurn)] == ["hm?", "Maria from Lisbon", "stop"]
    # The handoff has two stretches of agent sound before the third turn: the old persona's and the next one's.
    assert [text for _, text, _ in outcome.said()] == [GREETING, GREETING, "Nice.", STORY, GOODBYE]

    caller, agent = sides(out)
    spoken = stretches(caller)
    assert len(spoken) == 3
    for (start, end), turn in zip(spoken, turns, strict=True):
        assert start % TICK == 0
        assert np.array_equal(caller[start:end], read_wav(turn)[: end - start])
        assert end - start == pytest.approx(0.5 * SAMPLE_RATE, abs=2)
    answers = stretches(agent)
    for start, end in spoken:
        assert not agent[start:end].any(), "nobody speaks while the other does"
        before = max(stop for _, stop in answers if stop <= start)
        assert (start - before) / SAMPLE_RATE >= SETTLE_SECONDS
        assert any(begin > end for begin, _ in answers), "every turn is answered"
    length = sum(len(text) for _, text, _ in outcome.said()) * SECONDS_PER_CHARACTER
    assert sum(end - start for start, end in answers) / SAMPLE_RATE == pytest.approx(length, rel=0.05)
    assert names(tmp_path) == ["0.wav", "1.wav", "2.wav", "out.wav"]


async def test_a_barge_in_cuts_the_voice_and_the_words(tmp_path: Path) -> None:
    out = tmp_path / "out.wav"

    def long_story(chat_ctx: Any, tools: Any, choice: object) -> str:
        return "Yes?" if any(m.role == "user" for m in chat_ctx.messages()) else LONG

    turn = CALLERS / "maria" / "turn1.wav"
    transport = FileTransport([turn], out=out, barge_in={1: 2.0})
    outcome = await hold(transport, hears=["wait", *[""] * 20], script=long_story, agent_turns=2)
    first = outcome.of(events.AgentTurn)[0]
    assert first.interrupted
    assert LONG.startswith(first.text)

    caller, agent = sides(out)
    began = int(np.flatnonzero(agent)[0])
    start = int(np.flatnonzero(caller)[0])
    lead = int(np.flatnonzero(read_wav(turn))[0])  # silence that the file begins with
    assert (start - lead - began) / SAMPLE_RATE == pytest.approx(2.0, abs=3 * TICK / SAMPLE_RATE)
    assert agent[start : start + TICK].any(), "both speak"
    stopped = stretches(agent)[0][1]
    assert stopped < start + len(read_wav(turn))
    heard = (stopped - began) / SAMPLE_RATE
    # The words go as far as the sound did (a word more or less: they are paced by syllables).
    assert len(first.text) * SECONDS_PER_CHARACTER == pytest.approx(heard, rel=0.5)


async def test_a_noise_that_is_no_word_only_pauses_the_voice(tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    transport = FileTransport([CALLERS / "maria" / "turn1.wav"], out=out, barge_in={1: 1.0})
    outcome = await hold(transport, hears=[""] * 20, script=lambda *_: LONG, agent_turns=1)
    assert outcome.said() == [("intro", LONG.strip(), False)]
    parts = stretches(sides(out)[1])
    assert len(parts) > 1
    length = sum(end - start for start, end in parts) / SAMPLE_RATE
    assert length == pytest.approx(len(LONG) * SECONDS_PER_CHARACTER, rel=0.05), "and nothing of it is lost"


async def test_a_turn_without_an_answer_is_given_up(tmp_path: Path) -> None:
    turns = [tone(tmp_path / f"{n}.wav", 0.3, 500) for n in range(2)]
    out = tmp_path / "out.wav"
    outcome = await hold(FileTransport(turns, out=out, patience=0.8), hears=["", "hm?"], agent_turns=2)
    assert [turn.text for turn in outcome.of(events.UserTurn)] == ["hm?"]
    (_, end), (start, _) = stretches(sides(out)[0])
    assert (start - end) / SAMPLE_RATE == pytest.approx(0.8, abs=0.2)


async def test_a_disk_that_runs_full_ends_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = tone(tmp_path / "1.wav", 0.5, 500)
    monkeypatch.setattr(sound.os, "getpid", lambda: "full")
    (tmp_path / ".out.wav.full.part").symlink_to("/dev/full")
    call, seen = make_call(FileTransport([turn], out=tmp_path / "out.wav"), hears=["hm?"])
    with pytest.raises(AudioError, match="No space left on device"):  # once all is closed
        await call.run()
    assert [event.reason for event in seen if isinstance(event, events.CallEnded)] == ["lost"]
    (fault,) = (event for event in seen if isinstance(event, events.CallFault))
    assert fault.where == "transport" and "No space left on device" in fault.message
    assert names(tmp_path) == ["1.wav"]


async def test_without_a_recording_nothing_is_written(tmp_path: Path) -> None:
    turn = tone(tmp_path / "1.wav", 0.3, 500)
    await hold(FileTransport([turn]), hears=["hm?"], agent_turns=2)
    assert names(tmp_path) == ["1.wav"]


def test_what_can_be_known_beforehand_is_refused(tmp_path: Path) -> None:
    turn = tone(tmp_path / "1.wav", 0.3, 500)
    with pytest.raises(AudioError, match="no turn 2 to barge in with: this call has 1"):
        FileTransport([turn], barge_in={2: 1.0})
    with pytest.raises(AudioError, match="can't barge in -1 s into the speech"):
        FileTransport([turn], barge_in={1: -1.0})
    with pytest.raises(AudioError, match="is one of the caller's turns"):
        FileTransport([turn], out=turn)
    with pytest.raises(AudioError, match="does not exist"):
        FileTransport([turn], out=tmp_path / "nowhere" / "out.wav")
    with pytest.raises(AudioError, match="there is no such file"):
        FileTransport([turn, tmp_path / "2.wav"], out=tmp_path / "out.wav")
    assert names(tmp_path) == ["1.wav"]


async def test_a_transport_that_was_never_attached_closes(tmp_path: Path) -> None:
    await FileTransport([tone(tmp_path / "1.wav", 0.3, 500)]).aclose()
