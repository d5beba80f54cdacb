"""What a caller hears, from the loudness of both sides."""

from __future__ import annotations

import numpy as np
import pytest

from story.bench.ear import YIELD_SECONDS, Said, Stretch, dead_air, heard, silence_at, speech, stretches, talk_over
from story.transports.sound import SAMPLE_RATE


def loud(*spans: tuple[float, float], seconds: float = 10.0) -> list[float]:
    """Loudness by 10 ms, with sound in these spans."""
    levels = np.zeros(round(seconds * 100))
    for start, end in spans:
        levels[round(start * 100) : round(end * 100)] = 0.1
    return levels.tolist()


def test_short_silences_belong_to_a_stretch() -> None:
    assert stretches(loud((1, 2), (2.1, 3), (4, 5)), gap=0.2) == [Stretch(1, 3), Stretch(4, 5)]
    assert stretches(loud(), gap=0.2) == []


def test_where_speech_is_in_a_line() -> None:
    sound = np.zeros(SAMPLE_RATE, np.int16)
    sound[6000:12000] = 3000
    assert speech(sound) == (0.25, 0.5)
    assert speech(sound // 50) == (0.25, 0.5), "a quiet recording"


def test_an_answer_after_a_line() -> None:
    (one,) = heard([Said(1, 2.0, 3.0)], loud((0.5, 1.5), (3.8, 5.0)))
    assert one.latency == pytest.approx(0.8)
    assert not one.premature and one.stopped is None and not one.broke_in


def test_an_answer_that_comes_too_early() -> None:
    (one,) = heard([Said(1, 2.0, 3.0)], loud((2.5, 4.0)))
    assert one.premature and one.latency == -0.5


def test_no_answer_before_the_next_line() -> None:
    first, second = heard([Said(1, 2.0, 3.0), Said(2, 5.0, 6.0)], loud((6.5, 7.0)))
    assert first.answer is None and second.latency == 0.5


def test_a_line_that_breaks_in() -> None:
    (one,) = heard([Said(1, 2.0, 4.0, barged=True)], loud((0.5, 2.3), (4.7, 6.0)))
    assert one.broke_in and (one.stopped, one.latency) == (pytest.approx(2.3), pytest.approx(0.7))


def test_an_agent_that_goes_on_over_the_line() -> None:
    (one,) = heard([Said(1, 2.0, 4.0, barged=True)], loud((0.5, 2.3), (2.55, 5.0), (6.0, 7.0)))
    assert one.broke_in and one.stopped is None and one.answer == 6.0


def test_an_agent_that_takes_it_up_again_for_a_moment_has_stopped_after_that() -> None:
    (one,) = heard([Said(1, 2.0, 5.0, barged=True)], loud((0.5, 2.3), (2.9, 3.0), (5.7, 6.0)))
    assert (one.stopped, one.latency, one.premature) == (pytest.approx(3.0), pytest.approx(0.7), False)


def test_an_answer_to_half_a_line_that_broke_in() -> None:
    (one,) = heard([Said(1, 2.0, 5.0, barged=True)], loud((0.5, 2.3), (4.0, 6.0)))
    assert (one.stopped, one.latency, one.premature) == (pytest.approx(2.3), pytest.approx(-1.0), True)


def test_a_line_that_breaks_in_where_the_agent_makes_a_pause() -> None:
    (one,) = heard([Said(1, 3.2, 5.0, barged=True)], loud((1, 3), (3.4, 4.0), (5.8, 7)))
    assert one.broke_in and not one.premature
    assert (one.stopped, one.latency) == (pytest.approx(4.0), pytest.approx(0.8))


def test_an_agent_that_goes_on_after_its_pause_over_the_line() -> None:
    (one,) = heard([Said(1, 3.2, 5.0, barged=True)], loud((1, 3), (3.4, 5.5), (6.0, 7)))
    assert one.broke_in and one.stopped is None and not one.premature and one.answer == 6.0


def test_silence_at_an_mm_hm() -> None:
    held, pause = loud((1, 3.3), (3.85, 6)), loud((1, 2.8), (3.2, 6))
    assert silence_at(3.0, held) == pytest.approx(0.55) and YIELD_SECONDS > 0.55
    assert silence_at(3.0, loud((1, 6))) == 0.0, "it spoke on"
    assert silence_at(3.0, pause) == pytest.approx(0.2), "the pause was its own until then"
    assert silence_at(3.0, loud((1, 3.3), (5.5, 8))) == pytest.approx(2.2)
    assert silence_at(3.0, loud((1, 3.6))) is None, "it had said all"
    assert silence_at(3.0, loud((1, 3.3), (3.85, 4.3))) == pytest.approx(0.55), "and then said all"


def test_silence_after_the_next_line_is_none_at_the_mm_hm() -> None:
    agent = loud((1, 3.3), (3.85, 4.3), (7, 8))
    assert silence_at(3.0, agent, until=4.1) == pytest.approx(0.55)
    assert silence_at(3.0, loud((1, 3.9), (7, 8)), until=3.7) is None


def test_both_sides_together() -> None:
    caller, agent = loud((1, 2), (5, 6)), loud((1.5, 3), (6.5, 7))
    assert round(dead_air(caller, agent), 2) == 2.0
    assert round(talk_over(caller, agent), 2) == 0.5
