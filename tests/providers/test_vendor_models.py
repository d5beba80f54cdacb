"""The vendor providers, built for real from the installed livekit plugins (no network: constructors are loop-free)."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from story import Alias, ModelFactory, ModelOptions, Role, StoryError
from story.providers import cartesia, deepgram, elevenlabs, openai, silero

KEYS = ("OPENAI_API_KEY", "DEEPGRAM_API_KEY", "CARTESIA_API_KEY", "ELEVEN_API_KEY", "OPENAI_BASE_URL")
PROVIDERS = {"openai": openai, "deepgram": deepgram, "cartesia": cartesia, "elevenlabs": elevenlabs, "silero": silero}
HOOKS = {role: f"story_{role}" for role in (Role.STT, Role.LLM, Role.TTS, Role.REALTIME, Role.VAD)}
FACTORIES: dict[tuple[str, Role], ModelFactory] = {
    (name, role): getattr(module, hook)()
    for name, module in PROVIDERS.items()
    for role, hook in HOOKS.items()
    if hasattr(module, hook)
}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


def build(ref: str, role: Role, **options: Any) -> Any:
    """The object for `provider/model:variant`, with a dummy key."""
    provider, _, rest = ref.partition("/")
    model, _, variant = rest.partition(":")
    factory = FACTORIES[provider, role]
    named = {name: options.pop(name) for name in ("base_url", "api_key") if name in options}
    chosen = ModelOptions(model=model or factory.default_model, extra=options, **named)
    if chosen.api_key is None and factory.env:
        chosen = replace(chosen, api_key="dummy")
    if variant:
        chosen = replace(chosen, **{"language" if role is Role.STT else "voice": variant})
    return factory.build(chosen)


@pytest.mark.parametrize(
    ("ref", "role", "made"),
    [
        ("openai", Role.STT, "openai.stt.STT"),
        ("openai", Role.LLM, "openai.llm.LLM"),
        ("openai/responses/gpt-5-mini", Role.LLM, "openai.responses.llm.LLM"),
        ("openai", Role.TTS, "openai.tts.TTS"),
        ("openai", Role.REALTIME, "openai.realtime.realtime_model.RealtimeModel"),
        ("deepgram", Role.STT, "deepgram.stt.STT"),
        ("deepgram/flux-general-en", Role.STT, "deepgram.stt_v2.STTv2"),
        ("deepgram", Role.TTS, "deepgram.tts.TTS"),
        ("deepgram/flux-alexis-en", Role.TTS, "deepgram.tts_v2.TTSv2"),
        ("cartesia", Role.STT, "cartesia.stt.STT"),
        ("cartesia", Role.TTS, "cartesia.tts.TTS"),
        ("elevenlabs", Role.STT, "elevenlabs.stt.STT"),
        ("elevenlabs", Role.TTS, "elevenlabs.tts.TTS"),
        ("silero", Role.VAD, "silero.vad.VAD"),
    ],
)
def test_the_default_of_every_role_is_built(ref: str, role: Role, made: str) -> None:
    model = build(ref, role)
    classes = [f"{cls.__module__}.{cls.__qualname__}" for cls in type(model).__mro__]  # ours may add to the plugin's
    assert next(name for name in classes if not name.startswith("story.")) == f"livekit.plugins.{made}"


@pytest.mark.parametrize(("provider", "role"), [key for key in FACTORIES if key[1] is not Role.VAD])
def test_every_listed_model_is_built_under_its_name(provider: str, role: Role) -> None:
    factory = FACTORIES[provider, role]
    assert factory.default_model in factory.models
    assert not factory.voices or factory.default_voice in (None, *factory.voices)
    sample = {*factory.models[:3], *factory.models[-3:], factory.default_model}
    for name in sample:
        model = build(f"{provider}/{name}", role).model
        assert model.startswith(name) or f"responses/{model}" == name


@pytest.mark.parametrize(("ref", "role", "attribute", "value"), [
    ("openai/gpt-4o-mini-tts:echo", Role.TTS, "voice", "echo"),
    ("openai/gpt-realtime:cedar", Role.REALTIME, "voice", "cedar"),
    ("openai/whisper-1:fr", Role.STT, "languages", ["fr"]),
    ("deepgram/nova-3:multi", Role.STT, "language", "multi"),
    ("deepgram/flux-general-multi:de", Role.STT, "language_hint", ["de"]),
    ("deepgram/flux-general-en:en", Role.STT, "language_hint", []),
    ("deepgram/aura-2:thalia", Role.TTS, "model", "aura-2-thalia-en"),
    ("deepgram/aura-2:celeste-es", Role.TTS, "model", "aura-2-celeste-es"),
    ("deepgram/aura-2", Role.TTS, "model", "aura-2-andromeda-en"),
    ("cartesia/ink-whisper:de", Role.STT, "_language", "de"),
    ("cartesia/sonic-3:abc", Role.TTS, "voice", "abc"),
    ("elevenlabs/scribe_v2_realtime:es", Role.STT, "language_code", "es"),
    ("elevenlabs/eleven_v3:abc", Role.TTS, "voice_id", "abc"),
])  # fmt: skip
def test_the_variant_is_the_voice_or_the_language(ref: str, role: Role, attribute: str, value: object) -> None:
    model = build(ref, role)
    assert getattr(model if attribute.startswith("_") else model._opts, attribute) == value


@pytest.mark.parametrize(("ref", "role", "given", "reached"), [
    ("openai", Role.STT, "http://127.0.0.1:9/v1", "_client.base_url"),
    ("openai", Role.LLM, "http://127.0.0.1:9/v1", "_client.base_url"),
    ("openai", Role.TTS, "http://127.0.0.1:9/v1", "_client.base_url"),
    ("openai", Role.REALTIME, "http://127.0.0.1:9/v1", "_opts.base_url"),
    ("openai/responses/gpt-5", Role.LLM, "http://127.0.0.1:9/v1", "_ws._base_url"),
    ("deepgram", Role.STT, "http://127.0.0.1:9", "_opts.endpoint_url"),
    ("deepgram", Role.STT, "http://127.0.0.1:9/proxy/listen", "_opts.endpoint_url"),
    ("deepgram/flux-general-en", Role.STT, "http://127.0.0.1:9/", "_opts.endpoint_url"),
    ("deepgram", Role.TTS, "http://127.0.0.1:9", "_opts.base_url"),
    ("deepgram/flux-alexis-en", Role.TTS, "http://127.0.0.1:9", "_opts.base_url"),
    ("cartesia", Role.STT, "ws://127.0.0.1:9/", "_ws_base_url"),
    ("cartesia", Role.TTS, "http://127.0.0.1:9", "_opts.base_url"),
    ("elevenlabs", Role.STT, "http://127.0.0.1:9", "_opts.base_url"),
    ("elevenlabs", Role.TTS, "http://127.0.0.1:9/v1", "_opts.base_url"),
])  # fmt: skip
def test_base_url_reaches_the_plugin(ref: str, role: Role, given: str, reached: str) -> None:
    thing = build(ref, role, base_url=given)
    for name in reached.split("."):
        thing = getattr(thing, name)
    whole = {
        ("openai/responses/gpt-5", Role.LLM): "ws://127.0.0.1:9/v1/responses?model=gpt-5",
        ("openai", Role.REALTIME): "http://127.0.0.1:9/v1",
        ("deepgram", Role.STT): given if "proxy" in given else "http://127.0.0.1:9/v1/listen",
        ("deepgram/flux-general-en", Role.STT): "http://127.0.0.1:9/v2/listen",
        ("deepgram", Role.TTS): "http://127.0.0.1:9/v1/speak",
        ("deepgram/flux-alexis-en", Role.TTS): "http://127.0.0.1:9/v2/speak",
        ("cartesia", Role.STT): "ws://127.0.0.1:9",
        ("cartesia", Role.TTS): "http://127.0.0.1:9",
    }.get((ref, role), "http://127.0.0.1:9/v1")
    assert str(thing).rstrip("/") == whole


def test_the_responses_api_goes_where_openai_base_url_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert build("openai/responses/gpt-5", Role.LLM)._ws._base_url.startswith("ws://127.0.0.1:9/v1/responses")
    over_http = build("openai/responses/gpt-5", Role.LLM, use_websocket=False)
    assert str(over_http._client.base_url) == "http://127.0.0.1:9/v1/"


def test_the_key_that_is_given_is_used() -> None:
    assert build("deepgram", Role.STT, api_key="given")._api_key == "given"
    assert build("openai", Role.LLM, api_key="given")._client.api_key == "given"
    assert build("openai", Role.LLM, api_key="given", client={"organization": "org"})._client.organization == "org"


def test_without_a_key_the_provider_says_so_in_one_line() -> None:
    with pytest.raises(StoryError, match=r"^elevenlabs tts can't be built: .*API key.*") as caught:
        elevenlabs.build_tts(ModelOptions(model="eleven_v3"))
    assert "\n" not in str(caught.value)


def aliases() -> list[Alias]:
    return [alias for module in PROVIDERS.values() for alias in getattr(module, "story_aliases", list)()]


def test_nothing_is_said_twice_by_aliases_of_different_providers() -> None:
    names = [alias.name for alias in aliases()]
    assert len(names) == len(set(names))
    assert not set(names) & {*PROVIDERS, "local"}
    for alias in aliases():
        provider, _, model = alias.ref.partition("/")
        assert model in FACTORIES[provider, alias.role].models, alias


@pytest.mark.parametrize("name", [
    "gpt4o-mini", "gpt-4o-mini", "gpt4o", "gpt-4.1-mini", "gpt-5-mini", "gpt5-mini", "openai-realtime", "nova-3",
    "flux", "sonic-3", "aura-2", "eleven-flash", "scribe", "ink", "whisper-1", "gpt-realtime", "tts-1",
])  # fmt: skip
def test_the_names_people_say_are_aliases(name: str) -> None:
    assert name in {alias.name for alias in aliases()}


@pytest.mark.parametrize("message, ref, role, options", [
    ("cartesia/ink-2 hears English only: for 'de' write cartesia/ink-whisper:de", "cartesia/ink-2:de", Role.STT, {}),
    ("names its voice already", "deepgram/aura-2-thalia-en:zeus", Role.TTS, {}),
    ("Keyterm Prompting is only available", "deepgram/nova-2", Role.STT, {"keyterm": ["story"]}),
    ("deepgram tts has no voices to choose from", "deepgram/flux-alexis-en:zeus", Role.TTS, {}),
])  # fmt: skip
def test_what_a_vendor_does_not_offer_is_one_clear_line(
    message: str, ref: str, role: Role, options: dict[str, object]
) -> None:
    with pytest.raises(StoryError) as caught:
        build(ref, role, **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_listing_imports_neither_livekit_nor_a_vendor() -> None:
    program = (
        "import sys\n"
        "from story.providers import cartesia, deepgram, elevenlabs, openai, silero\n"
        "for module in (cartesia, deepgram, elevenlabs, openai, silero):\n"
        "    for name in dir(module):\n"
        "        if name.startswith('story_'): getattr(module, name)()\n"
        "heavy = {'livekit', 'numpy', 'pydantic', 'openai', 'aiohttp', 'onnxruntime'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
