"""The silence around what a voice says."""

from __future__ import annotations

import numpy as np
import pytest

from story.providers.local.recogniser import tidy
from story.providers.local.synthesiser import SAMPLE_RATE, framed


def spoken(lead: float, words: float, tail: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    parts = [
        np.zeros(int(lead * SAMPLE_RATE)),
        np.full(int(words * SAMPLE_RATE), 0.3),
        np.zeros(int(tail * SAMPLE_RATE)),
    ]
    return np.concatenate(parts).astype(np.float32)


@pytest.mark.parametrize(("text", "pause"), [("Hello.", 0.32), ('"Hello!"', 0.32), ("Hello,", 0.12), ("Hello", 0.1)])
def test_the_engines_silence_is_replaced_by_the_pause_of_the_last_mark(text: str, pause: float) -> None:
    assert len(framed(spoken(0.3, 1.0, 0.5), text)) / SAMPLE_RATE == pytest.approx(0.03 + 1.0 + 0.03 + pause, abs=0.001)


def test_no_words_are_no_sound() -> None:
    assert len(framed(spoken(1.0, 0.0, 0.0), "...")) == 0


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        ("\"'Oh, I love it. What did the little boat do next?'\"", "Oh, I love it. What did the little boat do next?"),
        ("\"'Wait, wait,' please stop. \"'It's John's cat'", "Wait, wait, please stop. It's John's cat"),
        ("  Sure,   I'm John. ", "Sure, I'm John."),
        ("Good-by, I am done good by. A good book, by Ann.", "Goodbye, I am done goodbye. A good book, by Ann."),
    ],
)
def test_what_moonshine_writes_oddly_is_put_right(heard: str, expected: str) -> None:
    assert tidy(heard) == expected
