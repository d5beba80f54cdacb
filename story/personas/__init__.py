"""The built-in chains, offered like any plugin's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from story.core.hookspecs import hookimpl


@hookimpl
def story_personas() -> Mapping[str, Path | str]:
    return {"storyteller": Path(__file__).with_name("storyteller.toml")}
