"""The text of a stack: what it may say, how it prints, and where its errors point."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from story.core.errors import StackError
from story.core.grammar import Part, Ref, Spec, parse
from story.core.registry import Role

# A busy machine is no reason to fail.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

names = st.text(min_size=1).filter(lambda text: "/" not in text)
refs = st.builds(Ref, name=names, model=st.none() | st.text(min_size=1), variant=st.none() | st.text(min_size=1))
parts = st.builds(
    Part, refs=st.lists(refs, min_size=1, max_size=3).map(tuple), role=st.none() | st.sampled_from(list(Role))
)
specs = st.builds(Spec, parts=st.lists(parts, min_size=1, max_size=4).map(tuple))
near_specs = st.text(alphabet='ab/+,=:"\\ \tstllm', max_size=40)


@unhurried
@given(st.text() | near_specs)
def test_any_text_parses_and_prints_back_or_is_a_stack_error(text: str) -> None:
    try:
        spec = parse(text)
    except StackError as error:
        assert 0 <= error.start <= error.end <= max(len(text), 1)
        assert error.spec == text
    else:
        assert parse(str(spec)) == spec


@unhurried
@given(specs)
def test_any_tree_prints_to_text_that_parses_to_it(spec: Spec) -> None:
    assert parse(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("local", "local"),
        (" deepgram + gpt4o-mini ", "deepgram+gpt4o-mini"),
        ("deepgram/nova-3:en+openai/gpt-4o-mini", "deepgram/nova-3:en+openai/gpt-4o-mini"),
        ("stt = deepgram , local+gpt4o-mini+elevenlabs,openai", "stt=deepgram,local+gpt4o-mini+elevenlabs,openai"),
        ('llm="openrouter/meta-llama/x:free"', 'llm="openrouter/meta-llama/x:free"'),
    ],
)
def test_prints_in_the_one_canonical_way(text: str, expected: str) -> None:
    assert str(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("deepgram", Ref("deepgram")),
        ("deepgram/nova-3", Ref("deepgram", "nova-3")),
        ("deepgram/nova-3:en", Ref("deepgram", "nova-3", "en")),
        ("openrouter/meta-llama/x:free", Ref("openrouter", "meta-llama/x", "free")),
        ('"openrouter/meta-llama/x:free"', Ref("openrouter", "meta-llama/x:free")),
        ('"openrouter/meta-llama/x:free":nova', Ref("openrouter", "meta-llama/x:free", "nova")),
        ('acme/"a+b"', Ref("acme", "a+b")),
        (r'"acme/say \"hi\""', Ref("acme", 'say "hi"')),
        ("cartesia:voices/12", Ref("cartesia", None, "voices/12")),
        ("openai-realtime:marin", Ref("openai-realtime", None, "marin")),
    ],
)
def test_reads_a_ref(text: str, ref: Ref) -> None:
    assert parse(text).single == ref


@pytest.mark.parametrize(
    ("text", "message", "pointed_at"),
    [
        ("", "the stack is empty", ""),
        ("  ", "the stack is empty", "  "),
        ("deepgram++local", "an empty part", "+"),
        ("deepgram+", "an empty part", "+"),
        ("+deepgram", "an empty part", "+"),
        ("stt=deepgram,", "an empty choice", ","),
        ("stt=,local", "an empty choice", ","),
        ("stt=deepgram,  +local", "an empty choice", ","),
        ("stt=", "nothing follows stt=", "stt="),
        ("sst=deepgram", "unknown role 'sst' (did you mean stt?)", "sst"),
        ("=deepgram", 'no role before "="', "="),
        ("stt=a=b", 'a second "="', "="),
        ('deepgram+"gpt', "a quote is opened but never closed", '"gpt'),
        ("deepgram/", 'no model after "deepgram/"', "deepgram/"),
        ("/nova-3", 'no provider before "/"', "/nova-3"),
        ("deepgram:", 'no voice or variant after ":"', ":"),
        (":nova", 'no model before ":"', ":"),
        ('""', "an empty name", '""'),
    ],
)
def test_errors_point_at_the_character(text: str, message: str, pointed_at: str) -> None:
    with pytest.raises(StackError) as caught:
        parse(text)
    assert str(caught.value).startswith(message)
    assert text[caught.value.start : caught.value.end] == pointed_at
    assert "^" in caught.value.pointed() or not text
