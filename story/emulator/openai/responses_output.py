"""What a response puts out: its items, and the events that tell how they grow."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from story.emulator.brain import ToolCall
from story.emulator.openai.generation import Part, arguments_text

Event = dict[str, object]


class Output:
    """The items so far: messages and calls. Its events are numbered."""

    def __init__(self) -> None:
        self.items: list[dict[str, object]] = []
        self._message_id: str | None = None
        self._text: list[str] = []
        self._events = 0

    def event(self, kind: str, **fields: object) -> Event:
        """The next event."""
        self._events += 1
        return {"type": kind, "sequence_number": self._events - 1, **fields}

    def add(self, part: Part) -> Iterator[Event]:
        """More text, or a call."""
        if isinstance(part, str):
            yield from self._add_text(part)
        else:
            yield from self.close()
            yield from self._add_call(part)

    def close(self, status: str = "completed") -> Iterator[Event]:
        """End the message under way, if there is one."""
        if self._message_id is None:
            return
        place, text = self._place(), "".join(self._text)
        part: dict[str, object] = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        yield self.event("response.output_text.done", **place, text=text, logprobs=[])
        yield self.event("response.content_part.done", **place, part=part)
        item = _message(self._message_id, status, [part])
        yield self.event("response.output_item.done", output_index=len(self.items), item=item)
        self.items.append(item)
        self._message_id, self._text = None, []

    def _add_text(self, delta: str) -> Iterator[Event]:
        if self._message_id is None:
            self._message_id = f"msg_{uuid.uuid4().hex}"
            item = _message(self._message_id, "in_progress", [])
            yield self.event("response.output_item.added", output_index=len(self.items), item=item)
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            yield self.event("response.content_part.added", **self._place(), part=part)
        self._text.append(delta)
        yield self.event("response.output_text.delta", **self._place(), delta=delta, logprobs=[])

    def _add_call(self, call: ToolCall) -> Iterator[Event]:
        text, index = arguments_text(call), len(self.items)
        item = {"id": f"fc_{uuid.uuid4().hex}", "type": "function_call", "call_id": call.id, "name": call.name}
        place = {"item_id": item["id"], "output_index": index}
        begun = {**item, "arguments": "", "status": "in_progress"}
        done: dict[str, object] = {**item, "arguments": text, "status": "completed"}
        yield self.event("response.output_item.added", output_index=index, item=begun)
        yield self.event("response.function_call_arguments.delta", **place, delta=text)
        yield self.event("response.function_call_arguments.done", **place, arguments=text)
        yield self.event("response.output_item.done", output_index=index, item=done)
        self.items.append(done)

    def _place(self) -> dict[str, object]:
        return {"item_id": self._message_id, "output_index": len(self.items), "content_index": 0}


def _message(item_id: str, status: str, content: list[dict[str, object]]) -> dict[str, object]:
    return {"id": item_id, "type": "message", "role": "assistant", "status": status, "content": content}
