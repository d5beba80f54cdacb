"""What a tool wants is read from its schema, however livekit holds it."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from livekit.agents import function_tool
from pydantic import Field

from story.providers.local.wanted import Argument, from_schema, wanted


@function_tool
async def order(
    size: Literal["small", "large"],
    count: Annotated[int, Field(description="How many pizzas")],
    note: str | None = None,
) -> None:
    """Place the order.

    Args:
        size: The size of the pizza
        note: Anything else
    """


def test_a_function_tool() -> None:
    found = wanted(order)
    assert found is not None
    assert (found.tool, found.description) == ("order", "Place the order.")
    assert found.arguments == (
        Argument("size", "The size of the pizza", choices=("small", "large")),
        Argument("count", "How many pizzas", "integer"),
        Argument("note", "Anything else", required=False),
    )
    assert [argument.name for argument in found.required] == ["size", "count"]


def test_a_raw_tool_without_arguments() -> None:
    async def finish(raw_arguments: dict[str, object]) -> None:
        """Unused."""

    found = wanted(function_tool(finish, raw_schema={"name": "done", "description": "Ends it.", "parameters": {}}))
    assert found is not None
    assert found.arguments == ()


@pytest.mark.parametrize(
    ("name", "description", "to_caller", "to_model"),
    [
        ("name", "The name of the user", "your name", "the caller's name"),
        ("phone_number", "The caller's phone number.", "your phone number", "the caller's phone number"),
        ("size", "The size of the pizza", "the size of the pizza", "the size of the pizza"),
        ("people", "How many people will come", "how many people will come", "how many people will come"),
        ("day", "", "your day", "the caller's day"),
    ],
)
def test_how_to_speak_of_an_argument(name: str, description: str, to_caller: str, to_model: str) -> None:
    argument = Argument(name, description)
    assert (argument.phrase(), argument.phrase("the caller's")) == (to_caller, to_model)


@pytest.mark.parametrize("schema", [{}, {"name": "x", "parameters": None}, {"parameters": {"properties": {"a": 1}}}])
def test_odd_schemas_do_no_harm(schema: dict[str, object]) -> None:
    from_schema(schema)
