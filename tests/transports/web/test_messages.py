"""What pages say: the messages of the protocol are read, and anything else at all means nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from story.transports.web.messages import (
    MAX_MESSAGE,
    MAX_TEXT,
    HangUp,
    Interrupt,
    Mute,
    Ping,
    Resume,
    Say,
    Start,
    Typing,
    read_first,
    read_message,
)


def test_every_message_of_the_protocol() -> None:
    assert read_message('{"type": "say", "text": "Hello"}') == Say(type="say", text="Hello")
    assert read_message('{"type": "typing", "active": true}') == Typing(type="typing", active=True)
    assert read_message('{"type": "mute", "muted": false}') == Mute(type="mute", muted=False)
    assert read_message('{"type": "interrupt"}') == Interrupt(type="interrupt")
    assert read_message('{"type": "hang_up", "more": 1}') == HangUp(type="hang_up")
    assert read_message('{"type": "ping", "id": 7}') == Ping(type="ping", id=7)
    assert read_first('{"type": "start"}') == Start(type="start", stacks={})
    assert read_first('{"type": "start", "stacks": {"intro": "local"}}') == Start(
        type="start", stacks={"intro": "local"}
    )
    assert read_first('{"type": "resume", "call": "a", "secret": "b"}') == Resume(type="resume", call="a", secret="b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"say"',
        '{"type": "say"}',
        '{"type": "say", "text": 1}',
        '{"type": "say", "text": null}',
        '{"type": "typing", "active": "yes"}',
        '{"type": "ping", "id": "7"}',
        '{"type": "ping", "id": 1e999}',
        '{"type": "ping", "id": 1.5}',
        '{"type": ["say"], "text": "x"}',
        '{"type": "shutdown"}',
        '{"type": "say", "text": "\\ud800"}',
        "[" * MAX_MESSAGE,
        '{"type": "ping", "id": ' + "9" * 10_000 + "}",
        json.dumps({"type": "say", "text": "x" * (MAX_TEXT + 1)}),
        json.dumps({"type": "interrupt", "more": "x" * MAX_MESSAGE}),
    ],
)
def test_what_means_nothing(text: str) -> None:
    assert read_message(text) is None
    assert read_first(text) is None


def test_a_message_of_a_call_does_not_begin_one() -> None:
    assert read_first('{"type": "hang_up"}') is None
    assert read_message('{"type": "start"}') is None


def test_a_secret_is_not_shown() -> None:
    assert "hush" not in repr(read_first('{"type": "resume", "call": "a", "secret": "hush"}'))


def test_what_is_typed_is_one_line_without_anything_a_terminal_obeys() -> None:
    text = "My name\r\n is \x1b[31mMaria\x07\u202e \u2028 and\tI live  in Lisbon.\x00"
    say = read_message(json.dumps({"type": "say", "text": text}))
    assert isinstance(say, Say)
    assert say.words == "My name is [31mMaria and I live in Lisbon."


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(["type", "text", "active", "muted", "id", "stacks", "call", "secret"])
values = st.sampled_from(["say", "typing", "mute", "interrupt", "ping", "start", "resume"]) | anything


half = st.text(st.sampled_from('\ud800\udfff{}[]":,\\a1'))
"""Texts with halves of characters, which JSON and Python let through and UTF-8 does not."""


@settings(deadline=None)
@given(st.text() | half | st.dictionaries(keys, values, max_size=4).map(json.dumps))
def test_no_text_at_all_raises(text: str) -> None:
    for message in (read_message(text), read_first(text)):
        if isinstance(message, Say):
            assert all(character.isprintable() for character in message.words)
        if isinstance(message, Ping):
            json.dumps({"type": "pong", "id": message.id})
