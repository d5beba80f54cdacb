"""Words, and how wrongly they were heard."""

from __future__ import annotations

import pytest

from story.bench.words import WordErrors, missing, same, word_errors, words


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Hi there! I'm MARIA.", "hi there i am maria"),
        ("It's 5 o'clock, isn’t it?", "it is five o'clock is not it"),
        ("Um, twenty-one or 21; 305, 2009", "twenty one or twenty one three hundred five two thousand nine"),
        ("We can't, won't and shouldn't.", "we cannot will not and should not"),
        ("Maria's boat, that's it, OK", "maria's boat that is it okay"),
        ("0123456", "zero one two three four five six"),
        ("São Paulo", "são paulo"),
        ("... !", ""),
    ],
)  # fmt: skip
def test_as_they_are_spoken(text: str, spoken: str) -> None:
    assert " ".join(words(text)) == spoken


def test_errors_are_counted_by_kind() -> None:
    assert word_errors("I live in Lisbon.", "i live in lisbon") == WordErrors(4, 0, 0, 0)
    found = word_errors("My name is Maria", "name is Mario now")
    assert (found.substituted, found.left_out, found.added, found.rate) == (1, 1, 1, 0.75)
    assert word_errors("My name", "") == WordErrors(2, 0, 2, 0)
    assert word_errors("", "uh hello") == WordErrors(0, 0, 0, 1)


def test_names() -> None:
    assert missing(["New York City", "John"], "I'm from new york city, Johnny") == ["John"]
    assert same("new york", "New York") and not same("York", "New York")
