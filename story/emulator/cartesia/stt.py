"""/stt, /stt/websocket (ink-whisper) and /stt/turns/websocket (ink-2) (https://docs.cartesia.ai/api-reference/stt).

What is wrong with an address is told by an error in the socket, as the reference shows it for an unknown model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from story.emulator.audio import AudioError, decoded
from story.emulator.exchange import Exchange, Upload, until
from story.emulator.fields import optional
from story.emulator.hearing import Listener, Transcript, transcribe
from story.emulator.incoming import Raw, Samples, s16
from story.emulator.parameters import Query, number, whole
from story.emulator.recogniser import SILENCE_SECONDS, Final, Interim, Recogniser
from story.emulator.socket import Socket
from story.emulator.turns import END_SECONDS, NEVER, Patience, Turns, silence_for
from story.emulator.vendor import VendorError

USUAL = 0.2
"""The vendor's `turn_end_threshold`: how sure it still is that the caller goes on when it ends a turn."""
_MODEL = re.compile(r"ink-[\w-]+")
_ENCODINGS: Mapping[str, Samples] = {
    "pcm_s16le": "s16",
    "pcm_s32le": "s32",
    "pcm_f16le": "f16",
    "pcm_f32le": "f32",
    "pcm_mulaw": "mulaw",
    "pcm_alaw": "alaw",
}


@dataclass(frozen=True)
class Thresholds:
    """When turns end. The thresholds say how sure it is that the caller goes on: it falls while they are silent."""

    start: float = 0.8
    eager_end: float = 0.4
    end: float = USUAL
    end_timeout_ms: float = 5600

    def changed(self, query: Query, prefix: str) -> Thresholds:
        """These, with those that are given. Raises VendorError (400)."""
        changed = Thresholds(
            number(query, f"{prefix}start_threshold", self.start, 0.5, 0.9),
            number(query, f"{prefix}eager_end_threshold", self.eager_end, 0.3, 0.6),
            number(query, f"{prefix}end_threshold", self.end, 0.05, 0.5),
            number(query, f"{prefix}end_timeout_ms", self.end_timeout_ms, 640, 11_200),
        )
        if not changed.end < changed.eager_end < changed.start:
            raise VendorError(400, "the thresholds must be end < eager_end < start", "invalid_thresholds")
        return changed

    @property
    def patience(self) -> Patience:
        return Patience(
            finished=silence_for(1 - self.end, usual=1 - USUAL),
            longest=self.end_timeout_ms / 1000,
            eager=silence_for(1 - self.eager_end, usual=1 - USUAL),
        )


def _checked_model(model: str) -> str:
    if not _MODEL.fullmatch(model):
        message = "The model is not valid, make sure it is a valid model ID."
        raise VendorError(400, message, "model_not_found")
    return model


def _samples(query: Query) -> tuple[Samples, int]:
    """How sound comes, and its rate."""
    encoding = query.get("encoding", "")
    if encoding not in _ENCODINGS:
        known = ", ".join(_ENCODINGS)
        raise VendorError(400, f"unsupported encoding {encoding[:40]!r}: one of {known}", "invalid_encoding")
    return _ENCODINGS[encoding], whole(query, "sample_rate", None, 8_000, 48_000)


def _words(transcript: Transcript) -> list[dict[str, object]]:
    return [{"word": w.text, "start": round(w.start, 3), "end": round(w.end, 3)} for w in transcript.words]


async def _nothing(_: object) -> None:
    pass


async def turns(socket: Socket) -> None:
    """Recognise turns in what is streamed."""
    await _Turning(socket).run()


