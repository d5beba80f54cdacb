"""An argument is a stretch of the caller's own words, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from story.providers.local import grounding, slots
from story.providers.local.wanted import Argument, Wanted

FACTS = Wanted("note", "", (Argument("name", "The name of the user"), Argument("location", "The location of the user")))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Maria", "Hi there! My name is Maria, and I live in Lisbon."),
        ("New York City", "I'm from new york city"),
        ("St. Louis", "I live in St. Louis."),
        ("Jean-Luc", "It's Jean-Luc."),
        ("O'Brien", "The name is o'brien"),
        ("Kiev, Ukraine", "from Kiev, Ukraine"),
        ("Åse", "jeg heter åse"),
    ],
)
def test_what_was_said_is_grounded(value: str, said: str) -> None:
    assert grounding.is_said(value, said)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Lisboa", "I live in Lisbon"),
        ("Maria Lisbon", "Maria from Lisbon"),
        ("Ann", "My name is Anna"),
        ("me", "Can you hear me?"),
        ("Hello", "Hello?"),
        ("the", "the the um okay"),
        ("", "anything"),
        ("...", "..."),
        (
            "one two three four five six seven eight nine ten eleven",
            "one two three four five six seven eight nine ten eleven",
        ),
    ],
)
def test_what_was_not_said_or_says_nothing_is_not(value: str, said: str) -> None:
    assert not grounding.is_said(value, said)


@given(st.text(max_size=60), st.text(max_size=200))
def test_no_argument_has_a_word_that_was_not_said(notes: str, said: str) -> None:
    for value in slots.read(FACTS, f"{notes} (name), {said} (location)", said).values():
        assert set(grounding.normal(str(value)).split()) <= set(grounding.normal(said).split())


@given(st.text(max_size=200))
def test_every_grammar_can_end(said: str) -> None:
    rules = [line.partition(" ::= ")[0] for line in slots.grammar(FACTS, said).splitlines()]
    assert len(rules) == len(set(rules))
    if grounding.words(said):
        assert {"root", "item", "w", "w0"} <= set(rules)
    else:
        assert not rules


def test_a_span_stays_within_its_sentence() -> None:
    joined = [word.joined for word in grounding.words("Boston. Yes, St. Louis")]
    assert joined == [False, False, True, True]
