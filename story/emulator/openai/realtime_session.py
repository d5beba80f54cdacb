"""The settings of a realtime session, as session.update changes them."""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Mapping
from typing import Any

from story.emulator.audio import Format
from story.emulator.fields import read
from story.emulator.vendor import VendorError

RATE = 24_000
_TELEPHONE_RATE = 8_000

EAGERNESS_SECONDS = {"low": 0.8, "medium": 0.5, "auto": 0.5, "high": 0.3}
"""Of silence after which semantic turn detection takes a turn for ended. The vendor waits up to 8, 4 and 2 s for a
sentence that is not finished; this one has no ear for that."""
_SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
_SEMANTIC_VAD = {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True}


class Session:
    """What a session is set to."""

    def __init__(self, model: str, *, transcription: bool) -> None:
        self.transcribes_only = transcription
        sound = {"type": "audio/pcm", "rate": RATE}
        heard = {"format": sound, "transcription": None, "noise_reduction": None, "turn_detection": dict(_SERVER_VAD)}
        self.data: dict[str, Any] = {
            "type": "transcription" if transcription else "realtime",
            "object": "realtime.transcription_session" if transcription else "realtime.session",
            "id": f"sess_{uuid.uuid4().hex[:20]}",
            "expires_at": int(time.time()) + 3600,
            "audio": {"input": heard},
            "include": None,
        }
        if not transcription:
            self.data |= {
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
            self.data["audio"]["output"] = {"format": dict(sound), "voice": "marin", "speed": 1.0}

    def update(self, changes: Mapping[str, object]) -> None:
        """Merge `changes` in: what they leave out stays, null unsets. Raises VendorError; then nothing changes."""
        kind = changes.get("type", self.data["type"])
        if kind != self.data["type"]:
            raise VendorError(400, "Passing a different session type is not allowed.", "invalid_value")
        merged = copy.deepcopy(self.data)
        for name, value in changes.items():
            if name == "audio":
                self._merge_audio(merged["audio"], _table(changes, "audio"))
            else:
                merged[name] = copy.deepcopy(value)
        before, self.data = self.data, merged
        try:
            self._check()
        except VendorError:
            self.data = before
            raise

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
            return EAGERNESS_SECONDS[detection["eagerness"]]
        return max(0.05, float(detection["silence_duration_ms"]) / 1000)

    @property
    def input_format(self) -> Format:
        return _format(self.data["audio"]["input"]["format"])

    @property
    def output_format(self) -> Format:
        return _format(self.data["audio"].get("output", {}).get("format"))

    @property
    def voice(self) -> str | None:
        voice = self.data["audio"].get("output", {}).get("voice")
        return voice if isinstance(voice, str) else None

    @staticmethod
    def _merge_audio(audio: dict[str, Any], changes: Mapping[str, object]) -> None:
        for side in changes:
            told = _table(changes, side)
            here = audio.setdefault(side, {})
            for name, value in told.items():
                if isinstance(value, dict) and isinstance(here.get(name), dict) and name != "turn_detection":
                    here[name] = {**here[name], **value}
                else:
                    here[name] = copy.deepcopy(value)

    def _check(self) -> None:
        heard = self.data["audio"]["input"]
        detection = heard.get("turn_detection")
        if detection is not None:
            kind = read(_table(heard, "turn_detection"), "type", str, "server_vad")
            if kind not in ("server_vad", "semantic_vad"):
                raise _invalid(kind, "session.audio.input.turn_detection.type", ("server_vad", "semantic_vad"))
            whole = {**(_SERVER_VAD if kind == "server_vad" else _SEMANTIC_VAD), **detection, "type": kind}
            if whole.get("eagerness", "auto") not in EAGERNESS_SECONDS:
                where = "session.audio.input.turn_detection.eagerness"
                raise _invalid(whole["eagerness"], where, tuple(EAGERNESS_SECONDS))
            read(whole, "silence_duration_ms", float, 500.0)
            heard["turn_detection"] = whole
        if heard.get("transcription") is not None:
            _table(heard, "transcription")
        _format(heard.get("format"))
        _format(self.data["audio"].get("output", {}).get("format"))
        if not self.transcribes_only:
            if self.data["output_modalities"] not in (["audio"], ["text"]):
                raise _invalid(self.data["output_modalities"], "session.output_modalities", ("['audio']", "['text']"))
            read(self.data, "instructions", str, "")
            read(self.data, "tools", list, [])


def _table(data: Mapping[str, object], name: str) -> dict[str, Any]:
    return read(data, name, dict)


def _format(told: object) -> Format:
    if told is None:
        return Format("pcm", RATE)
    kind = told.get("type") if isinstance(told, dict) else told
    if kind == "audio/pcm":
        return Format("pcm", RATE)
    if kind == "audio/pcmu":
        return Format("mulaw", _TELEPHONE_RATE)
    if kind == "audio/pcma":
        return Format("alaw", _TELEPHONE_RATE)
    raise _invalid(kind, "session.audio.format.type", ("audio/pcm", "audio/pcmu", "audio/pcma"))


def _invalid(value: object, where: str, known: tuple[str, ...]) -> VendorError:
    listed = ", ".join(f"'{name}'" for name in known)
    return VendorError(400, f"Invalid value: '{value}' for '{where}'. Supported values are: {listed}.", "invalid_value")
