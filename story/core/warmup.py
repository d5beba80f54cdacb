"""What a model object may offer so that its first answer is as fast as its later ones.

livekit's own `prewarm()` opens connections before the first word; these are for models that must load weights or read a
prompt first, which a call awaits, and for connections that are opened while another persona still talks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from livekit.agents import llm

logger = logging.getLogger("story")


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


@runtime_checkable
class SupportsPreconnect(Protocol):
    """A model that talks over a connection of its own with each persona, as realtime models do."""

    def preconnect(self) -> None:
        """Begin to open the connection that the next persona on this model will use, and return at once.

        Called each time a persona begins that can lead to one on this model; the connection may then wait for as long
        as a call lasts, or never be used. Where it can't be opened, or is lost, nobody must notice: the persona that
        needs one opens another. `aclose` closes what was not used."""


async def warm_up(models: Iterable[object]) -> None:
    """Have every model ready: those that load something have loaded it, the others have begun to connect."""
    for model in models:
        if isinstance(model, SupportsWarmUp):
            await model.warm_up()
        elif callable(prewarm := getattr(model, "prewarm", None)):
            prewarm()


def preconnect(models: Iterable[object]) -> None:
    """Have the models that can do so begin to connect. One that fails at it is only logged."""
    for model in models:
        if isinstance(model, SupportsPreconnect):
            try:
                model.preconnect()
            except Exception:
                logger.exception("%s can't connect ahead", type(model).__name__)
