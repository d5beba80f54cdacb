"""When the models of a call were asked and answered, on the clock of the caller's line."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from livekit.agents.metrics import LLMMetrics, RealtimeModelMetrics, TTSMetrics

from story.bench.ear import Heard
from story.core import events

if TYPE_CHECKING:
    from livekit.agents import AgentSession, UserInputTranscribedEvent
    from livekit.agents.metrics import AgentMetrics

    from story.core.call import Call

NEAR_SECONDS = 0.03
"""A model's sound may be noted so long after it was heard: its frame is on the line within a tick."""


@dataclass(frozen=True)
class Asked:
    """A request of a model: role (llm, tts or realtime), when it was asked, when its first token or sound came."""

    role: str
    start: float
    first: float


@dataclass
class Marks:
    """Follows one call. Times are seconds of the loop's clock.

    told: the call's events, each with when it came. finals: when the recogniser's final words did.
    """

    told: list[tuple[float, events.Event]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    finals: list[float] = field(default_factory=list)
    _since_1970: float = field(default_factory=lambda: time.time() - time.monotonic())

    def attached(self, call: Call, session: AgentSession[Any]) -> None:
        """Follow the models of a call that is about to start."""
        call.measure(self._on_metrics)
        session.on("user_input_transcribed", self._on_transcribed)

    def __call__(self, event: events.Event) -> None:
        """An observer of the call."""
        self.told.append((time.monotonic(), event))

    def of(self, kind: type[events.Event]) -> list[tuple[float, Any]]:
        return [(at, event) for at, event in self.told if isinstance(event, kind)]

    def first_word(self, after: float, before: float) -> float | None:
        """When the first word was told as heard of what the agent began to say between these times."""
        so_far: str | None = None
        for at, event in self.of(events.Partial):
            if event.who != "agent":
                continue
            goes_on = so_far is not None and len(event.text) > len(so_far) and event.text.startswith(so_far)
            so_far = event.text
            if not goes_on and after < at < before:
                return at
        return None

    def on_clock(self, since_1970: float) -> float:
        """A time of livekit's on the loop's clock."""
        return since_1970 - self._since_1970

    def _on_transcribed(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final and event.transcript.strip():
            self.finals.append(self.on_clock(event.created_at))

    def _on_metrics(self, metrics: AgentMetrics) -> None:
        match metrics:
            case LLMMetrics() if metrics.ttft >= 0:
                self._add("llm", metrics.timestamp - metrics.duration, metrics.ttft)
            case TTSMetrics() if metrics.ttfb >= 0:
                self._add("tts", metrics.timestamp - metrics.duration, metrics.ttfb)
            case RealtimeModelMetrics() if metrics.ttft >= 0:
                self._add("realtime", metrics.timestamp, metrics.ttft)

    def _add(self, role: str, start: float, seconds: float) -> None:
        at = self.on_clock(start)
        self.asked.append(Asked(role, at, at + seconds))


@dataclass(frozen=True)
class Stages:
    """Where the time of an answer went: seconds after the caller's last sound, one after the other, which add up to
    the latency.

    stt: until there were words to think about. turn: waiting, for the turn to be over. llm: from the request to the
    first token. tts: from the text to the first sound. realtime: the same of a model that hears and speaks. line: from
    a model's first sound to the caller's ear.
    """

    stt: float = 0.0
    turn: float = 0.0
    llm: float = 0.0
    tts: float = 0.0
    realtime: float = 0.0
    line: float = 0.0

    def as_dict(self) -> dict[str, float]:
        return {name: round(seconds, 4) for name, seconds in vars(self).items()}


@dataclass(frozen=True)
class Parts:
    """What led to an answer, in seconds; None: it was not seen.

    final: from the caller's last sound to the recogniser's final words. turn: to the decision that the turn is over.
    llm, tts, realtime: the requests themselves, however much of them was done while the caller still spoke.
    """

    stages: Stages
    final: float | None = None
    turn: float | None = None
    llm: Asked | None = None
    tts: Asked | None = None
    realtime: Asked | None = None


def parts(heard: Heard, marks: Marks, began: float) -> Parts | None:
    """The parts of an answer: of what led to the sound that was heard, so each the last before the next.

    began: when the line's clock did (the loop's clock).
    """
    if heard.answer is None or heard.premature:
        return None
    end, answer, since = began + heard.said.end, began + heard.answer, began + heard.said.onset
    realtime = _last(marks.asked, "realtime", since, answer)
    tts = _last(marks.asked, "tts", since, answer)
    final = _between(marks.finals, since, answer)
    turn = _between([at for at, _ in marks.of(events.UserTurn)], since, answer)
    if realtime is not None and (tts is None or realtime.start > tts.start):
        stages = _Steps(end, answer)
        stages.until("turn", realtime.start).until("realtime", realtime.first).until("line", answer)
        return Parts(stages.made(), _less(final, end), _less(turn, end), realtime=realtime)
    llm = _last(marks.asked, "llm", since, tts.start if tts is not None else answer)
    stages = _Steps(end, answer)
    if llm is None and tts is None and any(one.role == "realtime" for one in marks.asked):  # the call ended meanwhile
        stages.until("turn", turn or end).until("realtime", answer)
        return Parts(stages.made(), _less(final, end), _less(turn, end))
    words = min(at for at in (final, llm.start if llm else None, answer) if at is not None)
    stages.until("stt", words)
    if llm is not None:
        stages.until("turn", llm.start).until("llm", llm.first)
    if tts is not None:
        stages.until("turn", tts.start).until("tts", tts.first)
    if turn is not None:
        stages.until("turn", turn)  # sound that is there before the turn is over has to wait
    stages.until("line", answer)
    return Parts(stages.made(), _less(final, end), _less(turn, end), llm=llm, tts=tts)


class _Steps:
    """Cuts the time from one moment to another into stages."""

    def __init__(self, start: float, end: float) -> None:
        self._at = start
        self._end = end
        self._seconds: dict[str, float] = {}

    def until(self, stage: str, at: float) -> _Steps:
        """The stage goes on until then; what is past already takes nothing."""
        at = min(max(at, self._at), self._end)
        self._seconds[stage] = self._seconds.get(stage, 0.0) + at - self._at
        self._at = at
        return self

    def made(self) -> Stages:
        return Stages(**self._seconds)


def _last(asked: Sequence[Asked], role: str, after: float, before: float) -> Asked | None:
    """The last request of a role whose first result came in time."""
    there = [one for one in asked if one.role == role and after < one.first <= before + NEAR_SECONDS]
    return max(there, key=lambda one: one.start, default=None)


def _between(times: Sequence[float], after: float, before: float) -> float | None:
    return max((at for at in times if after < at <= before), default=None)


def _less(at: float | None, start: float) -> float | None:
    return None if at is None else at - start
