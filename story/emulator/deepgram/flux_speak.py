"""/v2/speak, the voices that speak in turns (https://developers.deepgram.com/docs/flux-tts)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from aiohttp import web

from story.emulator.deepgram import speak
from story.emulator.deepgram.models import FLUX_VOICES, check
from story.emulator.exchange import Exchange, until
from story.emulator.fields import optional, read
from story.emulator.parameters import Query, whole
from story.emulator.socket import Socket
from story.emulator.vendor import VendorError

SLOWEST, FASTEST, STEPS = 0.5, 1.5, 20
"""Of `speed`, which comes in steps of a twentieth."""
_NO_CONTROLS = {"pronunciations_applied": 0, "breaks_applied": 0, "pronunciation_warnings": 0}


class Options(speak.Options):
    """What the address asks for."""

    @classmethod
    def of(cls, query: Query) -> Options:
        """Of a websocket. Raises VendorError (400)."""
        model = check(query.get("model", ""), FLUX_VOICES)
        whole(query, "expressivity", 0, -2, 2)
        return cls(model, speak.sound_format(query, streamed=True), _speed_of(query))


async def synthesis(exchange: Exchange) -> web.StreamResponse:
    """Speak a text in one answer."""
    model = check(exchange.query.get("model", ""), FLUX_VOICES)
    return await speak.spoken(exchange, model, _speed_of(exchange.query))


async def flux_speak(socket: Socket) -> None:
    """Flux, streamed."""
    await _FluxSpeaking(socket, Options.of(socket.query)).run()


def _speed_of(query: Query) -> float:
    try:
        return checked_speed(float(query.get("speed", "1")))
    except ValueError:
        raise VendorError(400, "speed must be a number", "SPEED_OUT_OF_RANGE") from None


def checked_speed(speed: float) -> float:
    """`speed`, which must be one that the voices have. Raises VendorError (400)."""
    if not SLOWEST <= speed <= FASTEST:
        raise VendorError(400, f"speed must be from {SLOWEST} to {FASTEST}", "SPEED_OUT_OF_RANGE")
    if abs(speed * STEPS - round(speed * STEPS)) > 1e-6:
        raise VendorError(400, f"speed must be a multiple of {1 / STEPS}", "SPEED_INCREMENT_INVALID")
    return speed


class _FluxSpeaking(speak.Speaking):
    """A session whose turns have ids and can be interrupted."""

    def __init__(self, socket: Socket, options: Options) -> None:
        super().__init__(socket, options)
        self._configured = {"speed": options.speed} if "speed" in socket.query else {}
        self._speech_id = ""
        self._turn = ""
        self._turn_ms = 0
        self._total_ms = 0
        self._total_characters = 0
        self._interrupted_at = -1

    async def _greet(self) -> None:
        model = {"model_name": self._options.model, "model_version": "emulated", "model_uuids": [self._request_id]}
        await self._socket.send({"type": "Connected", "request_id": self._request_id, **model})

    async def _take(self, kind: str, told: Mapping[str, object]) -> None:
        if kind == "Configure":
            await self._configure(optional(told, "speed", float))
        elif kind == "Interrupt":
            await self._interrupt(told)
        else:
            raise VendorError(400, "Could not deserialize last text message", "MESSAGE-0000")

    async def _configure(self, speed: float | None) -> None:
        try:
            if speed is not None:
                self._speed = checked_speed(speed)
                self._configured = {"speed": speed}
        except VendorError as error:
            failure = {"code": error.code, "field": "speed", "value": speed, "description": error.message}
            await self._socket.send({"type": "ConfigureFailure", **failure})
            return
        await self._socket.send({"type": "ConfigureSuccess", "applied": self._configured})

    async def _speak(self, text: str, arrived: float) -> None:
        if not text:
            await self._warn("NO_ACTIVE_SPEECH", "there is no text to flush")
            return
        self._speech_id = f"dg_sp_{uuid.uuid4().hex[:12]}"
        self._turn, self._turn_ms = text, 0
        self._total_characters += len(text)
        if any(map(str.isalnum, text)):
            due, made = self._socket.due("tts", after=arrived), await self._made(text)
            await until(due)
            self._turn_ms = round(made.seconds * 1000)
            self._total_ms += self._turn_ms
            await self._socket.send({"type": "SpeechStarted", "speech_id": self._speech_id})
            await self._send_sound(made, due)
        else:
            await self._socket.send({"type": "SpeechStarted", "speech_id": self._speech_id})
            await self._warn("NO_SYNTHESIZABLE_TEXT", "the turn has nothing that could be spoken")
        await self._socket.send({"type": "SpeechMetadata", **self._metadata()})
        await self._socket.send({"type": "Flushed", "speech_id": self._speech_id})

    async def _interrupt(self, told: Mapping[str, object]) -> None:
        offset = optional(told, "playback_offset", dict)
        played = None if offset is None else read(offset, "value", int)
        if not self._total_ms:
            await self._warn("NO_AUDIO_GENERATED", "there is nothing to interrupt")
            return
        if played is not None and played <= self._interrupted_at:
            await self._warn("INVALID_INTERRUPT_OFFSET", "playback_offset must advance past the last interrupt's")
            return
        await self._stop()
        interrupted: dict[str, object] = {"type": "SpeechInterrupted", "audio_played_ms": self._total_ms}
        if played is not None:
            heard = min(max(0, played - (self._total_ms - self._turn_ms)), self._turn_ms)
            words = self._turn.split()
            count = round(len(words) * heard / max(1, self._turn_ms))
            interrupted |= {"audio_played_ms": played, "text_spoken": " ".join(words[:count])}
            interrupted["text_remaining"] = " ".join(words[count:])
            self._total_ms = self._interrupted_at = played
        await self._socket.send({**interrupted, "metadata": self._metadata()})

    async def _warn(self, code: str, description: str) -> None:
        await self._socket.send({"type": "Warning", "code": code, "description": description})

    async def _part(self) -> None:
        totals = {"total_audio_duration_ms": self._total_ms, "total_input_character_count": self._total_characters}
        billed = {"total_billable_character_count": self._total_characters}
        await self._socket.send({"type": "SessionMetadata", **totals, **billed})

    def _metadata(self) -> dict[str, object]:
        counts = {"input_character_count": len(self._turn), "billable_character_count": len(self._turn)}
        times = {"speech_id": self._speech_id, "audio_duration_ms": self._turn_ms}
        return {**times, **counts, "controls_applied": _NO_CONTROLS}
