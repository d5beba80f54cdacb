"""Where a transcript breaks off, and where it doesn't."""

from __future__ import annotations

import pytest

from story.core.sentences import Ending, ending


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My name is Maria, and I live in Lisbon.", Ending.FINISHED),
        ("Where are you from?", Ending.FINISHED),
        ("Come in.", Ending.FINISHED),
        ('"Stop!"', Ending.FINISHED),
        ("そうですね。", Ending.FINISHED),
        ("My name is", Ending.UNFINISHED),
        ("My name is Maria,", Ending.UNFINISHED),
        ("I come from.", Ending.UNFINISHED),
        ("and then I'm", Ending.UNFINISHED),
        ("Well...", Ending.UNFINISHED),
        ("Well…", Ending.UNFINISHED),
        ("My name is Maria", Ending.UNCLEAR),
        ("I love it", Ending.UNCLEAR),
        ("", Ending.UNCLEAR),
    ],
)
def test_how_it_ends(text: str, expected: Ending) -> None:
    assert ending(text) is expected
