"""What emulated vendors wrote down of a call: the latencies that were injected, to be found back by measuring."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from story.bench.marks import Asked, Parts
from story.emulator.journal import Entry, Journal
from story.emulator.latency import Latencies, Profile, Stage

ROLES: Mapping[str, frozenset[str]] = {
    "stt": frozenset(("listen", "flux", "stt", "turns", "transcriptions", "scribe", "scribe-realtime")),
    "llm": frozenset(("chat", "responses")),
    "tts": frozenset(("tts", "dialogue", "speak", "flux-speak", "speech")),
    "realtime": frozenset(("realtime",)),
}
"""The emulator's endpoints by the role of what they serve."""
NEAR_SECONDS = 0.02
"""By which a client may note a result before, or a request after, the server does: they are in one process."""


class NotedLatencies(Latencies):
    """Latencies that are remembered as they are drawn. first: (the loop's clock, role, seconds), each the time until a
    first result."""

    def __init__(self, profile: Profile, *, seed: int = 0) -> None:
        super().__init__(profile, seed=seed)
        self.first: list[tuple[float, str, float]] = []

    def draw(self, vendor: str, role: str, model: str, stage: Stage) -> float:
        seconds = super().draw(vendor, role, model, stage)
        if stage is Stage.FIRST:
            self.first.append((time.monotonic(), role, seconds))
        return seconds


@dataclass(frozen=True)
class VendorLog:
    """The journal of one call's emulator, on the loop's clock, and the latencies that it was given."""

    journal: Journal
    latencies: NotedLatencies

    def stages(self, led: Parts, end: float) -> dict[str, float]:
        """What the vendors took for the answer that `led` tells of, seconds, where it can be told.

        stt: from the last sound that the recogniser heard to its final words. llm, tts: from the last of what is
        answered to the first result. stt_given, llm_given, tts_given: the latency that was injected. stt_way, llm_way,
        tts_way: the rest of what was measured, which is the plugin's: its chunking, its connection, its decoding.
        `end`: the caller's last sound.
        """
        found: dict[str, float] = {}
        final = None if led.final is None else self._last("stt", end + led.final, _is_words)
        given = None if final is None else self._given("stt", final.t)
        if led.final is not None and final is not None and given is not None:
            # the recogniser's deadline counts from its own last sound, which came to it later than it was made
            found |= {"stt": min(final.t - end, given), "stt_given": given}
            found["stt_way"] = led.final - found["stt"]
        for role, asked in (("llm", led.llm), ("tts", led.tts)):
            taken = None if asked is None else self._taken(role, asked)
            if asked is not None and taken is not None:
                seconds, given = taken
                found |= {role: seconds, f"{role}_way": asked.first - asked.start - seconds}
                found |= {} if given is None else {f"{role}_given": given}
        return {name: round(seconds, 4) for name, seconds in found.items()}

    def _given(self, role: str, before: float) -> float | None:
        """The latency of a role that was drawn last by then."""
        drawn = [seconds for at, what, seconds in self.latencies.first if what == role and at <= before]
        return drawn[-1] if drawn else None

    def _taken(self, role: str, asked: Asked) -> tuple[float, float | None] | None:
        """Seconds from a request to its first result, and those that it was to take."""
        sent = self._first_result(role, asked)
        if sent is None:
            return None
        came = [e for e in self._entries(role) if e.connection == sent.connection and e.kind == "received"]
        came = [entry for entry in came if asked.start - NEAR_SECONDS <= entry.t <= sent.t and _is_text(entry)]
        return (sent.t - came[0].t, self._given(role, sent.t)) if came else None

    def _first_result(self, role: str, asked: Asked) -> Entry | None:
        """The first result of a request: of the connections that answered in time, the one that came last."""
        wanted = _is_sound if role == "tts" else _is_any
        first: dict[int, Entry] = {}
        for entry in self._entries(role):
            after = asked.start - NEAR_SECONDS <= entry.t <= asked.first + NEAR_SECONDS
            if entry.kind == "sent" and after and wanted(entry):
                first.setdefault(entry.connection, entry)
        return max(first.values(), key=lambda entry: entry.t, default=None)

    def _last(self, role: str, before: float, wanted: Callable[[Entry], bool]) -> Entry | None:
        there = [e for e in self._entries(role) if e.kind == "sent" and e.t <= before + NEAR_SECONDS and wanted(e)]
        return there[-1] if there else None

    def _entries(self, role: str) -> Sequence[Entry]:
        """Those of a role's endpoints, with the loop's clock."""
        started = self.journal.started
        return [
            Entry(started + e.t, e.connection, e.vendor, e.endpoint, e.kind, e.content, e.count, e.bytes)
            for e in self.journal.entries
            if e.endpoint in ROLES[role]
        ]


def _content(entry: Entry) -> Mapping[str, object]:
    return entry.content if isinstance(entry.content, Mapping) else {}


def _is_any(entry: Entry) -> bool:
    return True


def _is_sound(entry: Entry) -> bool:
    return entry.bytes > 0 or _content(entry).get("type") == "chunk"


def _is_text(entry: Entry) -> bool:
    """Whether a message brings text: contexts are also opened, flushed and closed."""
    content = _content(entry)
    texts = [content.get(name) for name in ("transcript", "text", "input", "messages")]
    return any(isinstance(text, list) or (isinstance(text, str) and text.strip()) for text in texts)


def _is_words(entry: Entry) -> bool:
    """Whether a recogniser's message has final words."""
    content = _content(entry)
    match content.get("type"):
        case "Results":
            return content.get("is_final") is True and _said(content)
        case "TurnInfo":
            return content.get("event") in ("EndOfTurn", "EagerEndOfTurn")
        case "transcript":
            return content.get("is_final") is True
        case "turn.end" | "turn.eager_end":
            return True
    return content.get("message_type") == "committed_transcript" or "text" in content


def _said(content: Mapping[str, object]) -> bool:
    channel = content.get("channel")
    alternatives = channel.get("alternatives") if isinstance(channel, Mapping) else None
    return isinstance(alternatives, list) and any(
        isinstance(one, Mapping) and bool(one.get("transcript")) for one in alternatives
    )