class _Turning:
    """One session that hears turns."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._request_id = socket.headers["x-request-id"]
        _checked_model(socket.model)
        samples, rate = _samples(socket.query)
        self._thresholds = Thresholds().changed(socket.query, "turn_")
        self._turns = Turns(
            socket,
            Listener(socket.emulation.ears, rate, silence=NEVER, pause=SILENCE_SECONDS),
            self._begun,
            self._interim,
            self._final,
            self._paused,
            self._resumed,
            patience=self._thresholds.patience,
        )
        self._incoming = Raw(samples, self._turns.take)
        self._before = ""

    async def run(self) -> None:
        await self._tell("connected")
        async for message in self._socket:
            if isinstance(message, bytes):
                await self._incoming.take(message)
                continue
            told = message if isinstance(message, dict) else {}
            if told.get("type") == "close":
                self._turns.finish()
                await self._socket.drained()
                return
            if told.get("type") != "config":
                raise VendorError(400, "expected audio, a config or a close message", "invalid_message")
            given = optional(told, "turn", dict) or {}
            self._thresholds = self._thresholds.changed({k: str(v) for k, v in given.items() if v is not None}, "")
            self._turns.patience = self._thresholds.patience

    async def _begun(self, _: float) -> None:
        await self._tell("turn.start")

    async def _interim(self, found: Interim) -> None:
        await self._tell("turn.update", found.transcript)

    async def _paused(self, found: Final) -> None:
        await self._tell("turn.eager_end", found.transcript)

    async def _resumed(self, _: Interim) -> None:
        await self._tell("turn.resume")

    async def _final(self, found: Final) -> None:
        await self._tell("turn.end", found.transcript)
        self._before = " " if found.transcript.words else self._before

    async def _tell(self, kind: str, transcript: Transcript | None = None) -> None:
        told: dict[str, object] = {"type": kind, "request_id": self._request_id}
        if transcript is not None:
            told["transcript"] = _joined(self._before, transcript)
        await self._socket.send(told)


async def finalised(socket: Socket) -> None:
    """Recognise what is streamed; the client says when a sentence is over, or a silence does."""
    request_id = socket.headers["x-request-id"]
    before = ""
    _checked_model(socket.model)
    samples, rate = _samples(socket.query)
    silence = number(socket.query, "max_silence_duration_secs", END_SECONDS, 0, 60)
    number(socket.query, "min_volume", 0, 0, 1)

    async def final(found: Final) -> None:
        nonlocal before
        if not found.transcript.words:
            return
        await socket.send(
            {
                "type": "transcript",
                "request_id": request_id,
                "is_final": True,
                "text": _joined(before, found.transcript),
                "duration": round(found.end - found.start, 3),
                "language": socket.query.get("language", "en"),
                "words": _words(found.transcript),
            }
        )
        before = " "

    async def tell(kind: str) -> None:
        await socket.send({"type": kind, "request_id": request_id})

    async def hear(pcm: bytes) -> None:
        recogniser.hear(pcm)

    listener = Listener(socket.emulation.ears, rate, silence=max(SILENCE_SECONDS, silence))
    recogniser = Recogniser(socket, listener, _nothing, _nothing, final)
    incoming = Raw(samples, hear)
    async for message in socket:
        if isinstance(message, bytes):
            await incoming.take(message)
        elif message == "finalize":
            recogniser.finish()
            socket.later(socket.arrived, lambda: tell("flush_done"))
        elif message in ("done", "close"):
            recogniser.finish()
            socket.later(socket.arrived, lambda: tell("done"))
            await socket.drained()
            return
        else:
            raise VendorError(400, "expected audio, finalize, done or close", "invalid_message")


def _joined(before: str, transcript: Transcript) -> str:
    """A text as clients put them together, without a space of their own: later ones bring theirs."""
    return before + transcript.text if transcript.words else ""


async def recording(exchange: Exchange) -> web.StreamResponse:
    """Recognise a recording."""
    form = await exchange.form()
    texts = {name: value for name, values in form.items() for value in values if isinstance(value, str)}
    upload = next((value for value in form.get("file", []) if isinstance(value, Upload)), None)
    if upload is None:
        raise VendorError(400, "file is required", "missing_file")
    model = _checked_model(texts.get("model", ""))
    due = exchange.due("stt", model)
    pcm, rate = await _decoded(upload.data, {**texts, **exchange.query})
    heard = await transcribe(exchange.emulation.ears, pcm, rate)
    await until(due)
    told: dict[str, object] = {"type": "transcript", "is_final": True, "text": heard.text}
    told |= {"language": texts.get("language", "en"), "duration": round(len(pcm) / 2 / rate, 3)}
    if "word" in form.get("timestamp_granularities[]", []):
        told["words"] = _words(heard)
    return await exchange.reply({**told, "request_id": exchange.headers["x-request-id"]})


async def _decoded(data: bytes, query: Query) -> tuple[bytes, int]:
    """A recording as s16le mono, and its rate: raw where an encoding is given."""
    if "encoding" in query and not data.startswith(b"RIFF"):
        samples, rate = _samples(query)
        return s16(data, samples), rate
    try:
        return await decoded(data)
    except AudioError:
        raise VendorError(400, "the audio can't be decoded", "invalid_audio") from None
