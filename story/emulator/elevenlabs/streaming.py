"""The websockets that speak while text is written (https://elevenlabs.io/docs/api-reference/text-to-speech).

`stream-input` has one context, `multi-stream-input` many; that of dialogues writes its names in snake case, and its
times begin anew with each message.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from story.emulator.audio import chunks
from story.emulator.elevenlabs.formats import DEFAULT_FORMAT, alignment_ms, output_format
from story.emulator.exchange import until
from story.emulator.fields import objects, optional, read
from story.emulator.latency import Stage
from story.emulator.parameters import number
from story.emulator.socket import Socket
from story.emulator.synthesis import synthesise
from story.emulator.vendor import VendorError

SCHEDULE_CHARACTERS = 120
"""Text that is synthesised without being asked to: the first step of the vendor's default `chunk_length_schedule`."""
MOST_CONTEXTS = 5
"""Open at once on one websocket (https://github.com/livekit/agents-js/issues/1985)."""
IDLE_SECONDS, LONGEST_IDLE_SECONDS = 20.0, 180.0
"""`inactivity_timeout`: its default and its limit (help.elevenlabs.io, "How can I keep the WebSocket open?")."""
_CHUNK_BYTES = 4096


@dataclass
class _Context:
    """What is said in one go. seconds: of sound so far."""

    voice: str
    text: str = ""
    seconds: float = 0.0
    begun: bool = False
    work: asyncio.Task[None] | None = field(default=None, repr=False)
    idle: asyncio.TimerHandle | None = field(default=None, repr=False)

    def touch(self, seconds: float, closed: Callable[[], object]) -> None:
        """Call `closed` unless it is touched again within so many seconds."""
        self.rest()
        self.idle = asyncio.get_running_loop().call_later(seconds, closed)

    def rest(self) -> None:
        """Wait for nothing any more."""
        if self.idle is not None:
            self.idle.cancel()


async def single_context(socket: Socket) -> None:
    """`stream-input`: text until an empty one."""
    speaker = _Speaker(socket, socket.request.match_info["voice"])
    context = _Context(speaker.voice)
    idle = _idle_seconds(socket)
    error = VendorError(408, f"No new text input within {idle:g} seconds", "input_timeout_exceeded")

    def keep() -> None:
        context.touch(idle, lambda: socket.beside(_raised(error)))

    socket.at_end(context.rest)
    keep()
    async for message in socket:
        told = _object(message)
        keep()
        text = read(told, "text", str)
        if not text:
            context.rest()
            speaker.speak(context, None)
            await speaker.end(context, None)
            return
        context.text += text
        enough = len(context.text) >= SCHEDULE_CHARACTERS or read(told, "try_trigger_generation", bool, False)
        if read(told, "flush", bool, False) or enough or socket.query.get("auto_mode") == "true":
            speaker.speak(context, None)


async def multi_context(socket: Socket) -> None:
    """`multi-stream-input`: contexts side by side."""
    await _Contexts(socket, socket.request.match_info["voice"]).run()


async def dialogue(socket: Socket) -> None:
    """The same for dialogues."""
    await _Contexts(socket, "", is_dialogue=True).run()


class _Contexts:
    """The contexts of one websocket."""

    def __init__(self, socket: Socket, voice: str, *, is_dialogue: bool = False) -> None:
        self._socket = socket
        self._voice = voice
        self._is_dialogue = is_dialogue
        self._contexts: dict[str, _Context] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._speaker = _Speaker(socket, voice, is_dialogue=is_dialogue)
        self._idle = _idle_seconds(socket)
        socket.at_end(self._rest)

    async def run(self) -> None:
        async for message in self._socket:
            told = _object(message)
            if read(told, "close_socket", bool, False):
                for context_id in tuple(self._contexts):
                    self._close(context_id)
                await asyncio.gather(*self._ending, return_exceptions=True)
                return
            self._take(told)

    def _take(self, told: Mapping[str, object]) -> None:
        context_id = self._socket.context = read(told, "context_id", str, "default")
        closing = read(told, "close_context", bool, False)
        context = self._contexts.get(context_id)
        if context is None:
            if closing:
                return  # it has been closed before
            context = self._open(context_id)
        context.touch(self._idle, lambda: self._close(context_id))
        if closing and not self._is_dialogue:
            context.text = ""  # what was not flushed is dropped; a dialogue is spoken to its end
            self._close(context_id)
            return
        context.text += self._text_of(told, context)
        if closing:
            self._close(context_id)
        elif read(told, "flush", bool, False) or len(context.text) >= SCHEDULE_CHARACTERS:
            self._speaker.speak(context, context_id)

    def _open(self, context_id: str) -> _Context:
        if len(self._contexts) == MOST_CONTEXTS:
            message = f"Maximum simultaneous contexts per WebSocket connection exceeded ({MOST_CONTEXTS})."
            raise VendorError(400, message, "max_active_conversations")
        context = self._contexts[context_id] = _Context(self._voice)
        return context

    def _close(self, context_id: str) -> None:
        """Speak what is left of it and say that this was all; its id is free again."""
        context = self._contexts.pop(context_id)
        context.rest()
        self._speaker.speak(context, context_id)
        ending = self._speaker.end(context, context_id)
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _rest(self) -> None:
        for context in self._contexts.values():
            context.rest()

    def _text_of(self, told: Mapping[str, object], context: _Context) -> str:
        if not self._is_dialogue:
            text = read(told, "text", str, "")
            return text if text.strip() or context.text else ""
        inputs = objects(told, "inputs")
        for line in inputs:
            context.voice = read(line, "voice_id", str, context.voice)
        return "".join(read(line, "text", str, "") for line in inputs)


