"""What emulated vendors wrote down of a call: what they heard, were asked, and sent, to be found back by measuring."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from story.bench.marks import Asked, Parts
from story.bench.noted import Drawn, NotedEars, NotedLatencies, Sound
from story.bench.shares import Share, share_of
from story.emulator.journal import Entry, Journal

ROLES: Mapping[str, frozenset[str]] = {
    "stt": frozenset(("listen", "flux", "stt", "turns", "transcriptions", "scribe", "scribe-realtime")),
    "llm": frozenset(("chat", "responses")),
    "tts": frozenset(("tts", "dialogue", "speak", "flux-speak", "speech")),
    "realtime": frozenset(("realtime",)),
}
"""The emulator's endpoints by the role of what they serve."""
NEAR_SECONDS = 0.02
"""By which a client may note a result before, or a request after, the server does: they are in one process."""
EARLY_SECONDS = 0.001
"""By which the journal may note a message after it came: its times are rounded."""
_SPEECH = frozenset(f"response.output_{kind}.delta" for kind in ("audio", "audio_transcript", "text"))


@dataclass(frozen=True)
class VendorLog:
    """The journal of one call's emulator, on the loop's clock, the latencies that it was given, and what it heard."""

    journal: Journal
    latencies: NotedLatencies
    ears: NotedEars

    def stages(self, led: Parts, end: float, answer: float) -> dict[str, float]:
        """What the vendors took for the answer that `led` tells of, seconds, where it can be told. `end`: the caller's
        last sound; answer: the agent's first (the loop's clock).

        For each of stt, llm, tts, realtime (a model's answer to a request) and speech (its answer to what it heard):
        "stt": from what is answered to the first result. "stt_given": what was to pass, which is the latency that was
        injected, or the silence that the recogniser waits for where that is longer. "stt_before", "stt_after": the
        plugin's share before the one and after the other, with their limits "stt_before_least", "stt_before_most" and
        "stt_after_most". "ear": from the last sound that was heard until sound was there to be played, with
        "ear_after" until it is.
        """
        found, sound, unseen = self._recognised(led, end)
        spoken: Entry | None = None
        for role, asked in (("llm", led.llm), ("tts", led.tts)):
            taken = None if asked is None else self._taken(role, asked)
            if asked is not None and taken is not None:
                came, sent = taken
                given = self._given_for(role, came.t)
                found |= {} if given is None else _asking(role, asked, came, sent, given.seconds)
                spoken = sent if role == "tts" else None
        if led.tts is None and led.realtime is not None and (response := self._response(led.realtime)) is not None:
            spoken = response[1]
            sound, unseen = self._sound(spoken.t), share_of(spoken.vendor, "speech").unseen
            found |= self._realtime(led.realtime, *response)
        if sound is not None and spoken is not None:
            held = led.tts is not None and led.turn is not None  # it waits until the turn is over
            ready = max(spoken.t, end + (led.turn or 0.0)) if held else spoken.t
            found |= _whole(ready - sound.last, answer - end, unseen, spoken)
        return {name: round(seconds, 4) for name, seconds in found.items()}

    def _recognised(self, led: Parts, end: float) -> tuple[dict[str, float], Sound | None, float]:
        """What a recogniser took, what it heard, and by how much of that it does not know (seconds)."""
        final = None if led.final is None else self._last("stt", end + led.final, _is_words)
        if final is None or led.final is None:
            return {}, None, 0.0
        sound, given = self._sound(final.t), self._given("stt", final.t)
        if sound is None or given is None:
            return {}, None, 0.0
        if sound.whole:
            return _recorded(sound, given, final, end, end + led.final), sound, given.at - end - sound.quiet
        found = _hearing("stt", sound, given, final, end + led.final)
        return found, sound, share_of(final.vendor, "stt").unseen

    def _response(self, asked: Asked) -> tuple[Entry, Entry] | None:
        """Of a realtime model's response: that it was begun, and its first sound or word."""
        created = self._last("realtime", asked.start, _is_created)
        if created is None:
            return None
        after = (e for e in self._entries("realtime") if e.kind == "sent" and e.t >= created.t and _is_speech(e))
        sent = next(after, None)
        return None if sent is None else (created, sent)

    def _realtime(self, asked: Asked, created: Entry, sent: Entry) -> dict[str, float]:
        """Of a model that hears: it is asked by a message, or by what it heard."""
        given, sound = self._given("realtime", sent.t), self._sound(sent.t)
        if given is None:
            return {}
        if not _is_asked(created):
            return {} if sound is None else _hearing("speech", sound, given, sent, asked.first)
        requests = [e.t for e in self._entries("realtime") if _is_request(e) and e.t <= created.t]
        passed = created.t - requests[-1] if requests else 0.0
        return _asking("realtime", asked, created, sent, given.seconds - passed)

    def _sound(self, before: float) -> Sound | None:
        """The last utterance whose words were made out by then."""
        return next((sound for sound in reversed(self.ears.heard) if sound.told <= before + NEAR_SECONDS), None)

    def _given(self, role: str, before: float) -> Drawn | None:
        """The latency of a role that was drawn last by then."""
        return next((one for one in reversed(self.latencies.first) if one.role == role and one.at <= before), None)

    def _given_for(self, role: str, after: float) -> Drawn | None:
        """The latency that was drawn first for what came then: some draw one for each part of a text."""
        return next((one for one in self.latencies.first if one.role == role and one.at >= after - EARLY_SECONDS), None)

    def _taken(self, role: str, asked: Asked) -> tuple[Entry, Entry] | None:
        """What came in for a request, and its first result."""
        sent = self._first_result(role, asked)
        if sent is None:
            return None
        came = [e for e in self._entries(role) if e.connection == sent.connection and e.kind == "received"]
        came = [entry for entry in came if asked.start - NEAR_SECONDS <= entry.t <= sent.t and _is_text(entry)]
        return (came[0], sent) if came else None

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


