"""Prompts that begin alike share a slot of the engine."""

from __future__ import annotations

from story.providers.local.completion import SlotTable


def test_a_prompt_goes_where_its_head_was_read() -> None:
    table = SlotTable(3)
    intro, story = table.register("You are Echo. Greet"), table.register("You are Echo. Tell")
    assert intro != story
    assert table.slot("You are Echo. Tell Maria", "You are Echo. Tell Maria") == story
    assert table.slot("You are Echo. Greet her", "You are Echo. Greet her") == intro


def test_a_new_head_takes_the_slot_unused_for_longest() -> None:
    table = SlotTable(2)
    first, second = table.register("a"), table.register("b")
    table.register("a")
    assert table.slot("c", "c") == second
    assert table.register("a") == first
