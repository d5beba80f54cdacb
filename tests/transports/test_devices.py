"""Spoken conversations over a sound card. Only the card is not real: its callbacks are called by the tests."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from story.core import events
from story.core.errors import AudioError
from story.transports.devices import DeviceTransport, load_portaudio
from story.transports.keyboard import Keyboard
from story.transports.screen import Screen
from tests.fakes import SECONDS_PER_CHARACTER
from tests.transports.calls import GREETING, Outcome, make_call


class FakeStream:
    def __init__(self, error: Exception | None, **options: Any) -> None:
        self.options, self.error, self.running, self.closed = options, error, False, 0

    def start(self) -> None:
        if self.error:
            raise self.error
        self.running = True

    def close(self) -> None:
        self.closed += 1
        self.running = False
        self.options["finished_callback"]()

    def unplug(self) -> None:
        self.options["finished_callback"]()


class FakePortAudio:
    """A card with a microphone and a speaker, and what can be wrong with it."""

    class PortAudioError(Exception):
        pass

    def __init__(self, *, lacks: str = "", rates: tuple[int, ...] = (24000,), broken: str = "") -> None:
        self.lacks, self.rates, self.broken = lacks, rates, broken
        self.microphone: FakeStream
        self.speaker: FakeStream

    def query_devices(self, *, kind: str) -> dict[str, Any]:
        if kind == self.lacks:
            raise self.PortAudioError("Error querying device -1")
        return {"name": kind, "default_samplerate": float(self.rates[-1])}

    def check_input_settings(self, *, channels: int, dtype: str, samplerate: int) -> None:
        if samplerate not in self.rates:
            raise self.PortAudioError("Invalid sample rate")

    check_output_settings = check_input_settings

    def RawInputStream(self, **options: Any) -> FakeStream:
        self.microphone = FakeStream(self._error("input"), **options)
        return self.microphone

    def RawOutputStream(self, **options: Any) -> FakeStream:
        self.speaker = FakeStream(self._error("output"), **options)
        return self.speaker

    def _error(self, kind: str) -> Exception | None:
        return self.PortAudioError("Device unavailable") if kind == self.broken else None

    async def tick(self, said: np.ndarray | None = None) -> np.ndarray:
        """20 ms pass: `said` goes into the microphone; returns what came out of the speaker."""
        count = self.speaker.options["blocksize"]
        said = np.zeros(self.microphone.options["blocksize"], np.int16) if said is None else said
        played = bytearray(count * 2)

        def card() -> None:  # as PortAudio does, on a thread of its own
            self.microphone.options["callback"](said.tobytes(), len(said), None, None)
            self.speaker.options["callback"](memoryview(played), count, None, None)

        await asyncio.to_thread(card)
        return np.frombuffer(bytes(played), np.int16)


async def converse(
    transport: DeviceTransport, talk: Callable[[Any, list[events.Event]], Any], **options: Any
) -> Outcome:
    call, seen = make_call(transport, **options)
    started = asyncio.Event()
    call.subscribe(lambda event: started.set() if isinstance(event, events.StateChanged) else None)
    running = asyncio.create_task(call.run())
    await asyncio.wait([asyncio.ensure_future(started.wait()), running], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait_for(talk(call, seen), 30)
    return Outcome(await asyncio.wait_for(running, 30), seen)


def turns(seen: list[events.Event], kind: type[events.Event]) -> int:
    return sum(isinstance(event, kind) for event in seen)


@pytest.mark.parametrize("rate", [24000, 48000])
async def test_a_conversation(rate: int) -> None:
    card, out = FakePortAudio(rates=(rate,)), io.StringIO()
    screen = Screen(Console(file=out, width=80), prompts=False)
    transport = DeviceTransport(screen=screen, keyboard=Keyboard(-1), portaudio=card)
    played: list[np.ndarray] = []

    async def talk(call: Any, seen: list[events.Event]) -> None:
        while turns(seen, events.AgentTurn) < 1:
            played.append(await card.tick())
        loud = np.full(rate // 50, 8000, np.int16)
        for _ in range(25):
            await card.tick(loud)
        while turns(seen, events.AgentTurn) < 2:
            await card.tick()
        call.hang_up()

    outcome = await converse(transport, talk, hears=["hm?"])
    assert outcome.ended.reason == "caller_left"
    assert [turn.text for turn in outcome.of(events.UserTurn)] == ["hm?"]
    heard = np.count_nonzero(np.concatenate(played)) / rate
    assert heard == pytest.approx(len(GREETING) * SECONDS_PER_CHARACTER, rel=0.1)
    assert [line.rstrip() for line in out.getvalue().splitlines()][1:] == [
        f"Echo (intro) > {GREETING}",
        "You > hm?",
        f"Echo (intro) > {GREETING}",
    ]
    assert (card.microphone.closed, card.speaker.closed) == (1, 1)


async def test_m_mutes_the_microphone() -> None:
    card = FakePortAudio()
    ours, theirs = pty.openpty()
    screen = Screen(Console(file=io.StringIO(), width=80), prompts=False)
    transport = DeviceTransport(screen=screen, keyboard=Keyboard(theirs), portaudio=card)
    loud = np.full(480, 8000, np.int16)
    held: list[bool] = []

    async def pressed(key: bytes, count: int) -> None:
        os.write(ours, key)
        while len(held) < count:
            await card.tick()

    async def talk(call: Any, seen: list[events.Event]) -> None:
        call.hold_silence = held.append
        while turns(seen, events.AgentTurn) < 1:
            await card.tick()
        await pressed(b"m", 1)
        for _ in range(50):
            await card.tick(loud)
        await pressed(b"m", 2)
        for _ in range(25):
            await card.tick(loud)
        while turns(seen, events.UserTurn) < 1:
            await card.tick()
        os.write(ours, b"\x04")

    outcome = await converse(transport, talk, hears=["only this", "and not this"])
    assert held == [True, False]
    assert [turn.text for turn in outcome.of(events.UserTurn)] == ["only this"]
    assert outcome.ended.reason == "caller_left"
    os.close(ours)
    os.close(theirs)


async def test_a_device_that_is_unplugged_ends_the_call() -> None:
    card = FakePortAudio()

    async def talk(call: Any, seen: list[events.Event]) -> None:
        while turns(seen, events.AgentTurn) < 1:
            await card.tick()
        card.microphone.unplug()

    outcome = await converse(DeviceTransport(keyboard=Keyboard(-1), portaudio=card), talk)
    assert outcome.ended.reason == "lost"
    assert "the microphone is gone" in outcome.of(events.CallFault)[0].message


@pytest.mark.parametrize(("kind", "what"), [("input", "microphone"), ("output", "speaker")])
async def test_a_missing_device(kind: str, what: str) -> None:
    with pytest.raises(AudioError, match=f"no {what} found: connect one"):
        DeviceTransport(portaudio=FakePortAudio(lacks=kind))


@pytest.mark.parametrize(("kind", "what"), [("input", "microphone"), ("output", "speaker")])
async def test_a_device_that_is_taken(kind: str, what: str) -> None:
    card = FakePortAudio(broken=kind)
    call, _ = make_call(DeviceTransport(portaudio=card, keyboard=Keyboard(-1)))
    with pytest.raises(AudioError, match=f"the {what} can't be opened: Device unavailable"):
        await call.run()
    assert card.microphone.closed == 1


def test_without_portaudio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    with pytest.raises(AudioError, match=r"apt-get install libportaudio2"):
        load_portaudio()


@pytest.mark.portaudio
def test_with_portaudio_the_devices_of_this_machine_open_or_are_named_as_missing() -> None:
    portaudio = load_portaudio()
    try:
        transport = DeviceTransport(portaudio=portaudio)
    except AudioError as error:
        assert "found: connect one and make it the system's default" in str(error)
    else:
        assert transport.audio
