"""How what was cut off would have gone on."""

from __future__ import annotations

from story.core.intended import REMEMBERED, Intended


def written(*texts: str) -> Intended:
    intended = Intended()
    for text in texts:
        intended.begin().extend(f"{word} " for word in text.split(" "))
    return intended


def test_it_is_what_comes_after_the_words_that_were_heard() -> None:
    assert written("Once upon a time there was a cat.").unheard("Once upon a") == "time there was a cat."


def test_a_word_may_be_cut_and_writing_may_have_no_spaces() -> None:
    assert written("Once upon a time.").unheard("Once up") == "on a time."
    assert written("昔々、あるところに。").unheard("昔々、") == "あるところに。"


def test_spaces_between_the_pieces_do_not_count() -> None:
    assert written("Hello,  Maria! \n Once upon a time.").unheard("Hello, Maria!Once ") == "upon a time."


def test_the_newest_that_begins_so_is_taken() -> None:
    intended = written("Hello you, the first.", "Hello you, the second.", "Something that was thrown away.")
    assert intended.unheard("Hello you,") == "the second."


def test_nothing_is_made_up() -> None:
    intended = written("Hello you.", *["Never said."] * REMEMBERED)
    assert intended.unheard("Hello") == intended.unheard("Never said.") == Intended().unheard("") == ""


def test_a_text_grows_while_it_is_said() -> None:
    intended = Intended()
    text = intended.begin()
    text.append("Once upon")
    assert intended.unheard("Once upon") == ""
    text.append(" a time")
    assert intended.unheard("Once upon") == "a time"
