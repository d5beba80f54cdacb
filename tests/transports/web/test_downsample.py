"""Sound at a lower rate: what it keeps, what it leaves out, and that packets join without a seam."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from story.transports.web.downsample import Downsampler

FULL = 48_000


def tone(hertz: float, seconds: float = 0.5) -> np.ndarray:
    return (np.sin(2 * np.pi * hertz * np.arange(int(FULL * seconds)) / FULL) * 10_000).astype(np.int16)


def level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples[200:].astype(float) ** 2)))


@pytest.mark.parametrize("factor", [2, 3])
def test_speech_passes_and_what_would_fold_back_does_not(factor: int) -> None:
    assert level(Downsampler(factor)(tone(1000))) == pytest.approx(level(tone(1000)), rel=0.01)
    assert level(Downsampler(factor)(tone(0.65 * FULL / factor))) < 0.005 * level(tone(1000))


def test_packets_of_any_length_join_without_a_seam() -> None:
    sound, pieces = tone(440), Downsampler(3)
    whole = Downsampler(3)(sound)
    cuts = [0, 960, 1920, 2040, 2160, 5040, len(sound)]
    made = np.concatenate([pieces(sound[start:end]) for start, end in pairwise(cuts)])
    assert len(made) == len(sound) // 3
    assert np.abs(made.astype(int) - whole.astype(int)).max() <= 1


def test_a_filter_that_swings_beyond_the_loudest_sound_does_not_wrap_around() -> None:
    step = np.concatenate([np.full(960, -32768), np.full(960, 32767)]).astype(np.int16)
    made = Downsampler(3)(step).astype(int)
    assert (made[20:310] < -30_000).all() and (made[340:] > 30_000).all()
