"""The conversation of a realtime session: its items, in order, and what they say."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from story.emulator.brain import Said
from story.emulator.openai.conversation import said_in
from story.emulator.vendor import VendorError

ROOT = "root"
TAIL = "\0tail"


@dataclass
class Item:
    """An item, and what its sound says. data: as the API shows it. seconds: of sound that was sent for it.

    said: the words of its sound, None where it has none. heard: the seconds of the sound that the caller heard, None
    for all of it.
    """

    data: dict[str, object]
    said: str | None = None
    seconds: float = 0.0
    heard: float | None = None

    @property
    def id(self) -> str:
        return str(self.data["id"])

    def shown(self) -> dict[str, object]:
        """As the API shows it at this moment."""
        return dict(self.data)

    def truncate(self, milliseconds: int) -> None:
        """Only so much of its sound was heard: the rest was not said. Raises VendorError."""
        if self.data.get("role") != "assistant" or self.said is None:
            message = "Only model output audio messages can be truncated"
            raise VendorError(400, message, "unsupported_content_type")
        there = round((self.seconds if self.heard is None else self.heard) * 1000)
        if milliseconds > there:
            message = f"Audio content of {there}ms is already shorter than {milliseconds}ms"
            raise VendorError(400, message, "invalid_value")
        self.heard = milliseconds / 1000
        self.data["content"] = [{"type": "output_audio"}]  # the vendor keeps no words that nobody heard

    def entry(self) -> Said | None:
        """The item as a part of what a brain is asked."""
        entry = said_in(self.data)
        if entry is None or self.said is None:
            return entry
        text = self.said
        if self.heard is not None and self.seconds > 0:
            words = text.split()
            text = " ".join(words[: round(len(words) * self.heard / self.seconds)])
        return Said(entry.who, text, entry.calls, entry.call_id)


@dataclass
class Conversation:
    """The items in order."""

    items: list[Item] = field(default_factory=list)

    def find(self, item_id: object) -> Item | None:
        return next((item for item in self.items if item.id == item_id), None)

    def place(self, item: Item, previous: str | None = TAIL) -> str | None:
        """Put an item after `previous` (an id, ROOT for the head, TAIL); the id of the one before it, if any.

        Raises:
            VendorError: there is no item `previous`, one of the same id, or no call that `item` is the result of.
        """
        if self.find(item.id) is not None:
            message = f"Error adding item: an item with id '{item.id}' already exists."
            raise VendorError(400, message, "item_create_duplicate_item_id")
        call_id = item.data.get("call_id")
        if item.data["type"] == "function_call_output" and not any(
            other.data["type"] == "function_call" and other.data.get("call_id") == call_id for other in self.items
        ):
            raise VendorError(400, f"Tool call ID '{call_id}' not found in conversation.", "invalid_tool_call_id")
        if previous == TAIL or previous is None:
            index = len(self.items)
        elif previous == ROOT:
            index = 0
        else:
            before = self.find(previous)
            if before is None:
                message = f"Error adding item: the previous item with id '{previous}' does not exist."
                raise VendorError(400, message, "item_create_invalid_previous_item_id")
            index = self.items.index(before) + 1
        self.items.insert(index, item)
        return self.items[index - 1].id if index else None

    def before(self, item: Item) -> str | None:
        """The id of the item before `item`."""
        index = self.items.index(item) if item in self.items else 0
        return self.items[index - 1].id if index else None

    def said(self) -> list[Said]:
        """What has been said, in order."""
        return [entry for item in self.items if (entry := item.entry()) is not None]


def given_item(data: Mapping[str, object]) -> Item:
    """An item as a client creates it: what is in it was checked."""
    item = {**data, "id": data.get("id") or new_id(), "object": "realtime.item", "status": "completed"}
    if data["type"] == "function_call" and not data.get("call_id"):
        item["call_id"] = f"call_{uuid.uuid4().hex[:20]}"
    return Item(item)


def new_id() -> str:
    """The id of an item."""
    return f"item_{uuid.uuid4().hex[:20]}"


def new_item(kind: str, **fields: object) -> Item:
    """An item that the server makes, in progress."""
    shared = {"id": new_id(), "object": "realtime.item", "type": kind, "status": "in_progress"}
    return Item({**shared, **fields})
