"""/v2/listen, recognition that hears turns (https://developers.deepgram.com/docs/flux)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from story.emulator.deepgram.models import FLUX, check
from story.emulator.deepgram.sound import Sound
from story.emulator.fields import optional
from story.emulator.hearing import Listener, Transcript
from story.emulator.parameters import INVALID, Query, number, whole
from story.emulator.recogniser import SILENCE_SECONDS, Final, Interim
from story.emulator.socket import Socket
from story.emulator.turns import END_SECONDS, NEVER, Patience, Turns, silence_for
from story.emulator.vendor import VendorError

CONFIDENCE = 0.97
USUAL = 0.7
"""The vendor's `eot_threshold`."""
_GOING_ON = 0.1
"""Confidence that a turn is over which isn't."""


@dataclass(frozen=True)
class Thresholds:
    """When turns end."""

    eot_threshold: float = USUAL
    eager_eot_threshold: float | None = None
    eot_timeout_ms: int = 5000

    def changed(self, query: Query) -> Thresholds:
        """These, with the parameters that are given. Raises VendorError (400)."""
        end = number(query, "eot_threshold", self.eot_threshold, 0.5, 1.0)
        eager = self.eager_eot_threshold
        if "eager_eot_threshold" in query:
            eager = number(query, "eager_eot_threshold", USUAL, 0.3, 0.9)
        if eager is not None and eager > end:
            message = "eager_eot_threshold must be less than or equal to eot_threshold"
            raise VendorError(400, message, INVALID, param="eager_eot_threshold")
        return Thresholds(end, eager, whole(query, "eot_timeout_ms", self.eot_timeout_ms, 500, 60_000))

    @property
    def patience(self) -> Patience:
        eager = self.eager_eot_threshold
        return Patience(
            finished=silence_for(self.eot_threshold, usual=USUAL),
            longest=self.eot_timeout_ms / 1000,
            eager=None if eager is None else silence_for(eager, usual=USUAL),
        )

    def as_data(self) -> dict[str, object]:
        eager = {} if self.eager_eot_threshold is None else {"eager_eot_threshold": self.eager_eot_threshold}
        return {"eot_threshold": self.eot_threshold, **eager, "eot_timeout_ms": self.eot_timeout_ms}


@dataclass(frozen=True)
class Options:
    """What the address asks for."""

    model: str
    sound: Sound
    thresholds: Thresholds

    @classmethod
    def of(cls, query: Query) -> Options:
        """Raises VendorError (400)."""
        model = check(query.get("model", ""), FLUX)
        return cls(model, Sound.of(query, 8_000, 48_000), Thresholds().changed(query))


async def flux(socket: Socket) -> None:
    """Recognise turns in what is streamed."""
    await _Flux(socket).run()


class _Flux:
    """One session."""

    def __init__(self, socket: Socket) -> None:
        options = Options.of(socket.query)
        self._socket = socket
        self._thresholds = options.thresholds
        self._multilingual = options.model.endswith("-multi")
        self._keyterms: list[object] = list(socket.request.query.getall("keyterm", []))
        self._hints: list[object] = list(socket.request.query.getall("language_hint", []))
        listener = Listener(socket.emulation.ears, options.sound.rate, silence=NEVER, pause=SILENCE_SECONDS)
        self._turns = Turns(
            socket,
            listener,
            self._begun,
            self._interim,
            self._final,
            self._paused,
            self._resumed,
            patience=self._thresholds.patience,
        )
        self._incoming = options.sound.incoming(socket, self._turns.take)
        self._turn = 0

    async def run(self) -> None:
        await self._send("Connected")
        async for message in self._socket:
            if isinstance(message, bytes):
                await self._incoming.take(message)
                continue
            told = message if isinstance(message, dict) else {}
            kind = told.get("type")
            if kind == "CloseStream":
                await self._incoming.end()
                self._turns.finish()
                await self._socket.drained()
                return
            if kind == "ForceEndTurn":
                await self._incoming.settled()
                self._turns.finish()
            elif kind == "Configure":
                self._configure(told)
            else:
                raise VendorError(400, "Could not deserialize the message", "UNPARSABLE_CLIENT_MESSAGE")

    def _configure(self, told: Mapping[str, object]) -> None:
        try:
            given = optional(told, "thresholds", dict) or {}
            thresholds = self._thresholds.changed({k: str(v) for k, v in given.items() if v is not None})
            keyterms = optional(told, "keyterms", list)
            hints = optional(told, "language_hints", list)
            if hints is not None and not self._multilingual:
                raise VendorError(400, "language_hints are for flux-general-multi", INVALID)
        except VendorError as error:
            failure = {"code": "INVALID_CONFIGURATION", "description": error.message}
            self._socket.later(self._socket.arrived, partial(self._send, "ConfigureFailure", **failure))
            return
        self._thresholds, self._turns.patience = thresholds, thresholds.patience
        self._keyterms = self._keyterms if keyterms is None else keyterms
        self._hints = self._hints if hints is None else hints
        active: dict[str, object] = {"thresholds": thresholds.as_data(), "keyterms": self._keyterms}
        if self._multilingual:
            active["language_hints"] = self._hints
        self._socket.later(self._socket.arrived, partial(self._send, "ConfigureSuccess", **active))

    async def _begun(self, start: float) -> None:
        await self._tell("StartOfTurn", Transcript(), start, start + 0.1, _GOING_ON)

    async def _interim(self, interim: Interim) -> None:
        await self._tell("Update", interim.transcript, interim.start, interim.at, _GOING_ON)

    async def _final(self, final: Final) -> None:
        late = final.quiet + 0.01 > self._turns.patience.longest
        trigger = "manual" if final.asked else "timeout" if late else "model"
        confidence = _GOING_ON
        if trigger == "model":
            confidence = max(self._thresholds.eot_threshold, _confidence(final.quiet))
        await self._tell("EndOfTurn", final.transcript, final.start, final.end, confidence, trigger=trigger)
        self._turn += 1

    async def _paused(self, final: Final) -> None:
        confidence = max(self._thresholds.eager_eot_threshold or 0.0, _confidence(final.quiet))
        await self._tell("EagerEndOfTurn", final.transcript, final.start, final.end, confidence)

    async def _resumed(self, interim: Interim) -> None:
        await self._tell("TurnResumed", interim.transcript, interim.start, interim.at, _GOING_ON)

    async def _tell(
        self, event: str, transcript: Transcript, start: float, end: float, confidence: float, **more: object
    ) -> None:
        words: list[dict[str, object]] = [
            {"word": w.text, "confidence": CONFIDENCE, "start": round(w.start, 3), "end": round(w.end, 3)}
            for w in transcript.words
        ]
        if self._multilingual:
            more |= {"languages": ["en"]} if words else {}
            more |= {"languages_hinted": self._hints} if self._hints else {}
        await self._send(
            "TurnInfo",
            event=event,
            turn_index=self._turn,
            audio_window_start=round(start, 2),
            audio_window_end=round(end, 2),
            transcript=transcript.text,
            words=words,
            end_of_turn_confidence=round(confidence, 4),
            **more,
        )

    async def _send(self, kind: str, **fields: object) -> None:
        request_id = self._socket.headers["dg-request-id"]
        await self._socket.send({"type": kind, "request_id": request_id, "sequence_id": self._socket.sent, **fields})


def _confidence(quiet: float) -> float:
    """That a whole sentence was all, after so many seconds of silence: what `silence_for` asks, the other way round."""
    return float(1 - (1 - USUAL) ** (quiet / END_SECONDS))
