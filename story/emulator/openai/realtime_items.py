"""The conversation of a realtime session: its items, in order, and what they say."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from story.emulator.brain import Said
from story.emulator.fields import objects, read
from story.emulator.openai.conversation import said_in
from story.emulator.vendor import VendorError

ROOT = "root"
TAIL = "\0tail"
_KINDS = ("message", "function_call", "function_call_output")
_PARTS = {
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("output_text", "output_audio"),
    "system": ("input_text",),
}


@dataclass
class Item:
    """An item, and what its sound says. data: as the API shows it. seconds: of sound that was sent for it.

    said: the words of its sound, None where it has none.
    """

    data: dict[str, object]
    said: str | None = None
    seconds: float = 0.0

    @property
    def id(self) -> str:
        return str(self.data["id"])

    def truncate(self, seconds: float) -> None:
        """Only so much of its sound was heard: the rest was not said."""
        if self.said is not None and self.seconds > 0:
            words = self.said.split()
            self.said = " ".join(words[: round(len(words) * seconds / self.seconds)])
        self.seconds = seconds

    def entry(self) -> Said | None:
        """The item as a part of what a brain is asked."""
        entry = said_in(self.data)
        if entry is None or self.said is None:
            return entry
        return Said(entry.who, self.said, entry.calls, entry.call_id)


@dataclass
class Conversation:
    """The items in order."""

    items: list[Item] = field(default_factory=list)

    def find(self, item_id: object) -> Item | None:
        return next((item for item in self.items if item.id == item_id), None)

    def place(self, item: Item, previous: str | None = TAIL) -> str | None:
        """Put an item after `previous` (an id, ROOT for the head, TAIL); the id of the one before it, if any.

        Raises:
            VendorError: there is no item `previous`, or one of the same id.
        """
        if self.find(item.id) is not None:
            message = f"Error adding item: an item with id '{item.id}' already exists."
            raise VendorError(400, message, "item_create_duplicate_item_id")
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
    """An item as a client creates it. Raises VendorError(400)."""
    kind = read(data, "type", str)
    if kind not in _KINDS:
        raise VendorError(400, f"Invalid value: '{kind}' for 'item.type'.", "invalid_value")
    item = {**data, "id": read(data, "id", str, f"item_{uuid.uuid4().hex[:20]}"), "object": "realtime.item"}
    item["status"] = "completed"
    if kind == "function_call":
        read(data, "name", str)
        item["call_id"] = read(data, "call_id", str, f"call_{uuid.uuid4().hex[:20]}")
    if kind == "function_call_output":
        read(data, "call_id", str)
        read(data, "output", str, "")
    if kind == "message":
        role = read(data, "role", str)
        if role not in _PARTS:
            raise VendorError(400, f"Invalid value: '{role}' for 'item.role'.", "invalid_value")
        for part in objects(data, "content"):
            if part.get("type") not in _PARTS[role]:
                known = ", ".join(f"'{name}'" for name in _PARTS[role])
                message = f"Invalid value: '{part.get('type')}'. Supported values for role '{role}' are: {known}."
                raise VendorError(400, message, "invalid_value")
    return Item(item)


def new_item(kind: str, **fields: object) -> Item:
    """An item that the server makes, in progress."""
    shared = {"id": f"item_{uuid.uuid4().hex[:20]}", "object": "realtime.item", "type": kind, "status": "in_progress"}
    return Item({**shared, **fields})
