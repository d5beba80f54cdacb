"""When a caller's turn is over, and what is done meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from livekit.agents.voice.turn import InterruptionOptions, PreemptiveGenerationOptions, TurnHandlingOptions

    from story.core.live import LiveStack

FINISHED_SECONDS = 0.5
"""Of silence after a whole sentence that end a turn. The reply is begun before; as a rule it takes longer than that."""

BEGUN_AHEAD: PreemptiveGenerationOptions = {
    "preemptive_tts": True,
    "max_speech_duration": 60.0,
    "max_retries": 10,
}
"""The reply, its sound too, is begun at each transcript of a turn, and thrown away where the caller goes on."""

FALSE_INTERRUPTIONS: InterruptionOptions = {"false_interruption_timeout": 1.5}
"""For the session. Seconds after a long sound of which no words come, until the agent goes on."""


@runtime_checkable
class SlowThinker(Protocol):
    """An LLM on this machine: it takes its time, and its words cost nothing.

    end_of_turn_delay: seconds of silence after which a caller's turn is taken to be over. Its reply is begun at the
    first silence, so a wait that is not longer than it needs for a first sentence is no wait for the caller, and a
    caller who only draws breath is not cut short.
    """

    end_of_turn_delay: float


def turn_handling(stack: LiveStack, *, audio: bool) -> TurnHandlingOptions:
    """livekit's options for a persona that talks with `stack`.

    They belong on the agent, never on the session: there they would switch a realtime model's own turn detection off.
    """
    if stack.realtime or not audio:
        return {}
    wait = stack.llm.end_of_turn_delay if isinstance(stack.llm, SlowThinker) else FINISHED_SECONDS
    return {
        "turn_detection": stack.turn_detection or "vad",
        "interruption": {"mode": "vad"},
        "endpointing": {"min_delay": wait},
        "preemptive_generation": BEGUN_AHEAD,
    }
