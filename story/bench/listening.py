"""Whether a stack's voice can be understood: what an independent recogniser makes of the recordings of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from livekit.agents import utils

from story.bench import terminal
from story.bench.cell import Cell
from story.bench.component import hear, planned_component, why_failed
from story.bench.ear import loudness, stretches
from story.bench.outcome import Outcome
from story.bench.request import Request
from story.bench.stand import Stand
from story.bench.store import RECORDINGS, Result, Results
from story.bench.summary import harder, summarise
from story.bench.transports.choice import how_held
from story.bench.words import word_errors
from story.core.errors import ConfigError, StoryError
from story.core.live import build
from story.core.registry import DEFAULT_CHAIN, Role
from story.core.resolve import resolve
from story.core.warmup import warm_up
from story.emulator.assemble import TONES, is_emulated
from story.fetching import fetch
from story.logs import logged
from story.transports.sound import SAMPLE_RATE, Samples, read_recording

if TYPE_CHECKING:
    from livekit.agents import stt

    from story.core.plan import Plan
    from story.core.registry import Registry
    from story.core.settings import Settings
    from story.workspace import Workspace

BREATH_SECONDS = 0.6
"""Of silence between two stretches that are listened to one after the other."""
EDGE_SECONDS = 0.2
"""Of silence that is left before and after a stretch."""


def listen_to(run: Path, spec: str, space: Workspace, *, yes: bool = False) -> None:
    """Have a recogniser listen to each recorded call of a run, keep what it understood with the call, and tell.

    yes: fetch what it needs without asking.

    Raises:
        StoryError: the run was not recorded, or hums; the recogniser can't be had here, or fails.
    """
    with Results.open(run) as results, results.locked():
        calls = recorded(results, space.registry)
        stand = Stand(space.plugins, space.settings, DEFAULT_CHAIN, 0.0)
        plan = planned_component(spec, Role.STT, stand)
        fetch(plan, None, space.plugins, space.settings, yes=yes)
        with space.settings.exported(), logged(space.settings):
            asyncio.run(_listen(results, calls, plan, stand))
        cells = results.all()
        terminal.figures(summarise(cells), how_held(results.about), harder(cells))


def recorded(results: Results, registry: Registry) -> list[Result]:
    """The calls that can be listened to.

    Raises:
        ConfigError: there are none: nothing was recorded, or emulated voices hummed.
    """
    found = [one for one in results.all() if one.outcome.spoken and _recording(results, one.outcome).is_file()]
    if not found:
        raise ConfigError(f"{results.folder} has no recordings: bench with --record")
    stand_ins = Request.from_dict(results.about["request"]).stand_ins()
    if stand_ins is not None and stand_ins.speech == TONES:
        found = [one for one in found if not is_emulated(resolve(one.stack, registry), (Role.TTS, Role.REALTIME))]
        if not found:
            raise ConfigError("emulated voices hum, which nobody understands: bench with --speech local")
    return found


async def _listen(results: Results, calls: Sequence[Result], plan: Plan, stand: Stand) -> None:
    async with utils.http_context.open():
        live = await build(plan.stacks[""], stand.registry, stand.settings, roles=plan.roles)
        try:
            assert live.stt is not None
            await warm_up(live.models)
            for number, call in enumerate(calls, start=1):
                outcome = await _understood(call.outcome, _recording(results, call.outcome), live.stt, stand.settings)
                results.add(replace(call, outcome=outcome))
                wrong = f"{outcome.misheard} of {outcome.spoken_words} words not understood"
                typer.echo(f"[{number}/{len(calls)}] {Cell(*call.key).name}: {wrong}", err=True)
        finally:
            await live.aclose()


async def _understood(outcome: Outcome, recording: Path, model: stt.STT[Any], settings: Settings) -> Outcome:
    try:
        texts = [(await hear(model, piece))[1] for piece in _pieces(read_recording(recording)[1])]
    except Exception as error:
        why = why_failed(error, settings)
        raise StoryError(f"{recording.name} can't be listened to: {why}") from None
    text = " ".join(texts)
    errors = word_errors(outcome.spoken, text)
    return replace(outcome, understood=text, spoken_words=errors.said, misheard=errors.errors)


def _recording(results: Results, outcome: Outcome) -> Path:
    return results.folder / RECORDINGS / outcome.recording


def _pieces(sound: Samples) -> Iterator[Samples]:
    """What was said between two breaths, with a little silence around it."""
    edge = round(EDGE_SECONDS * SAMPLE_RATE)
    for one in stretches(loudness(sound), gap=BREATH_SECONDS):
        start, end = (round(at * SAMPLE_RATE) for at in (one.start, one.end))
        yield np.pad(sound[max(0, start - edge) : end + edge], edge)
