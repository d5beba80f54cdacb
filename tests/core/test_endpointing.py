"""How long a caller is waited for, by their last words."""

from __future__ import annotations

from story.core.endpointing import WordsEndpointing

WHOLE, CUT, OPEN = "My name is Maria.", "My name is", "My name is Maria"


def waits(*turns: str, detector: bool = False) -> dict[str, float]:
    """The wait after each kind of words, once `turns` are over."""
    said = [""]
    endpointing = WordsEndpointing(0.4, lambda: said[0], detector=detector)
    for turn in turns:
        endpointing.turn_over(turn)
    found = {}
    for words in (WHOLE, CUT, OPEN):
        said[0] = words
        found[words] = endpointing.min_delay
    return found


def test_the_less_finished_the_longer() -> None:
    found = waits()
    assert 0.4 == found[WHOLE] < found[OPEN] < found[CUT]


def test_a_recogniser_without_full_stops_is_not_waited_for_at_every_turn() -> None:
    assert waits(OPEN)[OPEN] < waits()[OPEN] == waits(WHOLE)[OPEN] == waits(OPEN, WHOLE)[OPEN]
    assert waits(OPEN)[CUT] == waits()[CUT]


def test_what_the_words_leave_open_is_left_to_a_detector() -> None:
    found = waits(detector=True)
    assert found[OPEN] == found[WHOLE] < found[CUT]


def test_a_slow_model_sets_the_least() -> None:
    assert WordsEndpointing(3.0, lambda: CUT, detector=False).min_delay == 3.0
