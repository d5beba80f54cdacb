"""/v2/listen, recognition that hears turns (https://developers.deepgram.com/docs/flux)."""

from __future__ import annotations

import uuid
from functools import partial

from story.emulator.audio import from_logarithmic
from story.emulator.hearing import Listener, Transcript
from story.emulator.recogniser import SILENCE_SECONDS, Final, Interim, Recogniser
from story.emulator.socket import Socket
from story.emulator.vendor import VendorError

CONFIDENCE = 0.97
END_SECONDS = 0.4
"""Of silence that ends a turn; the vendor's model listens for the end of a sentence as well."""


async def flux(socket: Socket) -> None:
    """Recognise turns in what is streamed."""
    await _Flux(socket).run()


class _Flux:
    """One session."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._request_id = str(uuid.uuid4())
        self._encoding = socket.query.get("encoding", "linear16")
        if self._encoding not in ("linear16", "mulaw", "alaw"):
            raise VendorError(400, f"encoding={self._encoding}: send linear16, mulaw or alaw", "Bad Request")
        rate = round(socket.number_in("sample_rate", 16_000, 8_000, 48_000))
        socket.number_in("eot_threshold", 0.7, 0.5, 0.9)
        socket.number_in("eager_eot_threshold", 0.3, 0.3, 0.9)
        socket.number_in("eot_timeout_ms", 5000, 500, 10_000)
        pause = SILENCE_SECONDS if "eager_eot_threshold" in socket.query else None
        listener = Listener(socket.emulation.ears, rate, silence=END_SECONDS, pause=pause)
        self._recogniser = Recogniser(
            socket, listener, self._begun, self._interim, self._final, self._paused, self._resumed
        )
        self._sequence = 0
        self._turn = 0

    async def run(self) -> None:
        await self._send("Connected")
        async for message in self._socket:
            if isinstance(message, bytes):
                pcm = message if self._encoding == "linear16" else from_logarithmic(message, self._encoding)
                self._recogniser.hear(pcm)
                continue
            kind = message.get("type") if isinstance(message, dict) else None
            if kind == "CloseStream":
                self._recogniser.finish()
                await self._socket.drained()
                return
            if kind == "ForceEndTurn":
                self._recogniser.finish()
            elif kind == "Configure" and isinstance(message, dict):
                told = {name: message[name] for name in ("thresholds", "keyterms", "language_hints") if name in message}
                self._socket.later(self._socket.arrived, partial(self._send, "ConfigureSuccess", **told))
            else:
                raise VendorError(400, "expected audio, Configure or CloseStream", "UNPARSABLE_CLIENT_MESSAGE")

    async def _begun(self, start: float) -> None:
        await self._tell("StartOfTurn", Transcript(), start, start + 0.1)

    async def _interim(self, interim: Interim) -> None:
        await self._tell("Update", interim.transcript, interim.start, interim.at)

    async def _final(self, final: Final) -> None:
        await self._tell("EndOfTurn", final.transcript, final.start, final.end)
        self._turn += 1

    async def _paused(self, final: Final) -> None:
        await self._tell("EagerEndOfTurn", final.transcript, final.start, final.end)

    async def _resumed(self, interim: Interim) -> None:
        await self._tell("TurnResumed", interim.transcript, interim.start, interim.at)

    async def _tell(self, event: str, transcript: Transcript, start: float, end: float) -> None:
        words: list[dict[str, object]] = [
            {"word": w.text, "confidence": CONFIDENCE, "start": round(w.start, 3), "end": round(w.end, 3)}
            for w in transcript.words
        ]
        await self._send(
            "TurnInfo",
            event=event,
            turn_index=self._turn,
            audio_window_start=round(start, 2),
            audio_window_end=round(end, 2),
            transcript=transcript.text,
            words=words,
            end_of_turn_confidence={"EndOfTurn": 0.9, "EagerEndOfTurn": 0.5}.get(event, 0.1),
        )

    async def _send(self, kind: str, **fields: object) -> None:
        shared = {"type": kind, "request_id": self._request_id, "sequence_id": self._sequence}
        self._sequence += 1
        await self._socket.send({**shared, **fields})
