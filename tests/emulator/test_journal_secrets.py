"""The journal shows any message that a client may send, as JSON, without its secrets and its sound."""

from __future__ import annotations

import base64
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from story.emulator.journal import HIDDEN, Journal, hidden

SECRET = "sk-do-not-tell-1234"
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


def shown(content: object, *keys: str) -> str:
    journal = Journal(keys=keys)
    journal.add(1, "openai", "chat", "received", content)
    return json.dumps(journal.as_data(), allow_nan=False)


@pytest.mark.parametrize("name", ["token", "api_key", "apiKey", "xi-api-key", "Authorization", "client_secret"])
@pytest.mark.parametrize("value", [SECRET, [SECRET], {"value": SECRET}, [{"value": [SECRET]}], (SECRET,)])
def test_a_secret_is_hidden_in_whatever_holds_it(name: str, value: object) -> None:
    text = shown({"query": {name: value}})
    assert SECRET not in text and HIDDEN in text


def test_what_only_sounds_secret_is_shown() -> None:
    usage = {"max_tokens": 20, "prompt_tokens": 7, "token": None}
    assert json.loads(shown(usage))[0]["content"] == usage


@pytest.mark.parametrize("key", ["e", "1", '"', "\\", "\n", "{", "null", "ü", ""])
def test_any_key_is_hidden_and_leaves_json(key: str) -> None:
    content = {"text": f"the key is {key}!", "number": 1, "nothing": None, "list": [True, 1.5]}
    (entry,) = json.loads(shown(content, key))
    values = list(entry["content"].values())
    assert values[1:] == [1, None, [True, 1.5]]
    assert not key or key not in values[0].replace(HIDDEN, "")


@given(ANY, st.lists(st.text(max_size=5), max_size=2))
def test_anything_is_shown_as_json(content: object, keys: list[str]) -> None:
    shown(content, *keys)


def test_what_is_nested_too_deep_for_python_is_shown_in_part() -> None:
    depth = 700
    nested = json.loads("[" * depth + "]" * depth)
    assert "..." in shown(nested)
    assert "..." in shown({"a": nested})


def test_numbers_that_json_lacks_are_text() -> None:
    assert hidden([math.inf, -math.inf, math.nan, 0.5]) == ["inf", "-inf", "nan", 0.5]


def test_sound_inside_of_a_message_is_counted() -> None:
    sound = base64.b64encode(bytes(4800)).decode()
    item = {"type": "message", "content": [{"type": "input_audio", "audio": sound}]}
    text = shown({"type": "conversation.item.create", "item": item})
    assert sound not in text and "<4800 bytes>" in text
