"""Fallback chains: livekit's adapters around several models of one role, and word of who took over from whom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from story.core.redact import redact
from story.core.registry import Role
from story.core.resolved import ResolvedRef
from story.core.settings import Settings

if TYPE_CHECKING:
    from livekit.agents.llm.fallback_adapter import AvailabilityChangedEvent as LLMAvailability
    from livekit.agents.llm.realtime_fallback_adapter import RealtimeAvailabilityChangedEvent
    from livekit.agents.stt.fallback_adapter import AvailabilityChangedEvent as STTAvailability
    from livekit.agents.tts.fallback_adapter import AvailabilityChangedEvent as TTSAvailability

LLM_ATTEMPT_SECONDS = 10.0
"""How long a language model may take to answer before the next is asked. livekit's own 5 s are too few for an on-device
model on two busy cores, and that is what people fall back to."""


@dataclass(frozen=True)
class Switch:
    """A model of a fallback chain takes over from another. `why` is the failed model's last error, redacted."""

    role: Role
    from_: ResolvedRef
    to: ResolvedRef
    why: str


def adapter_for(
    role: Role,
    built: Sequence[tuple[object, ResolvedRef]],
    vad: object,
    settings: Settings,
    on_switch: Callable[[Switch], None] | None,
) -> object:
    """livekit's adapter around models of one role, in the order they are tried.

    vad: cuts the sound for recognisers that don't stream; those can't be in a chain without one.

    Raises:
        ValueError: they can't stand in for one another.
    """
    from livekit.agents import llm as lk_llm
    from livekit.agents import stt as lk_stt
    from livekit.agents import tts as lk_tts
    from livekit.agents import vad as lk_vad

    watch = _Watch(role, built, settings, on_switch)
    models = [model for model, _ in built]
    match role:
        case Role.STT:
            hearing = lk_stt.FallbackAdapter(
                [model for model in models if isinstance(model, lk_stt.STT)],
                vad=vad if isinstance(vad, lk_vad.VAD) else None,
            )
            hearing.on("stt_availability_changed", watch.stt)
            return hearing
        case Role.LLM:
            thinking = lk_llm.FallbackAdapter(
                [model for model in models if isinstance(model, lk_llm.LLM)], attempt_timeout=LLM_ATTEMPT_SECONDS
            )
            thinking.on("llm_availability_changed", watch.llm)
            return thinking
        case Role.TTS:
            speaking = lk_tts.FallbackAdapter([model for model in models if isinstance(model, lk_tts.TTS)])
            speaking.on("tts_availability_changed", watch.tts)
            return speaking
        case Role.REALTIME:
            realtime = lk_llm.RealtimeModelFallbackAdapter(
                [model for model in models if isinstance(model, lk_llm.RealtimeModel)]
            )
            realtime.on("realtime_availability_changed", watch.realtime)
            return realtime
    raise ValueError(f"livekit has no fallback adapter for {role}")


class _Watch:
    """Follows which models of a chain are up, as livekit's events say it, and tells when another one serves."""

    def __init__(
        self,
        role: Role,
        built: Sequence[tuple[object, ResolvedRef]],
        settings: Settings,
        on_switch: Callable[[Switch], None] | None,
    ) -> None:
        self._role = role
        self._models = [model for model, _ in built]
        self._refs = [ref for _, ref in built]
        self._settings = settings
        self._on_switch = on_switch
        self._up = [True] * len(self._refs)
        self._errors: list[str | None] = [None] * len(self._refs)
        for index, model in enumerate(self._models):
            if callable(on := getattr(model, "on", None)):
                on("error", lambda event, index=index: self._note(index, event))

    def stt(self, event: STTAvailability) -> None:
        # One that doesn't stream comes wrapped in livekit's StreamAdapter.
        self._changed(getattr(event.stt, "wrapped_stt", event.stt), event.available)

    def llm(self, event: LLMAvailability) -> None:
        self._changed(event.llm, event.available)

    def tts(self, event: TTSAvailability) -> None:
        self._changed(event.tts, event.available)

    def realtime(self, event: RealtimeAvailabilityChangedEvent) -> None:
        self._changed(event.realtime_model, event.available)

    def _note(self, index: int, event: object) -> None:
        error = getattr(event, "error", event)
        text = redact(" ".join(str(error).split()), self._settings)
        self._errors[index] = f"{type(error).__name__}: {text}" if text else type(error).__name__

    def _changed(self, model: object, available: bool) -> None:
        index = next((i for i, known in enumerate(self._models) if known is model), None)
        if index is None:
            return
        before = self._serving()
        self._up[index] = available
        after = self._serving()
        if self._on_switch is None or before is None or after is None or before == after:
            return  # nobody is left (the session tells that as an error), or nothing changes for the caller
        why = "it works again" if available else self._errors[index] or "it gave no answer in time"
        self._on_switch(Switch(self._role, self._refs[before], self._refs[after], why))

    def _serving(self) -> int | None:
        return next((index for index, up in enumerate(self._up) if up), None)
