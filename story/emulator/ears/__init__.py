"""Ears: how the words of what a caller says are found."""

from __future__ import annotations

from story.emulator.ears.clips import Clip, load_clips
from story.emulator.ears.heard import ClipEars
from story.emulator.ears.lines import Lines
from story.emulator.ears.recognised import RecognisedEars

__all__ = ["Clip", "ClipEars", "Lines", "RecognisedEars", "load_clips"]