def _recorded(sound: Sound, given: Drawn, sent: Entry, end: float, first: float) -> dict[str, float]:
    """Of a recogniser's answer to a recording, which is as long as the silence in it after the last sound."""
    share = share_of(sent.vendor, "recording")
    found = {"stt": sent.t - given.at, "stt_given": given.seconds, "stt_before": given.at - end}
    found |= {"stt_after": first - sent.t, "stt_after_most": share.after}
    return {**found, "stt_before_least": sound.quiet, "stt_before_most": sound.quiet + share.before}


def _hearing(role: str, sound: Sound, given: Drawn, sent: Entry, first: float) -> dict[str, float]:
    """Of an answer to sound that was streamed."""
    share = share_of(sent.vendor, role)
    found = {role: sent.t - sound.came, f"{role}_given": max(given.seconds, given.at - sound.came)}
    found |= {f"{role}_before": sound.came - sound.last + share.unseen, f"{role}_after": first - sent.t}
    return {**found, **_most(role, share)}


def _asking(role: str, asked: Asked, came: Entry, sent: Entry, given: float) -> dict[str, float]:
    """Of an answer to a request."""
    found = {role: sent.t - came.t, f"{role}_given": given, f"{role}_before": came.t - asked.start}
    return {**found, f"{role}_after": asked.first - sent.t, **_most(role, share_of(sent.vendor, role))}


def _whole(seconds: float, latency: float, unseen: float, sent: Entry) -> dict[str, float]:
    """Of a whole turn: from the last sound that was heard until there was one to be played, and on to the ear."""
    found = {"ear": seconds, "ear_given": seconds, "ear_before": unseen, "ear_after": latency - seconds - unseen}
    vendor = sent.vendor if sent.endpoint in ROLES["tts"] else "*"
    return {**found, **_most("ear", share_of(vendor, "ear"))}


def _most(role: str, share: Share) -> dict[str, float]:
    return {f"{role}_before_most": share.before, f"{role}_after_most": share.after}


def _content(entry: Entry) -> Mapping[str, object]:
    return entry.content if isinstance(entry.content, Mapping) else {}


def _is_any(entry: Entry) -> bool:
    return True


def _is_sound(entry: Entry) -> bool:
    return entry.bytes > 0 or _content(entry).get("type") == "chunk"


def _is_speech(entry: Entry) -> bool:
    return _content(entry).get("type") in _SPEECH


def _is_created(entry: Entry) -> bool:
    return _content(entry).get("type") == "response.created"


def _is_request(entry: Entry) -> bool:
    return entry.kind == "received" and _content(entry).get("type") == "response.create"


def _is_asked(created: Entry) -> bool:
    """Whether a response was begun by a message of the client's, which then has its mark."""
    response = _content(created).get("response")
    return isinstance(response, Mapping) and bool(response.get("metadata"))


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
            return content.get("event") == "EndOfTurn"
        case "transcript":
            return content.get("is_final") is True
        case "turn.end":
            return True
    return content.get("message_type") == "committed_transcript" or "text" in content


def _said(content: Mapping[str, object]) -> bool:
    channel = content.get("channel")
    alternatives = channel.get("alternatives") if isinstance(channel, Mapping) else None
    return isinstance(alternatives, list) and any(
        isinstance(one, Mapping) and bool(one.get("transcript")) for one in alternatives
    )
