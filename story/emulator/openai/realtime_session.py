"""The settings of a realtime session, as session.update changes them."""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Mapping
from typing import Any

from story.emulator.audio import Format
from story.emulator.fields import read
from story.emulator.openai.realtime_fields import SESSION, TRANSCRIPTION_SESSION
from story.emulator.vendor import VendorError

RATE = 24_000
_TELEPHONE_RATE = 8_000

EAGERNESS_SECONDS = {"low": 0.8, "medium": 0.5, "auto": 0.5, "high": 0.3}
"""Of silence after which semantic turn detection takes a turn for ended, if its words are a whole sentence."""
LONGEST_SECONDS = {"low": 8.0, "medium": 4.0, "auto": 4.0, "high": 2.0}
"""Of silence after which it takes any turn for ended, as the vendor says."""
_SERVER_VAD: Mapping[str, object] = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
_SEMANTIC_VAD: Mapping[str, object] = {
    "type": "semantic_vad",
    "eagerness": "auto",
    "create_response": True,
    "interrupt_response": True,
}
_OF_RESPONSES = ("idle_timeout_ms", "create_response", "interrupt_response")

_NULLABLE = ("transcription", "noise_reduction", "turn_detection")
"""What null turns off; of everything else it restores the default."""
_MERGED = ("transcription", "noise_reduction")
"""Of what an update may give a part."""


class Session:
    """What a session is set to."""

    def __init__(self, model: str, *, transcription: bool) -> None:
        """model: as the address names it; "" where it names none, then an update may."""
        self.transcribes_only = transcription
        self.data = _defaults(model, transcription=transcription)
        self._initial = copy.deepcopy(self.data)
        self._fixed_model = model

    def update(self, changes: Mapping[str, object], *, has_spoken: bool = False) -> None:
        """Merge `changes` in: what they leave out stays, null unsets.

        has_spoken: whether the model has, after which it keeps its voice. Raises VendorError; then nothing changes.
        """
        if changes.get("type") not in (None, self.data["type"]):
            message = "Passing a different session type is not allowed."
            raise VendorError(400, message, "invalid_value", param="session.type")
        (TRANSCRIPTION_SESSION if self.transcribes_only else SESSION)(changes, "session")
        merged = copy.deepcopy(self.data)
        for name, value in changes.items():
            if name == "audio":
                self._merge_audio(merged["audio"], read(changes, "audio", dict, {}))
            else:
                merged[name] = copy.deepcopy(value if value is not None else self._initial.get(name))
        if self._fixed_model and merged.get("model") != self.data.get("model"):
            message = f"A session of model '{self._fixed_model}' can't be changed to another model."
            raise VendorError(400, message, "invalid_value", param="session.model")
        if has_spoken and merged["audio"].get("output", {}).get("voice") != self.output.get("voice"):
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise VendorError(400, message, "cannot_update_voice")
        self.data = merged

    @property
    def model(self) -> str:
        return str(self.data.get("model") or "")

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.data["audio"]["input"]["turn_detection"]
        return found

    @property
    def transcription_model(self) -> str | None:
        """What writes down what the caller says; None where nobody asked for it."""
        transcription = self.data["audio"]["input"]["transcription"]
        return str(transcription.get("model") or "gpt-4o-mini-transcribe") if transcription is not None else None

    @property
    def silence(self) -> float:
        """Seconds without sound that end a turn."""
        detection: Mapping[str, Any] = self.turn_detection or _SERVER_VAD
        if detection["type"] == "semantic_vad":
            return LONGEST_SECONDS[detection["eagerness"]]
        return max(0.05, float(detection["silence_duration_ms"]) / 1000)

    @property
    def pause(self) -> float | None:
        """Seconds without sound that end a turn whose words are a whole sentence; None where words don't matter."""
        detection: Mapping[str, Any] = self.turn_detection or _SERVER_VAD
        return EAGERNESS_SECONDS[detection["eagerness"]] if detection["type"] == "semantic_vad" else None

    @property
    def input_format(self) -> Format:
        return format_of(self.data["audio"]["input"]["format"])

    @property
    def output(self) -> dict[str, Any]:
        """Format, voice and speed of what the model says; empty where it says nothing."""
        told: dict[str, Any] = self.data["audio"].get("output", {})
        return told

    def _merge_audio(self, audio: dict[str, Any], changes: Mapping[str, object]) -> None:
        for side in changes:
            here = audio[side]
            for name, value in read(changes, side, dict, {}).items():
                if name == "turn_detection" and isinstance(value, dict):
                    given = {field: told for field, told in value.items() if told is not None}
                    here[name] = {**_detection(str(value["type"]), transcription=self.transcribes_only), **given}
                elif isinstance(value, dict) and isinstance(here[name], dict) and name in _MERGED:
                    here[name] = {**here[name], **value}
                elif value is None and name not in _NULLABLE:
                    here[name] = copy.deepcopy(self._initial["audio"][side][name])
                else:
                    here[name] = copy.deepcopy(value)


def _detection(kind: str, *, transcription: bool) -> dict[str, object]:
    """A kind of turn detection as it is by default. A session that only transcribes has no responses to begin."""
    whole = _SERVER_VAD if kind == "server_vad" else _SEMANTIC_VAD
    return {name: value for name, value in whole.items() if not (transcription and name in _OF_RESPONSES)}


def format_of(told: Mapping[str, object]) -> Format:
    """The format of sound that an object of the API names."""
    if told["type"] == "audio/pcm":
        return Format("pcm", RATE)
    return Format("mulaw" if told["type"] == "audio/pcmu" else "alaw", _TELEPHONE_RATE)


def voice_of(told: object) -> str | None:
    """The name of a voice, or the id of one of the user's own."""
    voice = told.get("id") if isinstance(told, dict) else told
    return voice if isinstance(voice, str) else None


def _defaults(model: str, *, transcription: bool) -> dict[str, Any]:
    sound = {"type": "audio/pcm", "rate": RATE}
    heard = {
        "format": sound,
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": _detection("server_vad", transcription=transcription),
    }
    data: dict[str, Any] = {
        "type": "transcription" if transcription else "realtime",
        "object": "realtime.transcription_session" if transcription else "realtime.session",
        "id": f"sess_{uuid.uuid4().hex[:20]}",
        "expires_at": int(time.time()) + 3600,
        "audio": {"input": heard},
        "include": None,
    }
    if not transcription:
        data |= {
            "model": model or "gpt-realtime",
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
        }
        data["audio"]["output"] = {"format": dict(sound), "voice": "marin", "speed": 1.0}
    return data
