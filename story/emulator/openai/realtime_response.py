"""One response of a realtime session, from its first event to its last."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from story.emulator.audio import chunks
from story.emulator.brain import BrainError, Prompt, Said, ToolCall
from story.emulator.exchange import until
from story.emulator.fields import objects, optional, read
from story.emulator.latency import Stage
from story.emulator.openai.conversation import checked, prompt_tokens, tokens, tool_choice, tools
from story.emulator.openai.realtime_items import Item, given_item, new_item
from story.emulator.openai.realtime_session import format_of, voice_of
from story.emulator.synthesis import synthesise
from story.emulator.vendor import VendorError

if TYPE_CHECKING:
    from story.emulator.openai.realtime import Realtime

_DELTA_SECONDS = 0.1
_AUDIO_TOKENS_A_SECOND = 20
"""The vendor counts one for each 50 ms of sound that it makes."""
_AUDIO_TOKENS_A_TEXT_TOKEN = 5
"""About: a token is four characters, which take a quarter of a second to say."""
_UNLIMITED = {"name": "tokens", "limit": 1_000_000, "remaining": 1_000_000, "reset_seconds": 0.0}
"""Nothing is limited here, but clients are told at the beginning of each response."""
_SENTENCE_ENDS = (".", "!", "?", "…")


class Response:
    """A response under way. id: its id. Await `run`; `cancel` ends it early."""

    def __init__(self, realtime: Realtime, params: Mapping[str, object], due: float) -> None:
        """params: of response.create; {} for one that the turn's end begins. due: when the first result is.

        Raises:
            VendorError: `params` can't be used.
        """
        self.id = f"resp_{uuid.uuid4().hex[:20]}"
        self._realtime = realtime
        self._due = due
        session = realtime.session
        self._modality = str(read(params, "output_modalities", list, session.data["output_modalities"])[0])
        self._metadata = optional(params, "metadata", dict)
        self._apart = params.get("conversation") == "none"
        wanted = read(read(params, "audio", dict, {}), "output", dict, {})
        changed = {name: value for name, value in wanted.items() if value is not None}
        self._sounds: dict[str, Any] = {name: changed.get(name, value) for name, value in session.output.items()}
        if realtime.has_spoken and not self._apart and self._sounds["voice"] != session.output["voice"]:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise VendorError(400, message, "cannot_update_voice")
        self._most = read(params, "max_output_tokens", object, session.data["max_output_tokens"])
        self._cut = False
        self.prompt = self._asked(params)
        self._output: list[Item] = []
        self._item: Item | None = None
        self._text: list[str] = []
        self._written = 0
        self._spoken = 0.0
        self._reason = "client_cancelled"
        self._task: asyncio.Task[None] | None = None
        self._begun = False

    @property
    def done(self) -> bool:
        return self._task is not None and self._task.done()

    def start(self) -> None:
        """Run beside the session's messages."""
        self._task = self._realtime.socket.beside(self._run())

    async def cancel(self, reason: str) -> None:
        """End it early: "client_cancelled" or "turn_detected". Returns when its last event has been sent."""
        if self._task is not None and not self._task.done():
            self._reason = reason
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            if not self._begun:  # the task was cancelled before its first step
                await self._run(cancelled=True)

    def _asked(self, params: Mapping[str, object]) -> Prompt:
        session = self._realtime.session.data
        instructions = read(params, "instructions", str, read(session, "instructions", str, ""))
        said = [Said("system", instructions)] if instructions else []
        if params.get("input") is None:
            said += self._realtime.conversation.said()
        else:
            said += [entry for item in self._given(params) if (entry := item.entry()) is not None]
        source = {
            name: session[name] if params.get(name) is None else params[name] for name in ("tools", "tool_choice")
        }
        return checked(Prompt(said, tools(source), tool_choice(source)))

    def _given(self, params: Mapping[str, object]) -> Iterator[Item]:
        """The items of `input`, of which some may be the conversation's. Raises VendorError."""
        for index, given in enumerate(objects(params, "input")):
            if given["type"] != "item_reference":
                yield given_item(given)
            elif (item := self._realtime.conversation.find(given["id"])) is not None:
                yield item
            else:
                where = f"response.input[{index}].id"
                raise VendorError(400, f"Item with item_id not found: {given['id']}", "invalid_value", param=where)

    async def _run(self, *, cancelled: bool = False) -> None:
        self._begun = True
        status: str = "completed"
        details: dict[str, object] | None = None
        await self._tell("response.created", response=self._shown("in_progress"))
        await self._tell("rate_limits.updated", rate_limits=[_UNLIMITED])
        try:
            if cancelled:
                raise asyncio.CancelledError
            await self._answer()
            if self._cut:
                status, details = "incomplete", {"type": "incomplete", "reason": "max_output_tokens"}
        except asyncio.CancelledError:
            status, details = "cancelled", {"type": "cancelled", "reason": self._reason}
        except BrainError as error:
            told = {"type": "server_error", "code": "internal_error", "message": str(error)}
            status, details = "failed", {"type": "failed", "error": told}
        if self._item is not None:
            await self._close_item("incomplete")
        if not self._apart:
            self._realtime.spoken(self._spoken)
        await self._tell("response.done", response=self._shown(status, details, self._usage()))

    async def _answer(self) -> None:
        first = True
        answer = self._within(self._realtime.emulation.brain.answer(self.prompt))
        async for part in self._stretches(answer):
            speech = None
            if isinstance(part, str) and self._modality == "audio":
                format, voice = format_of(self._sounds["format"]), voice_of(self._sounds["voice"])
                speech = await synthesise(
                    self._realtime.emulation, part, format, voice=voice, speed=float(self._sounds["speed"])
                )
            if first:
                await until(self._due)
                first = False
            if isinstance(part, ToolCall):
                await self._call(part)
                continue
            if self._item is None:
                await self._begin_message()
            self._text.append(part)
            self._written += tokens(part)
            if speech is None:
                await self._part("response.output_text.delta", delta=part)
                self._due += self._draw(Stage.TOKEN)
                await until(self._due)
            else:
                await self._part("response.output_audio_transcript.delta", delta=part)
                await self._sound(speech.data, speech.seconds)
        await until(self._due)  # an answer of nothing takes as long
        if self._item is not None:
            await self._close_item("incomplete" if self._cut else "completed")

    async def _within(self, parts: AsyncIterator[str | ToolCall]) -> AsyncIterator[str | ToolCall]:
        """As many of `parts` as the response may have tokens."""
        counted = 0
        async for part in parts:
            if isinstance(part, ToolCall):
                counted += tokens(part.name + json.dumps(dict(part.arguments)))
            else:
                counted += tokens(part) * (1 + (_AUDIO_TOKENS_A_TEXT_TOKEN if self._modality == "audio" else 0))
            if isinstance(self._most, int) and counted > self._most:
                self._cut = True
                return
            yield part

    async def _stretches(self, parts: AsyncIterator[str | ToolCall]) -> AsyncIterator[str | ToolCall]:
        """Text in sentences where it is to be spoken, as it comes where it is not; calls as they come."""
        held = ""
        async for part in parts:
            if isinstance(part, ToolCall):
                if held:
                    yield held
                    held = ""
                yield part
            elif self._modality == "text":
                yield part
            else:
                held += part
                if held.rstrip().endswith(_SENTENCE_ENDS):
                    yield held
                    held = ""
        if held:
            yield held

    async def _sound(self, data: bytes, seconds: float) -> None:
        assert self._item is not None
        whole = max(1, round(seconds / _DELTA_SECONDS))
        size = max(2, len(data) // whole // 2 * 2)
        pace = self._draw(Stage.AUDIO) * _DELTA_SECONDS
        for chunk in chunks(data, size):
            heard = seconds * len(chunk) / max(1, len(data))
            self._item.seconds += heard
            self._spoken += heard
            await self._part("response.output_audio.delta", delta=base64.b64encode(chunk).decode())
            if pace:
                self._due += pace
                await until(self._due)
            else:
                await asyncio.sleep(0)  # an answer at once is a hundred messages: other calls have theirs due

    async def _begin_message(self) -> None:
        self._item = new_item("message", role="assistant", content=[])
        self._text = []
        if self._modality == "audio":
            self._item.said = ""
        await self._open_item(self._item)
        empty: dict[str, object] = {"type": "audio", "transcript": ""}
        await self._part(
            "response.content_part.added", part=empty if self._modality == "audio" else {"type": "text", "text": ""}
        )

    async def _call(self, call: ToolCall) -> None:
        if self._item is not None:
            await self._close_item("completed")
        arguments = json.dumps(dict(call.arguments))
        self._written += tokens(call.name + arguments)
        self._item = item = new_item("function_call", name=call.name, call_id=call.id[:32], arguments="")
        await self._open_item(item)
        place = {"response_id": self.id, "item_id": item.id, "output_index": len(self._output), "call_id": call.id[:32]}
        await self._tell("response.function_call_arguments.delta", **place, delta=arguments)
        item.data["arguments"] = arguments
        await self._tell("response.function_call_arguments.done", **place, name=call.name, arguments=arguments)
        await self._close_item("completed")

    async def _open_item(self, item: Item) -> None:
        index = len(self._output)
        await self._tell("response.output_item.added", response_id=self.id, output_index=index, item=item.shown())
        if not self._apart:
            await self._realtime.add(item, done=False)

    async def _close_item(self, status: str) -> None:
        item, self._item = self._item, None
        assert item is not None
        if item.data["type"] == "message":
            await self._close_message(item)
        item.data["status"] = status
        if not self._apart:
            before = self._realtime.conversation.before(item)
            await self._tell("conversation.item.done", previous_item_id=before, item=item.shown())
        index = len(self._output)
        self._output.append(item)
        await self._tell("response.output_item.done", response_id=self.id, output_index=index, item=item.shown())

    async def _close_message(self, item: Item) -> None:
        text = "".join(self._text)
        self._item = item
        if self._modality == "audio":
            item.said = text
            await self._part("response.output_audio.done")
            await self._part("response.output_audio_transcript.done", transcript=text)
            await self._part("response.content_part.done", part={"type": "audio", "transcript": text})
            if item.heard is None:
                item.data["content"] = [{"type": "output_audio", "transcript": text}]
        else:
            await self._part("response.output_text.done", text=text)
            await self._part("response.content_part.done", part={"type": "text", "text": text})
            item.data["content"] = [{"type": "output_text", "text": text}]
        self._item = None

    async def _part(self, kind: str, **fields: object) -> None:
        assert self._item is not None
        place = {"response_id": self.id, "item_id": self._item.id}
        await self._tell(kind, **place, output_index=len(self._output), content_index=0, **fields)

    async def _tell(self, kind: str, **fields: object) -> None:
        await self._realtime.tell(kind, **fields)

    def _draw(self, stage: Stage) -> float:
        return self._realtime.draw("realtime", self._realtime.session.model, stage)

    def _shown(self, status: str, details: object = None, usage: object = None) -> dict[str, object]:
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [item.shown() for item in self._output],
            "conversation_id": None if self._apart else self._realtime.conversation_id,
            "output_modalities": [self._modality],
            "max_output_tokens": self._most,
            "audio": {"output": {name: self._sounds[name] for name in ("format", "voice")}},
            "usage": usage,
            "metadata": self._metadata,
        }

    def _usage(self) -> dict[str, object]:
        heard = self._realtime.heard_tokens
        asked = prompt_tokens(self.prompt)
        spoken = round(self._spoken * _AUDIO_TOKENS_A_SECOND)
        none = {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0}
        given = {"text_tokens": asked, "audio_tokens": heard, "image_tokens": 0, "cached_tokens": 0}
        return {
            "total_tokens": asked + heard + self._written + spoken,
            "input_tokens": asked + heard,
            "output_tokens": self._written + spoken,
            "input_token_details": {**given, "cached_tokens_details": none},
            "output_token_details": {"text_tokens": self._written, "audio_tokens": spoken},
        }
