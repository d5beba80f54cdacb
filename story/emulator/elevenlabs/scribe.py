"""/v1/speech-to-text and its realtime websocket (https://elevenlabs.io/docs/api-reference/speech-to-text)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web

from story.emulator.audio import AudioError, decoded, from_logarithmic
from story.emulator.exchange import Exchange, Upload, until
from story.emulator.fields import read, sound
from story.emulator.hearing import Ended, Going, Listener, Transcript, Utterance, Word, transcribe
from story.emulator.parameters import number
from story.emulator.socket import Socket
from story.emulator.vendor import VendorError

SHORTEST_SECONDS = 0.3
"""Of sound in a commit."""
_LONGEST_PAUSE = 0.2
"""Seconds of silence that end an utterance inside of what will be committed together."""


def _words(transcript: Transcript, *, spaced: bool) -> list[dict[str, object]]:
    """The words, and where `spaced` what is between them."""
    found: list[dict[str, object]] = []
    last: Word | None = None
    for word in transcript.words:
        if spaced and last is not None:
            found.append(_entry(Word(" ", last.end, word.start), "spacing"))
        found.append(_entry(word, "word"))
        last = word
    return found


def _entry(word: Word, kind: str) -> dict[str, object]:
    times = {"start": round(word.start, 3), "end": round(word.end, 3)}
    return {"text": word.text, **times, "type": kind, "speaker_id": "speaker_0", "logprob": -0.02}


async def scribe_recording(exchange: Exchange) -> web.StreamResponse:
    """Recognise a recording."""
    form = await exchange.form()
    model = next((value for value in form.get("model_id", []) if isinstance(value, str)), None)
    upload = next((value for value in form.get("file", []) if isinstance(value, Upload)), None)
    if model is None or upload is None:
        raise VendorError(422, "model_id and file are required", "invalid_request")
    due = exchange.due("stt", model)
    try:
        pcm, rate = await decoded(upload.data)
    except AudioError:
        raise VendorError(400, "The audio can't be decoded", "invalid_audio") from None
    heard = await transcribe(exchange.emulation.ears, pcm, rate)
    await until(due)
    language = {"language_code": "eng", "language_probability": 0.99}
    words = _words(heard, spaced=True)
    return await exchange.reply({**language, "text": heard.text, "words": words, "transcription_id": uuid.uuid4().hex})


@dataclass
class _Said:
    """An utterance that is over but not committed. end: its last sound, seconds of the stream."""

    utterance: Utterance
    end: float
    heard: Transcript | None = field(default=None, repr=False)

    async def words(self) -> tuple[Word, ...]:
        """Partial transcripts want them too, and an utterance tells its last words once."""
        if self.heard is None:
            self.heard = await self.utterance.final(self.end)
        return self.heard.words


async def scribe(socket: Socket) -> None:
    """Recognise what is streamed."""
    await _Scribe(socket).run()


class _Scribe:
    """One streaming session. What is heard is committed by the client, or by a silence."""

    def __init__(self, socket: Socket) -> None:
        query = socket.query
        self._socket = socket
        codec, _, rate = query.get("audio_format", "pcm_16000").partition("_")
        if codec not in ("pcm", "ulaw") or not rate.isdecimal() or not 8_000 <= int(rate) <= 48_000:
            raise VendorError(400, f"Invalid audio_format: {query.get('audio_format')}", "input_error")
        self._codec, self._rate = codec, int(rate)
        self._by_silence = query.get("commit_strategy", "manual") == "vad"
        pause = number(query, "vad_silence_threshold_secs", 1.5, 0.1, 10) if self._by_silence else _LONGEST_PAUSE
        self._listener = Listener(socket.emulation.ears, self._rate, silence=max(_LONGEST_PAUSE, pause))
        wanted = ("include_timestamps", "include_language_detection")
        self._timed = any(query.get(name) == "true" for name in wanted)
        self._language = query.get("language_code", "en")
        self._pending: list[_Said] = []
        self._committing: list[_Said] = []
        self._samples = 0
        socket.at_end(self._abandon)

    async def run(self) -> None:
        await self._socket.send(
            {
                "message_type": "session_started",
                "session_id": uuid.uuid4().hex,
                "config": {
                    "sample_rate": self._rate,
                    "audio_format": self._socket.query.get("audio_format", "pcm_16000"),
                    "language_code": self._socket.query.get("language_code"),
                    "model_id": self._socket.model,
                    "vad_commit_strategy": self._by_silence,
                    "include_timestamps": self._timed,
                },
            }
        )
        async for message in self._socket:
            if not isinstance(message, dict) or message.get("message_type") != "input_audio_chunk":
                raise VendorError(400, "expected a message of type input_audio_chunk", "input_error")
            self._hear(sound(message, "audio_base_64"))
            if read(message, "commit", bool, False):
                self._commit()

    def _abandon(self) -> None:
        self._listener.close()
        for said in (*self._pending, *self._committing):
            said.utterance.abandon()

    def _hear(self, data: bytes) -> None:
        pcm = data if self._codec == "pcm" else from_logarithmic(data, "mulaw")
        if len(pcm) % 2:
            raise VendorError(400, "audio must be whole 16-bit samples", "input_error")
        self._samples += len(pcm) // 2
        for event in self._listener.feed(pcm):
            arrived = self._socket.arrived
            if isinstance(event, Going):
                self._socket.later(arrived, partial(self._partial, tuple(self._pending), event))
            elif isinstance(event, Ended):
                self._pending.append(_Said(event.utterance, event.end))
                if self._by_silence:
                    self._commit_pending(self._socket.due("stt", after=arrived - event.quiet))

    def _commit(self) -> None:
        if self._samples < SHORTEST_SECONDS * self._rate:
            message = f"commit needs at least {SHORTEST_SECONDS} s of uncommitted audio"
            raise VendorError(400, message, "input_error")
        self._pending += [_Said(e.utterance, e.end) for e in self._listener.flush() if isinstance(e, Ended)]
        quiet = self._listener.now - self._pending[-1].end if self._pending else 0.0
        self._commit_pending(self._socket.due("stt", after=self._socket.arrived - quiet))

    def _commit_pending(self, due: float) -> None:
        pending, self._pending, self._samples = self._pending, [], 0
        self._committing += pending
        self._socket.later(max(due, self._socket.arrived), lambda: self._committed(pending))

    async def _partial(self, before: tuple[_Said, ...], event: Going) -> None:
        """What is not committed yet, with the words so far of what is being said."""
        words = [*(await self._words_of(before)), *(await event.utterance.so_far(event.at)).words]
        if words:
            await self._socket.send({"message_type": "partial_transcript", "text": Transcript(tuple(words)).text})

    async def _committed(self, pending: list[_Said]) -> None:
        transcript = Transcript(tuple(await self._words_of(pending)))
        self._committing = [said for said in self._committing if said not in pending]
        await self._socket.send({"message_type": "committed_transcript", "text": transcript.text})
        if self._timed:
            words = _words(transcript, spaced=True)
            told = {"text": transcript.text, "language_code": self._language, "words": words}
            await self._socket.send({"message_type": "committed_transcript_with_timestamps", **told})

    @staticmethod
    async def _words_of(pending: Sequence[_Said]) -> list[Word]:
        return [word for said in pending for word in await said.words()]
