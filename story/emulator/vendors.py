"""The vendors that can be emulated."""

from __future__ import annotations

from story.emulator.cartesia import CARTESIA
from story.emulator.deepgram import DEEPGRAM
from story.emulator.elevenlabs import ELEVENLABS
from story.emulator.openai import OPENAI
from story.emulator.vendor import Vendor

VENDORS: tuple[Vendor, ...] = (OPENAI, DEEPGRAM, CARTESIA, ELEVENLABS)
"""The first one answers paths that belong to none."""
