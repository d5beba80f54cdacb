"""/v1/listen, streamed and pre-recorded (https://developers.deepgram.com/reference/speech-to-text)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from aiohttp import web

from story.emulator.audio import AudioError, decoded, from_logarithmic
from story.emulator.exchange import Exchange, until
from story.emulator.hearing import Listener, Transcript, transcribe
from story.emulator.recogniser import SILENCE_SECONDS, Final, Interim, Recogniser
from story.emulator.socket import Socket
from story.emulator.vendor import VendorError

CONFIDENCE = 0.98
_NEVER = 3600.0
_PUNCTUATION = ".,!?;:…"


def spelled(transcript: Transcript, query: Mapping[str, str]) -> tuple[str, list[dict[str, object]]]:
    """The transcript and its words as the parameters want them: bare unless punctuation is asked for."""
    punctuated = query.get("punctuate") == "true" or query.get("smart_format") == "true"
    words: list[dict[str, object]] = []
    for word in transcript.words:
        bare = word.text.strip(_PUNCTUATION).lower()
        entry = {"word": bare, "start": round(word.start, 3), "end": round(word.end, 3), "confidence": CONFIDENCE}
        words.append(entry | ({"punctuated_word": word.text} if punctuated else {}))
    text = " ".join(str(word["punctuated_word" if punctuated else "word"]) for word in words)
    return text, words


def model_info(model: str) -> dict[str, str]:
    return {"name": model, "version": "emulated", "arch": "emulated"}


async def listen(socket: Socket) -> None:
    """Recognise what is streamed."""
    await _Listening(socket).run()


class _Listening:
    """One streaming session."""

    def __init__(self, socket: Socket) -> None:
        query = socket.query
        self._socket = socket
        self._request_id = str(uuid.uuid4())
        self._encoding = query.get("encoding", "linear16")
        if self._encoding not in ("linear16", "mulaw", "alaw"):
            raise VendorError(400, f"encoding={self._encoding}: send linear16, mulaw or alaw", "Bad Request")
        self._rate = round(socket.number_in("sample_rate", 16_000, 4_000, 192_000))
        if query.get("channels", "1") != "1":
            raise VendorError(400, "channels: one channel at a time", "Bad Request")
        listener = Listener(socket.emulation.ears, self._rate, silence=self._silence())
        self._recogniser = Recogniser(socket, listener, self._begun, self._interim, self._final)
        self._sha256 = hashlib.sha256()

    async def run(self) -> None:
        async for message in self._socket:
            if isinstance(message, bytes):
                if not message:
                    break  # as the API takes it: the end of the stream
                self._sha256.update(message)
                self._recogniser.hear(self._pcm(message))
                continue
            kind = message.get("type") if isinstance(message, dict) else None
            if kind == "Finalize":
                self._finalize()
            elif kind == "CloseStream":
                break
            elif kind != "KeepAlive":
                raise VendorError(400, "Could not deserialize last text message", "BAD_MESSAGE")
        else:
            return
        self._recogniser.finish()
        self._socket.later(self._socket.arrived, self._metadata)
        await self._socket.drained()

    def _silence(self) -> float:
        endpointing = self._socket.query.get("endpointing", "10")
        if endpointing == "false":
            return _NEVER
        if endpointing != "true" and not endpointing.isdecimal():
            raise VendorError(400, "endpointing must be false or a number of milliseconds", "Bad Request")
        return max(SILENCE_SECONDS, int(endpointing) / 1000 if endpointing.isdecimal() else 0.0)

    def _pcm(self, data: bytes) -> bytes:
        return data if self._encoding == "linear16" else from_logarithmic(data, self._encoding)

    def _finalize(self) -> None:
        if not self._recogniser.finish():
            at = self._recogniser.listener.now
            self._socket.later(self._socket.arrived, lambda: self._final(Final(Transcript(), at, at, asked=True)))

    async def _begun(self, start: float) -> None:
        if self._socket.query.get("vad_events") == "true":
            await self._socket.send({"type": "SpeechStarted", "channel": [0, 1], "timestamp": round(start, 2)})

    async def _interim(self, interim: Interim) -> None:
        if self._socket.query.get("interim_results") == "true":
            await self._results(interim.transcript, interim.start, interim.at, is_final=False)

    async def _final(self, final: Final) -> None:
        await self._results(final.transcript, final.start, final.end, is_final=True, asked=final.asked)
        if "utterance_end_ms" in self._socket.query and final.transcript.words:
            last = round(final.transcript.words[-1].end, 3)
            await self._socket.send({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": last})

    async def _results(
        self, transcript: Transcript, start: float, end: float, *, is_final: bool, asked: bool = False
    ) -> None:
        text, words = spelled(transcript, self._socket.query)
        alternative: dict[str, object] = {"transcript": text, "confidence": CONFIDENCE if text else 0.0, "words": words}
        if self._socket.query.get("language") == "multi":
            alternative["languages"] = ["en"]
        await self._socket.send(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "duration": round(end - start, 3),
                "start": round(start, 3),
                "is_final": is_final,
                "speech_final": is_final and bool(text or not asked),
                "from_finalize": asked,
                "channel": {"alternatives": [alternative]},
                "metadata": {
                    "request_id": self._request_id,
                    "model_info": model_info(self._socket.model),
                    "model_uuid": self._request_id,
                },
            }
        )

    async def _metadata(self) -> None:
        await self._socket.send(
            {
                "type": "Metadata",
                "transaction_key": "deprecated",
                "request_id": self._request_id,
                "sha256": self._sha256.hexdigest(),
                "created": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                "duration": round(self._recogniser.listener.now, 3),
                "channels": 1,
                "models": [self._request_id],
                "model_info": {
                    self._request_id: {"name": self._socket.model, "version": "emulated", "arch": "emulated"}
                },
            }
        )


async def prerecorded(exchange: Exchange) -> web.StreamResponse:
    """Recognise a recording."""
    data = await exchange.body()
    if exchange.request.content_type == "application/json":
        raise VendorError(400, "send the recording itself: this server fetches no addresses", "Bad Request")
    model = exchange.query.get("model", "base-general")
    due = exchange.due("stt", model)
    try:
        pcm, rate = await decoded(data)
    except AudioError:
        message = "failed to process audio: corrupt or unsupported data"
        raise VendorError(400, message, "Bad Request") from None
    text, words = spelled(await transcribe(exchange.emulation.ears, pcm, rate), exchange.query)
    await until(due)
    channel: dict[str, object] = {
        "alternatives": [{"transcript": text, "confidence": CONFIDENCE if text else 0.0, "words": words}]
    }
    if exchange.query.get("detect_language") == "true":
        channel |= {"detected_language": "en", "language_confidence": CONFIDENCE}
    request_id = str(uuid.uuid4())
    metadata = {
        "transaction_key": "deprecated",
        "request_id": request_id,
        "sha256": hashlib.sha256(data).hexdigest(),
        "created": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "duration": round(len(pcm) / 2 / rate, 3),
        "channels": 1,
        "models": [request_id],
        "model_info": {request_id: model_info(model)},
    }
    return await exchange.reply({"metadata": metadata, "results": {"channels": [channel]}})
