"""Staged voice conversations on LiveKit Agents. These are the names that plugins and personas build on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from story.core.errors import StoryError
from story.core.hookspecs import hookimpl
from story.core.registry import Alias, ModelFactory, ModelOptions, ModelPrice, Role
from story.version import __version__

if TYPE_CHECKING:
    from story.core.agent import PersonaAgent

__all__ = [
    "Alias",
    "ModelFactory",
    "ModelOptions",
    "ModelPrice",
    "PersonaAgent",
    "Role",
    "StoryError",
    "__version__",
    "hookimpl",
]


def __getattr__(name: str) -> object:
    if name == "PersonaAgent":  # needs livekit, which takes seconds to import: only who subclasses it pays
        from story.core.agent import PersonaAgent

        return PersonaAgent
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
