"""A spoken conversation over this machine's microphone and speaker, through PortAudio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from livekit.agents import AgentSession

from story.core.captions import Captions
from story.core.errors import AudioError
from story.core.events import Event, UserTurn
from story.transports.interrupts import hang_up_on_interrupt
from story.transports.keyboard import END_OF_INPUT, Keyboard
from story.transports.playout import FRAME_SECONDS, CallerInput, Playout
from story.transports.screen import Screen
from story.transports.sound import SAMPLE_RATE
from story.transports.subtitles import Subtitles
from story.transports.synchronizer import Synchronizer

if TYPE_CHECKING:
    from story.core.call import Call

INSTALL_PORTAUDIO = "install it with `sudo apt-get install libportaudio2` (Debian, Ubuntu) or `brew install portaudio`"


class Stream(Protocol):
    """A running direction of a sound device."""

    def start(self) -> None: ...
    def close(self) -> None: ...


class PortAudio(Protocol):
    """What we use of the `sounddevice` module."""

    PortAudioError: type[Exception]

    def query_devices(self, *, kind: str) -> Mapping[str, Any]: ...
    def check_input_settings(self, *, channels: int, dtype: str, samplerate: int) -> None: ...
    def check_output_settings(self, *, channels: int, dtype: str, samplerate: int) -> None: ...
    def RawInputStream(self, **options: Any) -> Stream: ...
    def RawOutputStream(self, **options: Any) -> Stream: ...


def load_portaudio() -> PortAudio:
    """The `sounddevice` module. Raises AudioError where PortAudio is not installed."""
    try:
        import sounddevice
    except OSError as error:
        raise AudioError(f"sound devices need PortAudio, which is not on this machine: {INSTALL_PORTAUDIO}") from error
    module: PortAudio = sounddevice
    return module


class DeviceTransport:
    """Talks with whoever sits before this machine. The agent hears its own voice where there are no headphones.

    screen: where the conversation is shown; None: nowhere. At a terminal `m` mutes the microphone, Ctrl-D hangs up,
    Ctrl-C too (twice: at once). Raises AudioError where PortAudio, a microphone or a speaker is missing, before
    there is any call.
    """

    name = "voice"
    audio = True

    def __init__(
        self, *, screen: Screen | None = None, keyboard: Keyboard | None = None, portaudio: PortAudio | None = None
    ) -> None:
        self._screen = screen
        self._keyboard = keyboard
        self._portaudio = portaudio or load_portaudio()
        self._input_rate = self._rate("input", "microphone", self._portaudio.check_input_settings)
        self._output_rate = self._rate("output", "speaker", self._portaudio.check_output_settings)
        self._streams: list[Stream] = []
        self._muted = False
        self._synchronizer: Synchronizer | None = None

    async def attach(self, call: Call, session: AgentSession[Any]) -> None:
        self._call = call
        self._loop = loop = asyncio.get_running_loop()
        self._lost: asyncio.Future[None] = loop.create_future()
        self._caller = CallerInput(sample_rate=self._input_rate)
        self._agent = Playout(sample_rate=self._output_rate)
        call.subscribe(self._on_event)
        captions = Captions(call, Subtitles(call, session, self._screen))
        self._synchronizer = Synchronizer(next_in_chain_audio=self._agent, next_in_chain_text=captions)
        session.input.audio = self._caller
        session.output.audio = self._synchronizer.audio_output
        session.output.transcription = self._synchronizer.text_output
        self._open("microphone", self._portaudio.RawInputStream, self._input_rate, self._on_microphone)
        self._open("speaker", self._portaudio.RawOutputStream, self._output_rate, self._on_speaker)

    async def run(self) -> None:
        if self._screen:
            self._screen.notice("Wear headphones, or the agent hears itself. m mutes, Ctrl-C hangs up.")
        with hang_up_on_interrupt(self._call):
            keys = asyncio.create_task(self._follow_keys(self._keyboard or Keyboard()))
            try:
                await self._lost
            finally:
                keys.cancel()
                await asyncio.wait([keys])

    async def aclose(self) -> None:
        streams, self._streams = self._streams, []
        for stream in streams:
            stream.close()
        if self._synchronizer is not None:
            self._caller.close()
            self._agent.hang_up()
            await self._synchronizer.aclose()
        if self._screen:
            self._screen.close()

    def _rate(self, kind: str, what: str, check: Callable[..., None]) -> int:
        """Our own rate where the device can have it, else the device's (livekit resamples to that)."""
        try:
            device = self._portaudio.query_devices(kind=kind)
        except (self._portaudio.PortAudioError, ValueError) as error:
            raise AudioError(f"no {what} found: connect one and make it the system's default ({error})") from error
        try:
            check(channels=1, dtype="int16", samplerate=SAMPLE_RATE)
        except self._portaudio.PortAudioError:
            return int(device["default_samplerate"])
        return SAMPLE_RATE

    def _open(self, what: str, kind: Callable[..., Stream], rate: int, callback: Callable[..., None]) -> None:
        try:
            stream = kind(
                samplerate=rate,
                channels=1,
                dtype="int16",
                blocksize=int(rate * FRAME_SECONDS),
                callback=callback,
                finished_callback=lambda: self._on_finished(what),
            )
            self._streams.append(stream)
            stream.start()
        except self._portaudio.PortAudioError as error:
            raise AudioError(f"the {what} can't be opened: {error}") from error

    # -- called on PortAudio's own threads

    def _on_microphone(self, data: bytes, _frames: int, _time: object, _status: object) -> None:
        samples = np.frombuffer(bytes(data), np.int16)  # a copy: the buffer is PortAudio's
        self._loop.call_soon_threadsafe(self._caller.push, np.zeros_like(samples) if self._muted else samples)

    def _on_speaker(self, data: memoryview, frames: int, _time: object, _status: object) -> None:
        data[:] = self._agent.pull(frames).tobytes()

    def _on_finished(self, what: str) -> None:
        if self._streams:  # closing it ourselves ends it too
            self._loop.call_soon_threadsafe(self._lose, what)

    # -- called on the event loop

    def _lose(self, what: str) -> None:
        if not self._lost.done():
            self._lost.set_exception(AudioError(f"the {what} is gone: it was disconnected during the call"))

    async def _follow_keys(self, keyboard: Keyboard) -> None:
        if not keyboard.terminal:
            return
        with keyboard.raw() if self._screen else nullcontext():
            async for keys in keyboard.text():
                for key in keys:
                    if key in "mM":
                        self._mute(not self._muted)
                    elif key == END_OF_INPUT:
                        self._call.hang_up()
            self._call.hang_up()  # Ctrl-D where the terminal reads whole lines, or a terminal that is gone

    def _mute(self, muted: bool) -> None:
        self._muted = muted
        self._call.hold_silence(muted)
        if self._screen:
            self._screen.notice("-- the microphone is off: m --" if muted else "-- the microphone is on --")

    def _on_event(self, event: Event) -> None:
        if self._screen and isinstance(event, UserTurn):
            self._screen.caller(event.text)
