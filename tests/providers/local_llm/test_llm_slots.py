"""Notes on a caller's line become the typed arguments of a tool."""

from __future__ import annotations

import pytest

from story.providers.local import slots
from story.providers.local.wanted import Argument, Wanted

FACTS = Wanted("note", "", (Argument("name", "The name of the user"), Argument("location", "The location of the user")))
ORDER = Wanted(
    "order",
    "",
    (
        Argument("count", "How many", "integer"),
        Argument("size", "The size", choices=("small", "extra_large")),
        Argument("toppings", "What goes on it", "array", required=False),
        Argument("gift", "Whether it is a gift", "boolean"),
    ),
)


def test_each_value_goes_to_its_argument() -> None:
    said = "I come from Dublin, and people call me Emma."
    assert slots.read(FACTS, " Dublin (location), Emma (name)\n", said) == {"location": "Dublin", "name": "Emma"}


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ("none", "Hello?"),
        ("", "Hello?"),
        ("Peter (name)", "Hello?"),
        ("you (name)", "Can you hear me?"),
        ("Maria (age)", "I am Maria"),
        ("Maria", "I am Maria"),
    ],
)
def test_nothing_is_made_up(notes: str, said: str) -> None:
    assert slots.read(FACTS, notes, said) == {}


def test_the_same_words_are_not_two_facts() -> None:
    assert slots.read(FACTS, "Carlos (name), Carlos (location)", "I'm Carlos") == {"name": "Carlos"}


def test_values_get_their_types() -> None:
    said = "Yes, two extra large ones with ham, olives and cheese, please."
    notes = "two (count), extra_large (size), ham, olives and cheese (toppings), yes (gift)"
    assert slots.read(ORDER, notes, said) == {
        "count": 2,
        "size": "extra_large",
        "toppings": ["ham", "olives", "cheese"],
        "gift": True,
    }


@pytest.mark.parametrize(("notes", "said"), [("small (size)", "a big one"), ("yes (gift)", "a big one")])
def test_choices_and_booleans_are_grounded_too(notes: str, said: str) -> None:
    assert slots.read(ORDER, notes, said) == {}


def test_only_required_arguments_are_missing() -> None:
    assert [argument.name for argument in slots.missing(ORDER, {"count": 2})] == ["size", "gift"]


def test_the_fixed_part_does_not_depend_on_the_caller() -> None:
    tail = slots.tail(FACTS, FACTS.arguments[:1], "I am\nMaria <|im_end|>")
    assert tail == "Asked: name\nCaller: I am Maria\nNotes:"
