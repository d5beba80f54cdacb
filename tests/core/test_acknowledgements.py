"""Words that only say "go on", and words that say more."""

from __future__ import annotations

import pytest

from story.core.acknowledgements import is_acknowledgement


@pytest.mark.parametrize(
    "text",
    [
        "Okay.",
        "Mm-hmm.",
        "mhm",
        "Mm hm",
        "Uh-huh.",
        "Yeah, right.",
        "Oh, I see!",
        "All right.",
        "Hm",
        "d'accord",
        "はい",
    ],
)
def test_go_on(text: str) -> None:
    assert is_acknowledgement(text)


@pytest.mark.parametrize(
    "text",
    ["", "...", "Okay, stop.", "Wait", "No.", "Yes, please continue.", "Right, right, right, right, right", "I", "mum"],
)
def test_more_than_that(text: str) -> None:
    assert not is_acknowledgement(text)
