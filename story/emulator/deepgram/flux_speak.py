"""/v2/speak, the voices that speak in turns (https://developers.deepgram.com/docs/flux-tts)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from story.emulator.deepgram.speak import Speaking
from story.emulator.exchange import until
from story.emulator.fields import optional, read
from story.emulator.socket import Socket
from story.emulator.vendor import VendorError

_NO_CONTROLS = {"pauses_applied": 0, "pronunciations_applied": 0, "pronunciation_warnings": 0}


async def flux_speak(socket: Socket) -> None:
    """Flux, streamed."""
    await _FluxSpeaking(socket).run()


class _FluxSpeaking(Speaking):
    """A session whose turns have ids and can be interrupted."""

    def __init__(self, socket: Socket) -> None:
        super().__init__(socket)
        self._speech_id = ""
        self._turn = ""
        self._turn_ms = 0
        self._total_ms = 0
        self._total_characters = 0

    async def _greet(self) -> None:
        model = {"model_name": self._socket.model, "model_version": "emulated", "model_uuids": [self._request_id]}
        await self._socket.send({"type": "Connected", "request_id": self._request_id, **model})

    async def _take(self, kind: str, told: Mapping[str, object]) -> None:
        if kind == "Configure":
            speed = optional(told, "speed", float)
            applied = {} if speed is None else {"speed": speed}
            await self._socket.send({"type": "ConfigureSuccess", "applied": applied})
        elif kind == "Interrupt":
            await self._interrupt(told)
        else:
            raise VendorError(400, "Could not deserialize last text message", "INVALID_MESSAGE")

    async def _speak(self, text: str, arrived: float) -> None:
        self._speech_id = str(uuid.uuid4())
        if text.strip():
            due, made = self._socket.due("tts", after=arrived), await self._made(text)
            await until(due)
            self._turn, self._turn_ms = text, round(made.seconds * 1000)
            self._total_ms += self._turn_ms
            self._total_characters += len(text)
            await self._socket.send({"type": "SpeechStarted", "speech_id": self._speech_id})
            await self._send_sound(made, due)
            await self._socket.send({"type": "SpeechMetadata", **self._metadata()})
        await self._socket.send({"type": "Flushed", "speech_id": self._speech_id})

    async def _interrupt(self, told: Mapping[str, object]) -> None:
        await self._stop()
        offset = optional(told, "playback_offset", dict)
        interrupted: dict[str, object] = {"type": "SpeechInterrupted", "audio_played_ms": self._total_ms}
        if offset is not None:
            played = read(offset, "value", int)
            heard = min(max(0, played - (self._total_ms - self._turn_ms)), self._turn_ms)
            words = self._turn.split()
            count = round(len(words) * heard / max(1, self._turn_ms))
            interrupted |= {"audio_played_ms": played, "text_spoken": " ".join(words[:count])}
            interrupted["text_remaining"] = " ".join(words[count:])
            self._total_ms = played
        await self._socket.send({**interrupted, "metadata": self._metadata()})

    async def _part(self) -> None:
        totals = {"total_audio_duration_ms": self._total_ms, "total_input_character_count": self._total_characters}
        billed = {"total_billable_character_count": self._total_characters}
        await self._socket.send({"type": "SessionMetadata", **totals, **billed})

    def _metadata(self) -> dict[str, object]:
        counts = {"input_character_count": len(self._turn), "billable_character_count": len(self._turn)}
        times = {"speech_id": self._speech_id, "audio_duration_ms": self._turn_ms}
        return {**times, **counts, "controls_applied": _NO_CONTROLS}