class _Speaker:
    """Speaks what contexts have gathered, each context's in order."""

    def __init__(self, socket: Socket, voice: str, *, is_dialogue: bool = False) -> None:
        self.voice = voice
        self._socket = socket
        self._is_dialogue = is_dialogue
        self._format = output_format(socket.query.get("output_format", DEFAULT_FORMAT))

    def speak(self, context: _Context, context_id: str | None) -> None:
        """Speak the text so far."""
        text, context.text = context.text, ""
        if text.strip():
            work = self._speak(context, context_id, text, context.work, self._socket.arrived)
            context.work = self._socket.beside(work)

    def end(self, context: _Context, context_id: str | None) -> asyncio.Task[None]:
        """Say that no more is coming."""
        work = context.work = self._socket.beside(self._end(context_id, context.work))
        return work

    async def _speak(
        self, context: _Context, context_id: str | None, text: str, before: asyncio.Task[None] | None, arrived: float
    ) -> None:
        latencies, model = self._socket.emulation.latencies, self._socket.model
        due = arrived if context.begun else arrived + latencies.draw("elevenlabs", "tts", model, Stage.FIRST)
        context.begun = True
        made = await synthesise(self._socket.emulation, text, self._format, voice=context.voice)
        if before is not None:
            await before
        pace = latencies.draw("elevenlabs", "tts", model, Stage.AUDIO)
        step = pace * made.seconds * _CHUNK_BYTES / max(_CHUNK_BYTES, len(made.data))
        since = 0.0 if self._is_dialogue else context.seconds
        aligned: object = alignment_ms(made, since, snake=self._is_dialogue)
        due = max(due, asyncio.get_running_loop().time())  # of a later sentence, its sound begins after the last
        await until(due)
        for data in chunks(made.data, _CHUNK_BYTES):
            await self._send_sound(context_id, data, aligned)
            aligned = None
            await until(due := due + step)
        context.seconds += made.seconds

    async def _send_sound(self, context_id: str | None, data: bytes, aligned: object) -> None:
        told: dict[str, object] = {"audio": base64.b64encode(data).decode(), "alignment": aligned}
        if self._is_dialogue:
            await self._socket.send({**told, "context_id": context_id, "is_final": None})
            return
        told |= {"normalizedAlignment": aligned, "isFinal": None}
        await self._socket.send(told if context_id is None else {**told, "contextId": context_id})

    async def _end(self, context_id: str | None, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        if self._is_dialogue:
            await self._socket.send({"context_id": context_id, "is_final": True})
        elif context_id is None:
            await self._socket.send({"audio": None, "isFinal": True, "normalizedAlignment": None, "alignment": None})
        else:
            await self._socket.send({"contextId": context_id, "isFinal": True})


def _idle_seconds(socket: Socket) -> float:
    return number(socket.query, "inactivity_timeout", IDLE_SECONDS, 1, LONGEST_IDLE_SECONDS)


async def _raised(error: VendorError) -> None:
    raise error


def _object(message: object) -> Mapping[str, object]:
    if not isinstance(message, dict):
        raise VendorError(400, "Invalid message: expected a JSON object", "invalid_message")
    optional(message, "voice_settings", dict)
    return message
