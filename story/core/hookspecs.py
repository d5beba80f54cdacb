"""The hooks a plugin may implement. Every one is optional, and each result may be one thing or a list of them.

A plugin is a module (or object) named by an entry point of the group ``story`` whose functions carry
``@story.hookimpl``. Hooks that list things run while the command line starts: they must not import livekit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

from story.core.registry import Alias, ModelFactory, ModelPrice

if TYPE_CHECKING:
    import typer

    from story.core.events import AgentTurn, CallEnded, CallStarted, Handoff, UserTurn

PROJECT = "story"
ENTRY_POINT_GROUP = "story"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Factories = ModelFactory | Sequence[ModelFactory]


@hookspec
def story_stt() -> Factories:  # type: ignore[empty-body]
    """Speech-to-text models; `build` returns a `livekit.agents.stt.STT`."""


@hookspec
def story_llm() -> Factories:  # type: ignore[empty-body]
    """Language models; `build` returns a `livekit.agents.llm.LLM`."""


@hookspec
def story_tts() -> Factories:  # type: ignore[empty-body]
    """Text-to-speech models; `build` returns a `livekit.agents.tts.TTS`."""


@hookspec
def story_realtime() -> Factories:  # type: ignore[empty-body]
    """Speech-to-speech models; `build` returns a `livekit.agents.llm.RealtimeModel`."""


@hookspec
def story_vad() -> Factories:  # type: ignore[empty-body]
    """Voice activity detectors; `build` returns a `livekit.agents.vad.VAD`."""


@hookspec
def story_turn_detector() -> Factories:  # type: ignore[empty-body]
    """End-of-turn models; `build` returns what livekit takes as `turn_detection`."""


@hookspec
def story_noise_cancellation() -> Factories:  # type: ignore[empty-body]
    """Noise cancellation for room transports; `build` returns what livekit takes as `noise_cancellation`."""


@hookspec
def story_aliases() -> Alias | Sequence[Alias]:  # type: ignore[empty-body]
    """Short names for models: `Alias("nova-3", Role.STT, "deepgram/nova-3")`."""


@hookspec
def story_stacks() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Named stacks, name to spec, as `[stacks.NAME]` of story.toml would give them."""


@hookspec
def story_personas() -> Mapping[str, Path | str]:  # type: ignore[empty-body]
    """Chains and personas, name to what holds it: the path of a chain's TOML, or "module:Class" of a PersonaAgent.

    A chain is chosen by its name (`--chain NAME`). A class is named by a chain's `[personas.X] agent = "NAME"`,
    and is imported when a call starts.
    """


@hookspec
def story_prices() -> ModelPrice | Sequence[ModelPrice]:  # type: ignore[empty-body]
    """What models cost, each price with its source and date; `story bench` reckons with them."""


@hookspec
def story_commands(app: typer.Typer) -> None:
    """Add commands of the plugin's own to the command line."""


@hookspec
def story_call_started(event: CallStarted) -> None:
    """A call began. Observers run on the call's event loop: be quick, or hand the work to a thread."""


@hookspec
def story_handoff(event: Handoff) -> None:
    """The next persona made its first sound (or, where there is no sound, its first word)."""


@hookspec
def story_turn(event: UserTurn | AgentTurn) -> None:
    """Somebody finished a turn."""


@hookspec
def story_call_ended(event: CallEnded) -> None:
    """The call is over; the event has its reason, the gathered data, usage and duration."""
