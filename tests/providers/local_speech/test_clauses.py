"""Cutting text into stretches to speak, while it is being written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from story.providers.local.clauses import Clauses


def cut(text: str, step: int = 3) -> list[str]:
    clauses = Clauses()
    ready = [clause for at in range(0, len(text), step) for clause in clauses.push(text[at : at + step])]
    return ready + clauses.finish()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi there! How are you? I am fine.", ["Hi there!", "How are you?", "I am fine."]),
        ("Dr. Smith paid $3.50 to J. K. Fox. Then he left.", ["Dr. Smith paid $3.50 to J. K. Fox.", "Then he left."]),
        ('"Stop!" said the cat. It ran.', ['"Stop!" said the cat.', "It ran."]),
        ("One\nTwo\n\nThree", ["One", "Two", "Three"]),
        ("Well, hello.", ["Well, hello."]),
        ("   ", []),
        ("", []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 4, 1000])
def test_cuts_at_sentences(text: str, expected: list[str], step: int) -> None:
    assert cut(text, step) == expected


def test_the_first_stretch_may_be_a_clause_while_its_sentence_is_being_written() -> None:
    text = "Once upon a time, in Lisbon, there lived a boat. It sang, all day long, to the sea."
    sentences = ["It sang, all day long, to the sea."]
    assert cut(text, 1) == ["Once upon a time, in Lisbon,", "there lived a boat.", *sentences]
    assert cut(text, 1000) == ["Once upon a time, in Lisbon, there lived a boat.", *sentences]


def test_a_slow_voice_gets_a_shorter_first_clause_in_any_case() -> None:
    clauses = Clauses(eager=True)
    text = "Lovely to meet you, Maria. Here it is, my story."
    assert clauses.push(text) + clauses.finish() == ["Lovely to meet you,", "Maria.", "Here it is, my story."]


def test_a_sentence_is_ready_with_the_first_letter_of_the_next() -> None:
    clauses = Clauses()
    assert clauses.push("It was dark.") == []
    assert clauses.push(" T") == ["It was dark."]


def test_nothing_is_too_long_to_be_spoken_at_once() -> None:
    assert max(map(len, cut("word " * 400))) <= 225
    assert max(map(len, cut("x" * 2000))) <= 225


@given(st.text(alphabet="ab .,!?\n\"'—…Dr", max_size=300), st.integers(1, 50))
def test_nothing_is_lost_or_added(text: str, step: int) -> None:
    assert "".join("".join(cut(text, step)).split()) == "".join(text.split())
