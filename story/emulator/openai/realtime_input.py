"""What a realtime session hears: its input buffer, the ends of turns, and the transcripts of both."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from story.emulator.audio import chunks, from_logarithmic
from story.emulator.fields import objects, sound
from story.emulator.hearing import Ended, Heard, Listener, Paused, Resumed, Started, Transcript, Utterance, transcribe
from story.emulator.latency import Stage
from story.emulator.openai.conversation import text_of, tokens
from story.emulator.openai.realtime_items import Item, new_id, new_item
from story.emulator.turns import NEVER, unfinished
from story.emulator.vendor import VendorError

if TYPE_CHECKING:
    from story.emulator.openai.realtime import Realtime

SHORTEST_MS = 100
"""Of sound in a commit."""
_AUDIO_TOKENS_A_SECOND = 10
"""The vendor counts one for each 100 ms of sound that it hears."""
_PIECE_SECONDS = 0.1
_JUDGED_SECONDS = 0.1
"""Between two looks at the words of a pause."""


class Input:
    """The input buffer. Everything is timed by the sound that comes in, not by the clock."""

    def __init__(self, realtime: Realtime) -> None:
        self._realtime = realtime
        self._item_id = new_id()
        self._bytes = 0
        self._pending: list[tuple[Utterance, float]] = []
        self._listener = self._new_listener()
        self._pause: Paused | None = None
        self._judged_next = 0.0
        self._idle_since: float | None = None
        self.tokens = 0

    def reset(self) -> None:
        """The settings have changed: what is being said goes on, unless it comes in another rate."""
        self._listener.wait(*self._waiting)
        if self._listener.rate != self._rate:
            self._listener.close()
            self._listener = self._new_listener(self._listener.now)

    def spoken(self, seconds: float) -> None:
        """A response has ended, whose sound takes so long to play: from then on the caller is silent."""
        self._idle_since = self._listener.now + seconds

    async def spoken_in(self, item: Item) -> str | None:
        """The words in an item that a client gives, None where it has no sound. Its sound is taken out of it."""
        content = [dict(part) for part in objects(item.data, "content")]
        if not any(part.get("audio") for part in content):
            return None
        for part in content:
            if (pcm := self._decoded(sound(part, "audio"))) and not part.get("transcript"):
                heard = await transcribe(self._realtime.emulation.ears, pcm, self._rate)
                part["transcript"] = heard.text
            part.pop("audio", None)
        item.data["content"] = content
        return text_of(content)

    async def append(self, data: bytes) -> None:
        """Hear more sound, as the session's format has it."""
        pcm = self._decoded(data)
        self._bytes += len(pcm)
        for piece in chunks(pcm, 2 * round(self._rate * _PIECE_SECONDS)):
            for event in self._listener.feed(piece):
                await self._hear(event)
            if self._pause is not None and self._listener.now >= self._judged_next:
                await self._judge(self._pause)
        await self._prompt_if_idle()

    async def commit(self) -> None:
        """The client says that the turn is over. Raises VendorError where there is hardly any sound."""
        buffered = self._bytes / 2 / self._rate * 1000
        if buffered < SHORTEST_MS:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{SHORTEST_MS}ms of audio, but buffer only has {buffered:.2f}ms of audio."
            )
            raise VendorError(400, message, "input_audio_buffer_commit_empty")
        for event in self._listener.flush():
            if isinstance(event, Ended):
                self._pending.append((event.utterance, event.end))
        await self._commit(0.0)

    def clear(self) -> None:
        """Forget what was heard since the last commit."""
        self._bytes = 0
        for utterance, _ in self._pending:
            utterance.abandon()
        self._pending = []
        self._listener.close()
        self._listener = self._new_listener(self._listener.now)

    def close(self) -> None:
        self.clear()

    async def _hear(self, event: Heard) -> None:
        detection = self._realtime.session.turn_detection
        if isinstance(event, Ended):
            self._pending.append((event.utterance, event.end))
        if isinstance(event, Paused | Resumed | Ended):
            self._pause = event if isinstance(event, Paused) else None
            self._judged_next = self._listener.now
        if detection is None:
            return
        if isinstance(event, Started):
            self._idle_since = None
            padding = detection.get("prefix_padding_ms", 300)
            start = max(0, round(event.start * 1000) - padding)
            turn = round((self._listener.now - start / 1000) * self._rate) * 2
            self._bytes = min(self._bytes, turn)  # the silence before it is no part of the turn
            await self._realtime.tell("input_audio_buffer.speech_started", audio_start_ms=start, item_id=self._item_id)
            if detection.get("interrupt_response"):
                await self._realtime.interrupt()
        elif isinstance(event, Ended):
            end = round((event.end + event.quiet) * 1000)
            await self._realtime.tell("input_audio_buffer.speech_stopped", audio_end_ms=end, item_id=self._item_id)
            await self._commit(event.quiet)

    async def _judge(self, pause: Paused) -> None:
        """End the turn if its words are a whole sentence; otherwise look again: a recogniser may lag behind."""
        self._judged_next = self._listener.now + _JUDGED_SECONDS
        if unfinished((await pause.utterance.if_ended(pause.end)).text):
            return
        for event in self._listener.flush():
            await self._hear(event)

    async def _prompt_if_idle(self) -> None:
        """Have the model ask where the caller is, if nothing was said for as long as the session allows."""
        detection = self._realtime.session.turn_detection
        allowed = detection.get("idle_timeout_ms") if detection is not None else None
        if allowed is None or self._idle_since is None or self._listener.speaking or self._realtime.answering:
            return
        if self._listener.now - self._idle_since < allowed / 1000:
            return
        start, end = round(self._idle_since * 1000), round(self._listener.now * 1000)
        self._idle_since = None
        await self._realtime.tell(
            "input_audio_buffer.timeout_triggered", audio_start_ms=start, audio_end_ms=end, item_id=self._item_id
        )
        await self._commit(0.0)

    async def _commit(self, quiet: float) -> None:
        """Make an item of the buffer. quiet: seconds of silence at its end."""
        item_id, self._item_id = self._item_id, new_id()
        seconds, self._bytes = self._bytes / 2 / self._rate, 0
        pending, self._pending = self._pending, []
        self.tokens += round(seconds * _AUDIO_TOKENS_A_SECOND)
        item = new_item("message", role="user", content=[{"type": "input_audio", "transcript": None}])
        item.data |= {"id": item_id, "status": "completed"}
        item.said = ""
        before = self._realtime.conversation.items
        previous = before[-1].id if before else None
        await self._realtime.tell("input_audio_buffer.committed", previous_item_id=previous, item_id=item_id)
        await self._realtime.add(item)
        heard = self._realtime.socket.arrived - quiet
        detection = self._realtime.session.turn_detection or {}
        answers = not self._realtime.session.transcribes_only and bool(detection.get("create_response"))
        self._realtime.socket.beside(self._understand(item, pending, seconds, heard, answers=answers))

    async def _understand(
        self, item: Item, pending: list[tuple[Utterance, float]], seconds: float, heard: float, *, answers: bool
    ) -> None:
        """Make out the words of a turn, tell them if they are asked for, and answer them."""
        words = [word for utterance, end in pending for word in (await utterance.final(end)).words]
        item.said = Transcript(tuple(words)).text
        self._realtime.understood(item)
        model = self._realtime.session.transcription_model
        if model is not None:
            due = heard + self._realtime.draw("stt", model, Stage.FIRST)
            self._realtime.socket.later(due, partial(self._tell_transcript, item, model, seconds))
        if answers:
            await self._realtime.respond_or_tell({}, heard, None)

    async def _tell_transcript(self, item: Item, model: str, seconds: float) -> None:
        kind = "conversation.item.input_audio_transcription"
        text = item.said or ""
        for index, word in enumerate(text.split(" ") if text else []):
            delta = f" {word}" if index else word
            await self._realtime.tell(f"{kind}.delta", item_id=item.id, content_index=0, delta=delta)
        item.data["content"] = [{"type": "input_audio", "transcript": text}]
        usage = _usage(model, seconds, text)
        await self._realtime.tell(f"{kind}.completed", item_id=item.id, content_index=0, transcript=text, usage=usage)

    @property
    def _rate(self) -> int:
        return self._realtime.session.input_format.rate

    @property
    def _waiting(self) -> tuple[float, float | None]:
        """The seconds of silence that end a turn, and those that may."""
        session = self._realtime.session
        return (session.silence, session.pause) if session.turn_detection is not None else (NEVER, None)

    def _decoded(self, data: bytes) -> bytes:
        """Sound in the session's format as s16le. Raises VendorError."""
        codec = self._realtime.session.input_format.codec
        pcm = data if codec == "pcm" else from_logarithmic(data, codec)
        if len(pcm) % 2:
            message = "Invalid 'audio': expected whole 16-bit samples."
            raise VendorError(400, message, "invalid_value", param="audio")
        return pcm

    def _new_listener(self, since: float = 0.0) -> Listener:
        silence, pause = self._waiting
        self._pause = None
        return Listener(self._realtime.emulation.ears, self._rate, silence=silence, pause=pause, since=since)


def _usage(model: str, seconds: float, text: str) -> dict[str, object]:
    if model == "whisper-1":
        return {"type": "duration", "seconds": round(seconds, 2)}
    sound, written = round(seconds * _AUDIO_TOKENS_A_SECOND), tokens(text)
    details = {"audio_tokens": sound, "text_tokens": 0}
    counts = {"input_tokens": sound, "output_tokens": written, "total_tokens": sound + written}
    return {"type": "tokens", **counts, "input_token_details": details}
