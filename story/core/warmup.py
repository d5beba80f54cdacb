"""What a model object may offer so that its first answer is as fast as its later ones.

livekit's own `prewarm()` opens connections; these are for models that must load weights or read a prompt first.
A call awaits both before the first word is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from livekit.agents import llm


@runtime_checkable
class SupportsWarmUp(Protocol):
    """A stt, llm or tts object that has something to load."""

    async def warm_up(self) -> None:
        """Return once the first request will be as fast as the next. Raises StoryError."""


@runtime_checkable
class SupportsPrefill(Protocol):
    """An LLM that can read a persona's instructions ahead of its first turn."""

    async def prefill(self, instructions: str, tools: Sequence[llm.Tool]) -> None:
        """Read `instructions` (the part that does not depend on the caller) so that a later prompt that begins
        with them costs only what follows. Called once for each persona of the chain, before the first word."""


async def warm_up(models: Iterable[object]) -> None:
    """Have every model ready: those that load something have loaded it, the others have begun to connect."""
    for model in models:
        if isinstance(model, SupportsWarmUp):
            await model.warm_up()
        elif callable(prewarm := getattr(model, "prewarm", None)):
            prewarm()
