"""One caller's stream of speech: cuts it into utterances and tells what was said. Runs in the model process.

Each event is a JSON object: `{"type": "started" | "partial" | "guess" | "final" | "ended", ...}`; the middle three
have `text`, `start` and `end` (seconds since the stream began). A `guess` is what `final` will say unless the caller
goes on: it comes as soon as a pause is long enough to be the end of the sentence.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
from livekit.local_inference import VAD

from story.providers.local.recogniser import Recogniser
from story.providers.local.segments import SAMPLE_RATE, WINDOW, Cue, Pauses, Segmenter, Utterance

_FEWEST_VOICED = 0.1
"""Seconds of voice under which an utterance is a click or a breath, in which Moonshine would hear "Thank you."."""
_PARTIAL_EVERY = 0.4
_PARTIAL_REST = 4
"""A partial may take at most a fifth of the time: the language model needs the cores too."""

Event = dict[str, str | float]


@dataclass
class _Pending:
    kind: str
    utterance: Utterance | None = None
    text: asyncio.Task[str] | None = None


class Recognition:
    """Feed it s16le mono at 16 kHz as it comes; iterate over `events()` to get what was heard."""

    def __init__(self, recogniser: Recogniser, pauses: Pauses) -> None:
        self._recogniser = recogniser
        self._segments = Segmenter(pauses)
        self._activity = VAD()
        self._rest = b""
        self._since_partial = 0.0
        self._guess: asyncio.Task[str] | None = None
        self._outbox: asyncio.Queue[_Pending | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[str]] = set()

    def feed(self, pcm: bytes) -> None:
        data = self._rest + pcm
        whole = len(data) - len(data) % (2 * WINDOW)
        self._rest = data[whole:]
        for window in np.frombuffer(data[:whole], np.int16).reshape(-1, WINDOW):
            for cue in self._segments.push(window, float(self._activity.predict(window))):
                self._react(cue)
            self._maybe_partial()

    def flush(self) -> None:
        """What is being said ends here; the final answers even if nothing was said."""
        cues = self._segments.finish()
        for cue in cues:
            self._react(cue)
        if not cues:
            self._outbox.put_nowait(_Pending("flushed"))

    def end(self) -> None:
        """No more sound will come: `events()` ends after the last final."""
        for cue in self._segments.finish():
            self._react(cue)
        self._outbox.put_nowait(None)

    def close(self) -> None:
        """Drop what is not transcribed yet."""
        for task in self._tasks:
            task.cancel()

    async def events(self) -> AsyncIterator[Event]:
        while (pending := await self._outbox.get()) is not None:
            if pending.text is None or pending.utterance is None:
                yield {"type": pending.kind}
                continue
            await asyncio.wait({pending.text})
            if pending.text.cancelled():
                continue  # a guess that the caller talked over
            if text := pending.text.result():
                utterance = pending.utterance
                yield {
                    "type": pending.kind,
                    "text": text,
                    "start": round(utterance.start, 3),
                    "end": round(utterance.end, 3),
                }

    def _react(self, cue: Cue) -> None:
        if cue is Cue.STARTED:
            self._since_partial = 0.0
            self._outbox.put_nowait(_Pending("started"))
        elif cue is Cue.PAUSED:
            self._guess = self._say("guess")
        elif cue is Cue.RESUMED and self._guess is not None:
            self._guess.cancel()
            self._guess = None
        elif cue is Cue.ENDED:
            self._say("final", self._guess)
            self._guess = None
            self._outbox.put_nowait(_Pending("ended"))

    def _say(self, kind: str, text: asyncio.Task[str] | None = None) -> asyncio.Task[str] | None:
        utterance = self._segments.utterance()
        if utterance.voiced < _FEWEST_VOICED:
            return None
        if text is None:
            text = asyncio.create_task(self._recogniser.transcribe(utterance.samples))
            self._tasks.add(text)
            text.add_done_callback(self._tasks.discard)
        self._outbox.put_nowait(_Pending(kind, utterance, text))
        return text

    def _maybe_partial(self) -> None:
        self._since_partial += WINDOW / SAMPLE_RATE
        if not self._segments.voiced:
            return  # what may be the end comes first
        wait = max(_PARTIAL_EVERY, _PARTIAL_REST * self._recogniser.last_cost)
        if self._since_partial >= wait and self._recogniser.idle:
            self._since_partial = 0.0
            self._say("partial")
