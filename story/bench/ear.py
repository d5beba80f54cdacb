"""What a caller hears: both sides of a call on one clock, and when there was sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from story.transports.sound import SAMPLE_RATE, Samples

FRAME_SECONDS = 0.01
FRAME = round(SAMPLE_RATE * FRAME_SECONDS)
LOUD = 0.01
"""Root mean square (1: full scale) from which 10 ms of a caller are sound; the emulator's recognisers have the same."""
QUIET_SHARE = 0.1
"""Of the loudest 10 ms of a caller's line: less is no speech, where that is below LOUD (a quiet recording)."""
AUDIBLE = 0.004
"""The same for an agent, whose silence on the line is digital."""
PAUSE_SECONDS = 0.2
"""Silence after which an agent's sound is a new one."""
STOPPED_SECONDS = 0.35
"""Silence after which an agent that was broken into has stopped."""
SOONEST_SECONDS = 0.35
"""After a line's first sound, in which nobody has begun to answer it: what begins by then went on after a pause."""
REACTION_SECONDS = 2.0
"""After an "mm-hm" has begun, in which an agent that falls silent does so because of it."""
YIELD_SECONDS = 0.6 + PAUSE_SECONDS
"""Silence at an "mm-hm" after which an agent has given up the floor. That of `story` lasts 0.6 s at most, and may fall
into a pause of the agent's own."""


def loudness(samples: Samples) -> list[float]:
    """The root mean square (1: full scale) of each whole 10 ms."""
    whole = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float32)
    levels: list[float] = (np.sqrt((whole**2).mean(axis=1)) / 32768).tolist()
    return levels


def speech(samples: Samples) -> tuple[float, float]:
    """When the first sound of a line begins and its last ends, seconds into it."""
    levels = loudness(samples)
    threshold = min(LOUD, QUIET_SHARE * max(levels, default=0.0))
    loud = [index for index, level in enumerate(levels) if level > threshold]
    if not loud:
        return 0.0, len(samples) / SAMPLE_RATE
    return loud[0] * FRAME_SECONDS, (loud[-1] + 1) * FRAME_SECONDS


@dataclass(frozen=True)
class Stretch:
    """Sound from `start` to `end`, seconds."""

    start: float
    end: float


def stretches(levels: Sequence[float], *, gap: float, threshold: float = AUDIBLE) -> list[Stretch]:
    """The stretches of sound in loudness by 10 ms; silences of up to `gap` seconds belong to them."""
    loud = np.flatnonzero(np.asarray(levels) > threshold)
    if not len(loud):
        return []
    breaks = np.flatnonzero(np.diff(loud) > round(gap / FRAME_SECONDS) + 1)
    starts, ends = np.r_[loud[0], loud[breaks + 1]], np.r_[loud[breaks], loud[-1]] + 1
    return [
        Stretch(float(start) * FRAME_SECONDS, float(end) * FRAME_SECONDS)
        for start, end in zip(starts, ends, strict=True)
    ]


@dataclass(frozen=True)
class Said:
    """A line of the caller's, when it was said: its first and last sound, seconds since the line began.

    number: from 1. barged: it was to break into the agent's speech. answered: the caller did not have to give up
    waiting before it.
    """

    number: int
    onset: float
    end: float
    barged: bool = False
    answered: bool = True


@dataclass(frozen=True)
class Heard:
    """What followed a line at the caller's ear; seconds since the line began.

    answer: the first sound of the agent's answer. premature: it began before the caller had ended. stopped: of a line
    that broke in, the agent's last sound; None where the agent went on, or was not speaking. broke_in: it was.
    """

    said: Said
    answer: float | None
    premature: bool = False
    stopped: float | None = None
    broke_in: bool = False

    @property
    def latency(self) -> float | None:
        """Seconds from the caller's last sound to the answer; negative where it came too early."""
        return None if self.answer is None else self.answer - self.said.end


def heard(said: Sequence[Said], agent: Sequence[float]) -> list[Heard]:
    """What the caller heard after each of their lines. agent: its loudness by 10 ms."""
    sound = stretches(agent, gap=PAUSE_SECONDS)
    limits = [line.onset for line in said[1:]] + [float("inf")]
    return [_after(line, sound, limit) for line, limit in zip(said, limits, strict=True)]


def _after(line: Said, sound: Sequence[Stretch], limit: float) -> Heard:
    soonest = min(line.onset + SOONEST_SECONDS, line.end)
    broke_in = any(one.start < soonest and one.end > line.onset for one in sound)
    during = [one for one in sound if one.start < line.end and one.end > line.onset]
    # what ends before the line does is the rest of what was broken into, or a part of it that was taken up again
    rest = [one for one in during if one.end <= line.end] if broke_in else []
    over = next((one for one in during if one not in rest), None)
    stopped = rest[-1].end if rest else None
    if over is not None and not _is_new(over, line, stopped):  # the agent spoke on over the end of the line
        after = next((one.start for one in sound if over.end < one.start < limit), None)
        return Heard(line, after, broke_in=broke_in)
    answer = (
        over.start if over is not None else next((one.start for one in sound if line.end <= one.start < limit), None)
    )
    return Heard(line, answer, over is not None, stopped, broke_in=broke_in)


def _is_new(over: Stretch, line: Said, stopped: float | None) -> bool:
    """Whether sound that was there as the line ended is an answer that came too early."""
    return over.start >= line.onset + SOONEST_SECONDS and (stopped is None or over.start - stopped > STOPPED_SECONDS)


def silence_at(aside: float, agent: Sequence[float], until: float = float("inf")) -> float | None:
    """For how long an agent was silent because of an "mm-hm" that began at `aside`; None where it says no more `until`
    the caller's next line. agent: its loudness by 10 ms."""
    sound = [one for one in stretches(agent, gap=PAUSE_SECONDS) if one.start < until]
    made = [
        later.start - max(one.end, aside)
        for one, later in pairwise(sound)
        if later.start > aside and one.end <= aside + REACTION_SECONDS
    ]
    went_on = bool(sound) and sound[-1].end > aside + REACTION_SECONDS
    return max(made) if made else 0.0 if went_on else None


def dead_air(caller: Sequence[float], agent: Sequence[float]) -> float:
    """The longest silence of both between two sounds, seconds."""
    both = np.maximum(np.asarray(caller), np.asarray(agent))
    sound = stretches(both.tolist(), gap=0.0)
    return max((later.start - one.end for one, later in pairwise(sound)), default=0.0)


def talk_over(caller: Sequence[float], agent: Sequence[float]) -> float:
    """Seconds in which both made a sound."""
    both = (np.asarray(caller) > LOUD) & (np.asarray(agent) > AUDIBLE)
    return float(both.sum()) * FRAME_SECONDS
