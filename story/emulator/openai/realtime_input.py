"""What a realtime session hears: its input buffer, the ends of turns, and the transcripts of both."""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING

from story.emulator.audio import from_logarithmic
from story.emulator.hearing import Ended, Heard, Listener, Started, Transcript, Utterance
from story.emulator.latency import Stage
from story.emulator.openai.conversation import tokens
from story.emulator.openai.realtime_items import Item, new_item
from story.emulator.vendor import VendorError

if TYPE_CHECKING:
    from story.emulator.openai.realtime import Realtime

SHORTEST_MS = 100
"""Of sound in a commit."""
_AUDIO_TOKENS_A_SECOND = 10
"""The vendor counts one for each 100 ms of sound that it hears."""
_LONGEST_SILENCE = 3600.0


class Input:
    """The input buffer. Everything is timed by the sound that comes in, not by the clock."""

    def __init__(self, realtime: Realtime) -> None:
        self._realtime = realtime
        self._item_id = _new_id()
        self._bytes = 0
        self._pending: list[tuple[Utterance, float]] = []
        self._listener = self._new_listener()
        self.tokens = 0

    def reset(self) -> None:
        """Begin anew: the settings have changed."""
        detected = self._realtime.session.turn_detection is not None
        silence = self._realtime.session.silence if detected else _LONGEST_SILENCE
        if self._listener.silence != silence or self._rate != self._realtime.session.input_format.rate:
            self._listener.close()
            self._listener = self._new_listener(self._listener.now)

    async def append(self, data: bytes) -> None:
        """Hear more sound, as the session's format has it."""
        chosen = self._realtime.session.input_format
        pcm = data if chosen.codec == "pcm" else from_logarithmic(data, chosen.codec)
        if len(pcm) % 2:
            raise VendorError(400, "Invalid 'audio': expected whole 16-bit samples.", "invalid_value")
        self._bytes += len(pcm)
        for event in self._listener.feed(pcm):
            await self._hear(event)

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
        if detection is None:
            return
        if isinstance(event, Started):
            padding = detection.get("prefix_padding_ms", 300)
            start = max(0, round(event.start * 1000) - padding)
            await self._realtime.tell("input_audio_buffer.speech_started", audio_start_ms=start, item_id=self._item_id)
            if detection["interrupt_response"]:
                await self._realtime.interrupt()
        elif isinstance(event, Ended):
            end = round((event.end + event.quiet) * 1000)
            await self._realtime.tell("input_audio_buffer.speech_stopped", audio_end_ms=end, item_id=self._item_id)
            await self._commit(event.quiet)

    async def _commit(self, quiet: float) -> None:
        """Make an item of the buffer. quiet: seconds of silence at its end."""
        item_id, self._item_id = self._item_id, _new_id()
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
        answers = not self._realtime.session.transcribes_only
        detection = self._realtime.session.turn_detection
        answers = answers and detection is not None and bool(detection["create_response"])
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

    def _new_listener(self, since: float = 0.0) -> Listener:
        detected = self._realtime.session.turn_detection is not None
        silence = self._realtime.session.silence if detected else _LONGEST_SILENCE
        return Listener(self._realtime.emulation.ears, self._rate, silence=silence, since=since)


def _usage(model: str, seconds: float, text: str) -> dict[str, object]:
    if model == "whisper-1":
        return {"type": "duration", "seconds": round(seconds, 2)}
    sound, written = round(seconds * _AUDIO_TOKENS_A_SECOND), tokens(text)
    details = {"audio_tokens": sound, "text_tokens": 0}
    counts = {"input_tokens": sound, "output_tokens": written, "total_tokens": sound + written}
    return {"type": "tokens", **counts, "input_token_details": details}


def _new_id() -> str:
    return f"item_{uuid.uuid4().hex[:20]}"
