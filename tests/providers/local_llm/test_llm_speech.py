"""What the model writes becomes what a voice can say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from story.providers.local.speech import Speech, sayable


def spoken(text: str, *, words: int = 75, sentences: int = 5, step: int = 3) -> str:
    speech = Speech(words=words, sentences=sentences)
    said = "".join(speech.push(text[at : at + step]) for at in range(0, len(text), step))
    return said + speech.finish()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Hello, **Maria**!", "Hello, Maria!"),
        ("Assistant: Hello.", "Hello."),
        ("- one\n- two", "one two"),
        ("1. Go left.\n2. Go right.", "Go left. Go right."),
        ("# Title\nA boat.", "Title A boat."),
        ("A boat \U0001f6a2 came.", "A boat came."),
        ("It was fun.\nUser: more", "It was fun."),
        ("Dr. Who met Mrs. Who.", "Dr. Who met Mrs. Who."),
        ("", ""),
    ],
)
def test_only_words_are_said(written: str, said: str) -> None:
    assert spoken(written).strip() == said


def test_a_reply_ends_with_a_whole_sentence() -> None:
    assert spoken("One two three. Four five six. Seven eight nine.", words=5) == "One two three. Four five six."
    assert spoken("One. Two. Three. Four.", sentences=2) == "One. Two."


def test_a_reply_ends_at_its_question() -> None:
    assert spoken("A. B. C. What now? And then more.", sentences=5) == "A. B. C. What now?"
    assert spoken("Who? I see. Go on.", sentences=5) == "Who? I see. Go on."


def test_words_come_out_whole_and_at_once() -> None:
    speech = Speech(words=75, sentences=5)
    assert [speech.push(piece) for piece in ("Hel", "lo ", "Ma", "ria", ", hi")] == ["", "Hello ", "", "", "Maria, "]
    assert speech.finish() == "hi"


@given(st.text(max_size=300), st.integers(1, 20))
def test_the_pieces_do_not_matter(text: str, step: int) -> None:
    assert spoken(text, step=step) == spoken(text, step=len(text) or 1)


@given(st.text())
def test_nothing_unsayable_is_left(text: str) -> None:
    assert not set(sayable(text)) & set("*_`#~|<>{}[]\\")
