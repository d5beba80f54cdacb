"""What came in and went out, for assertions: secrets and sound left out."""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

LONGEST = 20_000
"""Entries kept; the oldest are dropped."""
HIDDEN = "***"
DEEPEST = 40
"""Levels of a message that are shown: what clients send may be nested deeper than Python recurses."""

Kind = Literal["request", "received", "sent", "ended"]

_SECRET = re.compile(r"(api[-_]?key|authorization|token$|secret|password)", re.IGNORECASE)
_SOUND = frozenset({"audio", "audio_base_64", "audio_base64", "data", "delta", "pcm"})
_LONG_TEXT = 400


@dataclass(frozen=True)
class Entry:
    """One request, message or end of a connection. t: seconds since the server started.

    connection: number of the request it belongs to. content: of a message, its JSON without sound;
    of a request, query, user agent and whether it has a key; of an end, the status or close code. bytes: of sound in
    it. count: so many messages of sound alike, one after the other.
    """

    t: float
    connection: int
    vendor: str
    endpoint: str
    kind: Kind
    content: object = None
    count: int = 1
    bytes: int = 0


@dataclass
class Journal:
    """The entries so far, oldest first."""

    keys: Iterable[str] = ()
    started: float = field(default_factory=time.monotonic)
    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=LONGEST))
    _alike: tuple[int, Kind, object] | None = None  # what the last entry counts, where it is sound

    def add(self, connection: int, vendor: str, endpoint: str, kind: Kind, content: object = None) -> None:
        """Note it. bytes content is sound."""
        t = round(time.monotonic() - self.started, 4)
        told, size = _without_sound(content)
        alike = (connection, kind, _named(told)) if size else None
        if alike is not None and alike == self._alike and self.entries:
            last = self.entries.pop()
            entry = Entry(last.t, connection, vendor, endpoint, kind, last.content, last.count + 1, last.bytes + size)
        else:
            entry = Entry(t, connection, vendor, endpoint, kind, told, 1, size)
        self._alike = alike
        self.entries.append(entry)

    def as_data(self, *, since: float = 0.0) -> list[dict[str, object]]:
        """The entries from `since` on (seconds since the server started) as JSON data, secrets hidden."""
        keys = tuple(key for key in self.keys if key)
        entries = [entry for entry in self.entries if entry.t >= since]
        return [{**vars(entry), "content": hidden(entry.content, keys)} for entry in entries]


def _without_sound(content: object) -> tuple[object, int]:
    """A message without its sound, and how many bytes of that there were: a call has a thousand of them a minute."""
    if isinstance(content, bytes):
        return None, len(content)
    if not isinstance(content, Mapping):
        return content, 0
    size = 0
    told = {}
    for name, value in content.items():
        if name in _SOUND and isinstance(value, str) and len(value) > _LONG_TEXT:
            size += len(value) * 3 // 4
        else:
            told[name] = value
    return (told, size) if size else (content, 0)


def _named(content: object) -> object:
    """What tells a message of sound from the one before it: ids of events don't."""
    if not isinstance(content, Mapping):
        return content
    return {name: value for name, value in content.items() if name not in ("event_id", "step_time")}


def hidden(content: object, keys: Sequence[str] = ()) -> object:
    """`content` as JSON data without sound and without secrets: by their names, and `keys` wherever they stand."""
    return _shown(content, keys, 0, secret=False)


def _shown(content: object, keys: Sequence[str], depth: int, *, secret: bool) -> object:
    if isinstance(content, str):
        return HIDDEN if secret else _without_keys(content, keys)
    if isinstance(content, Mapping | list | tuple):
        if depth == DEEPEST:
            return "..."
        if isinstance(content, Mapping):
            return {
                _without_keys(str(name), keys): _field(str(name), value, keys, depth + 1, secret=secret)
                for name, value in content.items()
            }
        return [_shown(item, keys, depth + 1, secret=secret) for item in content]
    if content is None or isinstance(content, int) or (isinstance(content, float) and math.isfinite(content)):
        return content
    return f"<{len(content)} bytes>" if isinstance(content, bytes) else str(content)  # JSON knows no infinity


def _field(name: str, value: object, keys: Sequence[str], depth: int, *, secret: bool) -> object:
    if name in _SOUND and isinstance(value, str) and len(value) > _LONG_TEXT:
        return f"<{len(value) * 3 // 4} bytes>"
    return _shown(value, keys, depth, secret=secret or _SECRET.search(name) is not None)


def _without_keys(text: str, keys: Sequence[str]) -> str:
    for key in keys:
        text = text.replace(key, HIDDEN)
    return text
