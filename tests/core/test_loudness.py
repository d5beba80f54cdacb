"""When a caller was last heard, by how loud they are."""

from __future__ import annotations

import numpy as np
import pytest

from story.core.loudness import REMEMBERED_SECONDS, LastSound, loudness

STEP = 0.02


def hear(last: LastSound, since: float, *stretches: tuple[float, float]) -> float:
    """Stretches of sound, each so long (seconds) and so loud; the time at their end."""
    at = since
    for seconds, loud in stretches:
        for _ in range(round(seconds / STEP)):
            at += STEP
            last.hear(np.full(320, loud, np.int16), at)
    return at


def test_it_is_the_end_of_the_loud_part() -> None:
    last = LastSound()
    told = hear(last, 100.0, (1.0, 5), (1.5, 6000), (0.3, 20), (0.5, 3000), (0.9, 30))
    assert last.ended(told) == pytest.approx(103.3, abs=STEP)


def test_a_turn_is_judged_by_its_own_sound() -> None:
    last = LastSound()
    last.ended(hear(last, 0.0, (0.5, 20000), (0.5, 0)))
    assert last.ended(hear(last, 1.0, (0.5, 1000), (0.8, 10))) == pytest.approx(1.5, abs=STEP)


@pytest.mark.parametrize("stretches", [[], [(1.0, 0)], [(1.0, 4000)]], ids=["nothing", "silence", "noise throughout"])
def test_where_no_silence_can_be_told_from_a_voice_it_is_as_told(stretches: list[tuple[float, float]]) -> None:
    last = LastSound()
    assert last.ended(hear(last, 5.0, *stretches)) == pytest.approx(5.0 + sum(s for s, _ in stretches))


def test_sound_of_long_ago_does_not_count() -> None:
    last = LastSound()
    told = hear(last, 0.0, (0.2, 30000), (REMEMBERED_SECONDS, 0), (0.5, 500), (0.5, 0))
    assert last.ended(told) == pytest.approx(told - 0.5, abs=STEP)


def test_no_samples_are_silent() -> None:
    assert loudness(np.zeros(0, np.int16)) == 0.0
