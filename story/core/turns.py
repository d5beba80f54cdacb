"""When a caller's turn is over, and what is done meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from livekit.agents.voice.turn import TurnHandlingOptions

    from story.core.live import LiveStack


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
    options: TurnHandlingOptions = {
        "turn_detection": stack.turn_detection or "vad",
        "interruption": {"mode": "vad"},
    }
    if isinstance(stack.llm, SlowThinker):
        options["endpointing"] = {"min_delay": stack.llm.end_of_turn_delay}
        # Sound for words that may be thrown away costs only this machine's time.
        options["preemptive_generation"] = {"preemptive_tts": True}
    return options
