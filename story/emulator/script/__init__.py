"""A brain that answers from a script."""

from __future__ import annotations

from pathlib import Path

from story.emulator.script.brain import ScriptBrain
from story.emulator.script.model import Reply, Script, load_script

BUILT_IN = Path(__file__).parents[1] / "scripts" / "storyteller.toml"
"""Plays the storyteller."""

__all__ = ["BUILT_IN", "Reply", "Script", "ScriptBrain", "load_script"]
