"""Callers without a recording: a voice speaks their lines once a run, and all its calls hear the same sound."""

from __future__ import annotations

import asyncio
import hashlib
import wave
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from story.bench.cell import Cell
from story.bench.component import planned_component
from story.bench.ear import speech
from story.bench.scenarios import Line, Scenario
from story.core.errors import ConfigError, StoryError
from story.core.redact import redact
from story.core.registry import Role
from story.transports.sound import SAMPLE_RATE, Samples, read_wav

if TYPE_CHECKING:
    from livekit.agents import tts

    from story.bench.stand import Stand
    from story.core.plan import Plan
    from story.core.settings import Settings

DEFAULT_VOICE = "local"
FOLDER = "callers"
"""In the folder of a run: what voices spoke."""
LINE_SECONDS = 60.0
"""In which a line has to be spoken."""
EDGE_SECONDS = 0.05
"""Of the silence before and after a line that are kept; voices differ in how much of it they make."""


class SpeakingError(StoryError):
    """A line that can't be spoken."""


def voice_of(scenario: Scenario, wanted: str | None) -> str:
    """Who speaks the lines of a scenario: whom the user wants, else whom it names itself, else this machine's voice."""
    return wanted or scenario.voice or DEFAULT_VOICE


def voices(scenarios: Sequence[Scenario], wanted: str | None, stand: Stand) -> dict[str, Plan]:
    """The voices that are needed for lines without a recording, each with the plan of its model.

    Raises:
        ConfigError: one of them can't be had here.
    """
    names = [voice_of(one, wanted) for one in scenarios if any(line.scripted for line in one.lines)]
    found: dict[str, Plan] = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = planned_component(name, Role.TTS, stand)
        except StoryError as error:
            raise ConfigError(f"the voice of the callers, {name}, can't be had: {error}") from None
    return found


def spoken(scenarios: Sequence[Scenario], wanted: str | None, folder: Path) -> tuple[Scenario, ...]:
    """The scenarios with the sound of every line that has been spoken in the run of `folder`."""
    return tuple(
        replace(
            one, lines=tuple(_with_sound(line, place(folder, voice_of(one, wanted), line.text)) for line in one.lines)
        )
        for one in scenarios
    )


def unspoken(scenarios: Sequence[Scenario], wanted: str | None) -> dict[str, list[str]]:
    """The texts that have no sound yet, each once, by the voice that has to speak them."""
    found: dict[str, dict[str, None]] = {}
    for one in scenarios:
        for line in one.lines:
            if line.sound is None:
                found.setdefault(voice_of(one, wanted), {})[line.text] = None
    return {voice: list(texts) for voice, texts in found.items()}


def place(folder: Path, voice: str, text: str) -> Path:
    """Where a text by a voice is kept: another text or another voice is another file."""
    name = hashlib.sha256(f"{voice}\0{text}".encode()).hexdigest()[:12]
    return folder / FOLDER / f"{name}.wav"


async def speak(texts: Mapping[str, Sequence[str]], plans: Mapping[str, Plan], stand: Stand, folder: Path) -> None:
    """Have each voice speak its texts, and keep them in the run of `folder`.

    Raises:
        SpeakingError: a text can't be spoken, or not be kept. Those before it are kept.
    """
    from livekit.agents import utils

    from story.core.live import build
    from story.core.warmup import warm_up

    async with stand.vendors(Cell(DEFAULT_VOICE, FOLDER, 0)) as vendors, utils.http_context.open():
        for voice, wanted in texts.items():
            plan, text = plans[voice], wanted[0]
            live = None
            try:
                async with asyncio.timeout(LINE_SECONDS):
                    live = await build(plan.stacks[""], stand.registry, vendors.settings, roles=plan.roles)
                    await warm_up(live.models)
                assert live.tts is not None, "the plan is of a tts"
                for text in wanted:
                    async with asyncio.timeout(LINE_SECONDS):
                        await _keep(live.tts, text, place(folder, voice, text))
            except Exception as error:  # whatever a vendor's plugin raises
                why = _why(error, vendors.settings)
                raise SpeakingError(f"the callers' voice {voice} can't speak {text!r}: {why}") from None
            finally:
                if live is not None:
                    await live.aclose()


async def _keep(voice: tts.TTS[Any], text: str, path: Path) -> None:
    """Speak a text into a file, which is there once it is whole."""
    frame = await voice.synthesize(text).collect()
    part = path.with_suffix(f".{path.suffix}.part")
    try:
        path.parent.mkdir(exist_ok=True)
        _write(part, np.frombuffer(frame.data, np.int16), frame.sample_rate, frame.num_channels)
        sound = read_wav(part)
        if not sound.any():
            raise StoryError("it made no sound")
        onset, end = speech(sound)
        first, last = (round(seconds * SAMPLE_RATE) for seconds in (max(0.0, onset - EDGE_SECONDS), end + EDGE_SECONDS))
        _write(part, sound[first:last], SAMPLE_RATE, 1)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write(path: Path, sound: Samples, rate: int, channels: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(sound.astype("<i2").tobytes())


def _with_sound(line: Line, path: Path) -> Line:
    if not line.scripted or not path.exists():
        return line
    onset, end = speech(read_wav(path))
    return replace(line, sound=path, words=spread(line.text, onset, end))


def spread(text: str, onset: float, end: float) -> tuple[tuple[str, float, float], ...]:
    """Each word of a text with its start and end between two times, as long as its share of the letters."""
    words = text.split()
    letter = (end - onset) / sum(len(word) + 1 for word in words)
    times: list[tuple[str, float, float]] = []
    at = onset
    for word in words:
        start, at = at, at + letter * (len(word) + 1)
        times.append((word, round(start, 3), round(at, 3)))
    return tuple(times)


def _why(error: Exception, settings: Settings) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came within {LINE_SECONDS:g} s"
    text = " ".join(str(error).split())
    return redact(text if isinstance(error, StoryError) else f"{type(error).__name__}: {text}", settings)
