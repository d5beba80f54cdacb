"""What a stack means: roles, defaults, aliases, named stacks, and the errors of each."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from story import Alias, Role
from story.core.errors import StackError
from story.core.options import FrozenOptions
from story.core.registry import ModelSetting, NamedStack
from story.core.resolve import resolve
from story.core.resolved import Origin
from story.core.settings import Settings
from tests.offers import factory, world

REGISTRY = world(
    Settings(
        stacks={
            "fast": NamedStack("fast", "story.toml:2", spec="deepgram/flux+gpt4o-mini"),
            "again": NamedStack("again", "story.toml:3", spec="fast"),
            "loop": NamedStack("loop", "story.toml:4", spec="pool"),
            "pool": NamedStack("pool", "story.toml:5", spec="loop"),
            "typo": NamedStack("typo", "story.toml:6", spec="deepgram+gpt4o-mimi"),
            "clash": NamedStack(
                "clash",
                "story.toml:7",
                roles={Role.STT: (ModelSetting("deepgram"),), Role.REALTIME: (ModelSetting("openai"),)},
            ),
            "tuned": NamedStack(
                "tuned",
                "story.toml:9",
                roles={
                    Role.STT: (
                        ModelSetting("deepgram", FrozenOptions({"smart_format": True, "language": "de"})),
                        ModelSetting("local"),
                    ),
                    Role.TTS: (ModelSetting("openai", FrozenOptions({"voice": "echo", "model": "tts-1"})),),
                },
            ),
            "two-with-options": NamedStack(
                "two-with-options",
                "story.toml:12",
                roles={Role.STT: (ModelSetting("deepgram,local", FrozenOptions({"smart_format": True})),)},
            ),
        }
    )
)
DEFAULT = "deepgram/nova-3+openai/gpt-4o-mini+openai/gpt-4o-mini-tts:echo"

# A busy machine is no reason to fail.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

pieces = st.sampled_from(
    [
        *("stt=", "llm=", "tts=", "realtime=", "vad=", "+", ",", ":", "/", '"', " ", "en", "ash", "x", "openai/gpt-4o"),
        *(*REGISTRY.providers(), *REGISTRY.aliases, *REGISTRY.stacks),
    ]
)


@unhurried
@given(st.lists(pieces, max_size=9).map("".join) | st.text(max_size=20))
def test_any_text_resolves_or_is_a_stack_error(text: str) -> None:
    try:
        stack = resolve(text, REGISTRY, default_stack=DEFAULT)
    except StackError as error:
        assert 0 <= error.start <= error.end
        assert "^" in error.pointed() or not error.spec
        return
    roles = {choice.role for choice in stack.choices}
    assert Role.REALTIME in roles or {Role.STT, Role.LLM, Role.TTS} <= roles
    if not any(ref.options for ref in stack.refs):
        again = resolve(str(stack), REGISTRY)
        assert again == stack and hash(again) == hash(stack)


@pytest.mark.parametrize(
    ("spec", "resolved"),
    [
        ("local", "stt=local/moonshine+llm=local/qwen+tts=local/hibari"),
        ("deepgram+gpt4o-mini", "stt=deepgram/nova-3+llm=openai/gpt-4o-mini+tts=openai/gpt-4o-mini-tts:echo"),
        (
            "deepgram/nova-3:en+openai/gpt-4o-mini+cartesia/sonic-3",
            "stt=deepgram/nova-3:en+llm=openai/gpt-4o-mini+tts=cartesia/sonic-3",
        ),
        (
            "stt=deepgram,local+gpt4o-mini+cartesia,openai",
            # cartesia and openai both hear, and both speak; hearing is taken
            "stt=deepgram/nova-3,local/moonshine+llm=openai/gpt-4o-mini+tts=cartesia/sonic-3,openai/gpt-4o-mini-tts",
        ),
        ("openai-realtime", "realtime=openai/gpt-realtime"),
        ("openai-realtime:marin", "realtime=openai/gpt-realtime:marin"),
        ("openai-realtime+tts=cartesia", "tts=cartesia/sonic-3+realtime=openai/gpt-realtime"),
        ("vad=silero+openai-realtime", "realtime=openai/gpt-realtime+vad=silero/silero"),
        ("realtime=openai", "realtime=openai/gpt-realtime"),
        ("echo-voice:ash", "stt=deepgram/nova-3+llm=openai/gpt-4o-mini+tts=openai/gpt-4o-mini-tts:ash"),
        ("openai:echo", "stt=deepgram/nova-3+llm=openai/gpt-4o-mini+tts=openai/gpt-4o-mini-tts:echo"),
        ("deepgram", "stt=deepgram/nova-3+llm=openai/gpt-4o-mini+tts=deepgram/aura-2"),
        ("silero", "stt=deepgram/nova-3+llm=openai/gpt-4o-mini+tts=openai/gpt-4o-mini-tts:echo+vad=silero/silero"),
        ("openai", "stt=openai/gpt-4o-mini-transcribe+llm=openai/gpt-4o-mini+tts=openai/gpt-4o-mini-tts:echo"),
        ("openai+local+local", "stt=openai/gpt-4o-mini-transcribe+llm=local/qwen+tts=local/hibari"),
        ("fast", "stt=deepgram/flux+llm=openai/gpt-4o-mini+tts=openai/gpt-4o-mini-tts:echo"),
        ("again", "stt=deepgram/flux+llm=openai/gpt-4o-mini+tts=openai/gpt-4o-mini-tts:echo"),
    ],
)
def test_every_role_is_settled(spec: str, resolved: str) -> None:
    stack = resolve(spec, REGISTRY, default_stack=DEFAULT)
    assert str(stack).removesuffix("+vad=local/energy") == resolved
    assert stack.realtime or stack.choice(Role.VAD) is not None


def test_says_where_each_choice_came_from() -> None:
    stack = resolve("nova-3", REGISTRY, default_stack="local+gpt4o-mini")
    origins = {choice.role: choice.origin for choice in stack.choices}
    assert origins == {
        Role.STT: Origin.SPEC,
        Role.LLM: Origin.CHAIN_DEFAULT,
        Role.TTS: Origin.BUILT_IN,
        Role.VAD: Origin.BUILT_IN,
    }
    assert stack.refs[0].alias == "nova-3"
    named = resolve("fast", REGISTRY).choice(Role.STT)
    assert named is not None and named.origin is Origin.NAMED_STACK and named.source == "fast (story.toml:2)"


def test_a_realtime_default_fills_no_role_of_a_pipeline() -> None:
    stack = resolve("deepgram", REGISTRY, default_stack="openai-realtime")
    assert not stack.realtime and str(stack.choice(Role.LLM)) == "llm=local/qwen"


def test_a_colon_in_the_name_of_a_language_model_belongs_to_it() -> None:
    registry = world(openrouter={"story_llm": factory("openrouter", "auto")})
    for spec in ("openrouter/meta-llama/x:free", '"openrouter/meta-llama/x:free"'):
        choice = resolve(spec, registry).choice(Role.LLM)
        assert choice is not None and choice.refs[0].model == "meta-llama/x:free"


def test_story_toml_sets_options_of_each_model() -> None:
    stack = resolve("tuned", REGISTRY)
    deepgram, local, openai = stack.refs[0], stack.refs[1], next(ref for ref in stack.refs if ref.role is Role.TTS)
    assert (deepgram.variant, dict(deepgram.options), dict(local.options)) == ("de", {"smart_format": True}, {})
    assert (openai.model, openai.variant) == ("tts-1", "echo")


def test_stacks_are_equal_by_what_they_mean() -> None:
    assert resolve("deepgram+gpt4o-mini+cartesia", REGISTRY) == resolve(
        "tts=cartesia/sonic-3+openai/gpt-4o-mini+nova-3", REGISTRY
    )
    assert resolve("tuned", REGISTRY) != resolve("stt=deepgram:de,local+tts=openai/tts-1:echo", REGISTRY)


def test_an_unknown_model_of_an_open_provider_is_passed_on_with_a_warning() -> None:
    stack = resolve("deepgram/nova-9+openai/gpt-4o-mimi", REGISTRY)
    assert [ref.model for ref in stack.refs[:2]] == ["nova-9", "gpt-4o-mimi"]
    assert stack.warnings == (
        "unknown model 'nova-9' of deepgram stt (did you mean nova-3?); it is passed on as it is",
        "unknown model 'gpt-4o-mimi' of openai llm (did you mean gpt-4o-mini or gpt-4o?); it is passed on as it is",
    )
    assert resolve("openai/tts-1:ecko", REGISTRY).warnings == (
        "unknown voice 'ecko' of openai (did you mean echo?); it is passed on as it is",
    )
    assert resolve("deepgram:ecko", REGISTRY).warnings


@pytest.mark.parametrize(
    ("spec", "message", "pointed_at"),
    [
        ("gpt4o-mimi", "unknown model 'gpt4o-mimi' (did you mean gpt4o-mini?)", "gpt4o-mimi"),
        ("deepgram+gpt4o-mimi", "unknown model 'gpt4o-mimi' (did you mean gpt4o-mini?)", "gpt4o-mimi"),
        ("deepgram+gpt-4.1", "unknown model 'gpt-4.1' (did you mean openai/gpt-4.1?)", "gpt-4.1"),
        ("opnai/gpt-4o", "unknown provider 'opnai' (did you mean openai?)", "opnai/gpt-4o"),
        ("zzz", "unknown model 'zzz'; `story providers` lists what there is", "zzz"),
        ("gpt4o-mini+openai/gpt-4o", "two models for llm: gpt4o-mini and openai/gpt-4o", "openai/gpt-4o"),
        ("deepgram+openai-realtime", "a realtime model hears and answers by itself", "openai-realtime"),
        ("openai-realtime+gpt4o-mini", "a realtime model hears and answers by itself", "gpt4o-mini"),
        ("openai-realtime+cartesia", "a realtime model hears and answers by itself", "cartesia"),
        ("fast+gpt4o-mini", "'fast' is a named stack: it stands alone", "fast"),
        ("stt=fast", "'fast' is a named stack: it stands alone", "fast"),
        ("llm=deepgram", "deepgram offers no llm (it offers stt, tts); these do: openai, local", "deepgram"),
        ("stt=gpt4o-mini", "gpt4o-mini is an llm, not an stt", "gpt4o-mini"),
        ("gpt4o-mini,nova-3", "the models of a fallback chain have one role", "gpt4o-mini,nova-3"),
        (
            "deepgram+gpt4o-mini+cartesia+openai",
            "nothing is left for openai: earlier parts fill stt (deepgram), llm (gpt4o-mini), tts (cartesia)",
            "openai",
        ),
        ("local/moonshin", "unknown model 'moonshin' of local stt (did you mean moonshine?)", "local/moonshin"),
        ("llm=local/x", "unknown model 'x' of local llm; there are qwen", "local/x"),
        ("tts=local/kokoro:am_ec", "unknown voice 'am_ec' of local (did you mean am_echo?)", "local/kokoro:am_ec"),
        ("loop", "in stack 'loop' (story.toml:4): in stack 'pool' (story.toml:5): named stacks lead in", "loop"),
        ("typo", "in stack 'typo' (story.toml:6): unknown model 'gpt4o-mimi'", "gpt4o-mimi"),
        ("clash", "in stack 'clash' (story.toml:7): a realtime model hears and answers", "clash"),
        ("two-with-options", "in stack 'two-with-options' (story.toml:12): options belong to one", "deepgram,local"),
        ("dangling", "alias 'dangling' stands for 'gone/x', but no plugin offers that as llm", "dangling"),
    ],
)
def test_errors_say_what_is_wrong_and_where(spec: str, message: str, pointed_at: str) -> None:
    registry = REGISTRY
    if spec == "dangling":
        registry = world(other={"story_aliases": Alias("dangling", Role.LLM, "gone/x")})
    with pytest.raises(StackError) as caught:
        resolve(spec, registry, default_stack=DEFAULT)
    error = caught.value
    assert str(error).startswith(message)
    assert error.spec[error.start : error.end] == pointed_at
    assert error.pointed().endswith("^" * len(pointed_at))


def test_an_error_in_the_default_stack_says_so() -> None:
    with pytest.raises(StackError, match="in the chain's default stack: unknown model 'nope'"):
        resolve("deepgram", REGISTRY, default_stack="nope")


def test_an_open_role_that_no_default_fills_is_an_error() -> None:
    registry = world(local={"story_vad": factory("local", "energy")})
    with pytest.raises(StackError, match=r"the stack lacks an llm and a tts, .*add \+llm=PROVIDER\+tts=PROVIDER"):
        resolve("nova-3", registry)
