"""/v1/listen, streamed and pre-recorded (https://developers.deepgram.com/reference/speech-to-text)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from story.emulator.audio import AudioError, decoded
from story.emulator.deepgram.models import NOVA, check
from story.emulator.deepgram.sound import Sound
from story.emulator.exchange import Exchange, until
from story.emulator.fields import optional
from story.emulator.hearing import Listener, Transcript, transcribe
from story.emulator.incoming import s16
from story.emulator.parameters import INVALID, Query, whole
from story.emulator.recogniser import SILENCE_SECONDS, Final, Interim, Recogniser
from story.emulator.socket import Socket
from story.emulator.vendor import VendorError

CONFIDENCE = 0.98
DEFAULT_MODEL = "base-general"
_UNENDPOINTED_SECONDS = 1.0
"""Of silence after which there is enough for a result where no ends of speech are asked for."""
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


@dataclass(frozen=True)
class Options:
    """What the address asks for. silence: seconds that end an utterance. gap: those after which UtteranceEnd comes.

    endpointed: whether the end of speech is told, or results come when there is enough for one.
    """

    model: str
    sound: Sound
    silence: float
    endpointed: bool
    gap: float | None

    @classmethod
    def of(cls, query: Query) -> Options:
        """Raises VendorError (400)."""
        model = check(query.get("model", DEFAULT_MODEL), NOVA)
        sound = Sound.of(query, 4_000, 192_000)
        if query.get("channels", "1") != "1":
            raise VendorError(400, "channels: one channel at a time", INVALID, param="channels")
        endpointing = query.get("endpointing", "10")
        endpointed = endpointing != "false"
        silence = _UNENDPOINTED_SECONDS
        if endpointed:
            wait = 0 if endpointing == "true" else whole(query, "endpointing", 10, 0, 60_000)
            silence = max(SILENCE_SECONDS, wait / 1000)
        gap = whole(query, "utterance_end_ms", 1000, 1, 60_000) / 1000 if "utterance_end_ms" in query else None
        return cls(model, sound, silence, endpointed, gap)


async def listen(socket: Socket) -> None:
    """Recognise what is streamed."""
    await _Listening(socket).run()


class _Listening:
    """One streaming session."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._options = Options.of(socket.query)
        self._request_id = socket.headers["dg-request-id"]
        listener = Listener(socket.emulation.ears, self._options.sound.rate, silence=self._options.silence)
        self._recogniser = Recogniser(socket, listener, self._begun, self._interim, self._final)
        self._incoming = self._options.sound.incoming(socket, self._hear)
        self._last_word: float | None = None
        self._sha256 = hashlib.sha256()

    async def run(self) -> None:
        async for message in self._socket:
            if isinstance(message, bytes):
                if not message:
                    break  # as the API takes it: the end of the stream
                self._sha256.update(message)
                await self._incoming.take(message)
                continue
            told = message if isinstance(message, dict) else {}
            kind = told.get("type")
            if kind == "Finalize":
                await self._incoming.settled()
                self._finalize()
            elif kind == "Configure":
                self._configure(told)
            elif kind == "CloseStream":
                break
            elif kind != "KeepAlive":
                raise VendorError(400, "Could not deserialize last text message", "SchemaError")
        else:
            return
        await self._incoming.end()
        self._recogniser.finish()
        self._socket.later(self._socket.arrived, self._metadata)
        await self._socket.drained()

    async def _hear(self, pcm: bytes) -> None:
        self._recogniser.hear(pcm)
        listener = self._recogniser.listener
        if self._options.gap is not None and not listener.speaking:
            now = listener.now
            self._socket.later(self._socket.arrived, lambda: self._utterance_end(now))

    def _finalize(self) -> None:
        if not self._recogniser.finish():
            at = self._recogniser.listener.now
            self._socket.later(self._socket.arrived, lambda: self._final(Final(Transcript(), at, at, asked=True)))

    def _configure(self, told: Mapping[str, object]) -> None:
        try:
            keyterms = optional(told, "keyterms", list)
            optional(told, "features", dict)
        except VendorError as error:
            raise VendorError(400, error.message, "SchemaError") from None
        answer: dict[str, object] = {"type": "ConfigureSuccess", "request_id": self._request_id}
        if keyterms is not None and not self._options.model.startswith("nova-3"):
            answer |= {"type": "ConfigureFailure", "code": "CONFIGURE_KEYTERMS_NOT_SUPPORTED"}
            answer["description"] = "Only Nova-3 models take keyterms"
        elif keyterms is not None:
            answer["keyterms"] = keyterms
        self._socket.later(self._socket.arrived, lambda: self._socket.send(answer))

    async def _begun(self, start: float) -> None:
        await self._utterance_end(start)
        if self._socket.query.get("vad_events") == "true":
            await self._socket.send({"type": "SpeechStarted", "channel": [0, 1], "timestamp": round(start, 2)})

    async def _interim(self, interim: Interim) -> None:
        if self._socket.query.get("interim_results") == "true":
            await self._results(interim.transcript, interim.start, interim.at, is_final=False)

    async def _final(self, final: Final) -> None:
        await self._results(final.transcript, final.start, final.end, is_final=True, asked=final.asked)
        if final.transcript.words:
            self._last_word = final.transcript.words[-1].end

    async def _utterance_end(self, at: float) -> None:
        """Tell that no word came for long, if so, once."""
        last, gap = self._last_word, self._options.gap
        if last is None or gap is None or at - last < gap:
            return
        self._last_word = None
        await self._socket.send({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": round(last, 3)})

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
                "speech_final": is_final and self._options.endpointed and bool(text or not asked),
                "from_finalize": asked,
                "channel": {"alternatives": [alternative]},
                "metadata": {
                    "request_id": self._request_id,
                    "model_info": model_info(self._options.model),
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
                "model_info": {self._request_id: model_info(self._options.model)},
            }
        )


async def prerecorded(exchange: Exchange) -> web.StreamResponse:
    """Recognise a recording."""
    data = await exchange.body()
    if exchange.request.content_type == "application/json":
        raise VendorError(400, "send the recording itself: this server fetches no addresses", "Bad Request")
    model = check(exchange.query.get("model", DEFAULT_MODEL), NOVA)
    due = exchange.due("stt", model)
    pcm, rate = await _decoded(data, Sound.of(exchange.query, 4_000, 192_000))
    text, words = spelled(await transcribe(exchange.emulation.ears, pcm, rate), exchange.query)
    await until(due)
    channel: dict[str, object] = {
        "alternatives": [{"transcript": text, "confidence": CONFIDENCE if text else 0.0, "words": words}]
    }
    if exchange.query.get("detect_language") == "true":
        channel |= {"detected_language": "en", "language_confidence": CONFIDENCE}
    request_id = exchange.headers["dg-request-id"]
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


async def _decoded(data: bytes, sound: Sound) -> tuple[bytes, int]:
    """A recording as s16le mono, and its rate."""
    if sound.samples is not None and not data.startswith(b"RIFF"):
        return s16(data, sound.samples), sound.rate
    try:
        return await decoded(data)
    except AudioError:
        message = "Bad Request: failed to process audio: corrupt or unsupported data"
        raise VendorError(400, message, "Bad Request") from None
