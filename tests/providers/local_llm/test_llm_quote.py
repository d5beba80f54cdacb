"""A tool without arguments is called for by words of the caller, and by nothing else."""

from __future__ import annotations

import pytest

from story.providers.local import quote
from story.providers.local.wanted import Wanted

END = Wanted("story_finished", "When the user wants no more, call this function to end the conversation.")
HUMAN = Wanted("transfer", "Puts the caller through to a person.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("I am done, goodbye", "I am done, goodbye."),
        ("I think I would like to stop now", "That was lovely. I think I would like to stop now, thank you."),
        ("stop now", "Can we stop now?"),
        ("I want to end the call", "I want to end the call."),
    ],
)
def test_words_that_were_said_are_a_quote(words: str, said: str) -> None:
    assert quote.read(END, words, said) == words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("goodbye", "Yes, please continue."),
        ("", "Goodbye!"),
        ("Please stop", "Wait, wait. Please stop. Can the hero be a cat instead?"),
        ("stop", "Stop, make it a cat instead."),
        ("the end", "Is this the end?"),
        ("I want a story about the sea", "I want a story about the sea."),
    ],
)
def test_words_that_were_not_said_or_are_followed_by_a_wish_are_none(words: str, said: str) -> None:
    assert quote.read(END, words, said) is None


def test_a_wish_may_be_what_another_tool_is_for() -> None:
    assert quote.read(HUMAN, "I want a person", "I want a person.") == "I want a person"


@pytest.mark.parametrize("said", ["Okay.", "Yes, please.", "Mm-hmm.", "Thank you.", "", "..."])
def test_an_assent_asks_for_nothing(said: str) -> None:
    assert not quote.could_ask(said)


@pytest.mark.parametrize("said", ["Goodbye!", "Quit.", "No more, thanks."])
def test_other_words_may_ask(said: str) -> None:
    assert quote.could_ask(said)


def test_the_odds_decide() -> None:
    assert quote.asks({" yes": 0.5, " Yes": 0.1, " no": 0.3})
    assert not quote.asks({" yes": 0.3, " no": 0.6})
    assert not quote.asks({})


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        ("Let's go to the forest.", False),
        ("I'd like to hear how it ends.", False),
        ("Let's stop here.", True),
        ("Let's call it a day, I am done.", True),
        ("I want to go to sleep now.", True),
        ("I would like to finish here.", True),
    ],
)
def test_a_wish_to_go_on_is_no_end(said: str, ends: bool) -> None:
    assert (quote.read(END, said.rstrip("."), said) is not None) is ends
