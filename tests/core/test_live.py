"""Building a stack into live livekit-agents objects, switching between them, and closing every one of them once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, llm, stt, tts, vad
from livekit.agents.inference import VAD

from story import ModelFactory, ModelOptions, Role, StoryError
from story.core.errors import MissingKeyError, MissingPackageError, StackError, WeightsError
from story.core.fallbacks import Switch
from story.core.live import LiveStack, build, prepare
from story.core.registry import Progress
from story.core.resolve import resolve
from story.core.settings import Settings, load_settings
from tests.fakes import LoudnessSTT, ScriptedLLM, ToneTTS
from tests.offers import factory, loaded


class Voiceless(llm.RealtimeModel):
    """A realtime model that nobody talks to."""

    def __init__(self, *, audio_output: bool = True) -> None:
        capabilities = llm.RealtimeCapabilities(
            message_truncation=False,
            turn_detection=True,
            user_transcription=False,
            auto_tool_reply_generation=False,
            audio_output=audio_output,
            manual_function_calls=False,
        )
        super().__init__(capabilities=capabilities)
        self.closed = 0

    def session(self, *, turn_detection_disabled: bool = False) -> llm.RealtimeSession:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed += 1


class Slow(ToneTTS):
    """Fails to close."""

    async def aclose(self) -> None:
        await super().aclose()
        raise RuntimeError("the socket is gone")


class WholeUtterances(LoudnessSTT):
    def __init__(self) -> None:
        super().__init__([])
        self._capabilities = stt.STTCapabilities(streaming=False, interim_results=False)


class World:
    """A plugin for each role whose models are kept, with the options they were built with."""

    def __init__(self, settings: Settings | None = None, **makes: Any) -> None:
        self.settings = settings or Settings()
        self.made: list[Any] = []
        self.options: list[ModelOptions] = []
        self.makes: dict[str, Any] = {
            "stt": lambda: LoudnessSTT([]),
            "llm": lambda: ScriptedLLM(lambda *_: "hello"),
            "tts": ToneTTS,
            "realtime": Voiceless,
            "vad": VAD,
            **makes,
        }
        self.registry = loaded(
            **{
                provider: {
                    f"story_{role}": self.factory(provider, role)
                    for role in self.makes
                    if role in Role.__members__.values()
                }
                for provider in ("local", "acme")
            },
            settings=self.settings,
        ).registry

    def factory(self, provider: str, role: str, **more: Any) -> ModelFactory:
        def make(options: ModelOptions) -> object:
            model = self.makes.get(f"{provider}_{role}", self.makes[role])()
            self.made.append(model)
            self.options.append(options)
            return model

        return factory(provider, "m", build=make, voices=("v",), default_voice="v", **more)

    async def build(self, spec: str, **more: Any) -> LiveStack:
        return await build(resolve(spec, self.registry), self.registry, self.settings, **more)

    def closed(self) -> list[int]:
        return [model.closed for model in self.made if hasattr(model, "closed")]


async def test_a_pipeline_is_built_and_closed_once() -> None:
    world = World()
    stack = await world.build("local")
    assert isinstance(stack.stt, stt.STT) and isinstance(stack.llm, llm.LLM) and isinstance(stack.tts, tts.TTS)
    assert isinstance(stack.vad, vad.VAD) and stack.turn_detection is None and stack.noise_cancellation is None
    assert not stack.realtime and len(stack.models) == 4
    ref = stack.ref(stack.tts)
    assert ref is not None and (ref.provider, ref.role) == ("local", Role.TTS) and stack.ref(object()) is None
    await stack.aclose()
    await stack.aclose()
    assert world.closed() == [1, 1, 1]


async def test_of_a_chain_of_fallbacks_the_first_leads() -> None:
    world = World()
    stack = await world.build("llm=local,acme+stt=local+tts=acme,local")
    assert len(stack.models) == 6 and stack.llm not in stack.models
    leading = [(ref.role, ref.provider) for ref in map(stack.ref, stack.leading) if ref]
    assert sorted(leading) == [(Role.LLM, "local"), (Role.STT, "local"), (Role.TTS, "acme"), (Role.VAD, "local")]
    await stack.aclose()
    without_refs = LiveStack(llm=ScriptedLLM(lambda *_: "hello"))
    assert without_refs.leading == without_refs.models


async def test_only_the_wanted_roles_are_built() -> None:
    world = World()
    stack = await world.build("local", roles={Role.LLM})
    assert stack.stt is None and stack.tts is None and stack.vad is None and stack.models == (stack.llm,)
    with pytest.raises(StackError, match="its realtime model needs sound"):
        await world.build("realtime=acme", roles={Role.LLM})


async def test_a_realtime_stack_has_no_recogniser() -> None:
    world = World()
    stack = await world.build("realtime=acme")
    assert stack.realtime and stack.stt is None and stack.tts is None and stack.vad is None
    assert world.options[0].extra == {}


async def test_in_a_half_cascade_the_model_answers_in_text() -> None:
    world = World()
    stack = await world.build("realtime=acme+tts=local")
    assert stack.realtime and isinstance(stack.tts, ToneTTS)
    realtime = next(options for model, options in zip(world.made, world.options, strict=True) if model is stack.llm)
    assert realtime.extra == {"modalities": ["text"]}


async def test_fallbacks_are_built_into_adapters_and_all_closed_once() -> None:
    world = World(acme_tts=Slow)
    stack = await world.build("stt=acme,local+llm=acme,local+tts=acme,local")
    assert isinstance(stack.stt, stt.FallbackAdapter) and isinstance(stack.llm, llm.FallbackAdapter)
    assert isinstance(stack.tts, tts.FallbackAdapter)
    assert len(stack.models) == 7 and not any("Fallback" in type(model).__name__ for model in stack.models)
    await stack.aclose()
    assert world.closed() == [1] * 6  # the one whose close raised among them


async def test_realtime_fallbacks_are_closed_once() -> None:
    world = World()
    stack = await world.build("realtime=acme,local")
    assert isinstance(stack.llm, llm.RealtimeModelFallbackAdapter) and stack.realtime
    await stack.aclose()
    assert world.closed() == [1, 1]


async def test_a_recogniser_that_does_not_stream_can_be_a_fallback() -> None:
    stack = await World(acme_stt=WholeUtterances).build("stt=local,acme+llm=local+tts=local")
    assert isinstance(stack.stt, stt.FallbackAdapter) and stack.stt.capabilities.streaming
    await stack.aclose()


async def test_models_that_cannot_stand_in_for_one_another_are_an_error() -> None:
    world = World(acme_realtime=lambda: Voiceless(audio_output=False))
    with pytest.raises(StackError, match="can't be one fallback chain: all realtime models must agree"):
        await world.build("realtime=acme,local")
    assert world.closed() == [1, 1]


async def test_a_switch_says_who_took_over_and_why() -> None:
    def fail(*_: object) -> Exception:
        return APIConnectionError("refused sk-secret-key", retryable=False)

    settings = Settings(env={"ACME_API_KEY": "sk-secret-key"})
    world = World(settings, acme_llm=lambda: ScriptedLLM(fail))
    switches: list[Switch] = []
    stack = await world.build("stt=local+llm=acme,local+tts=local", on_switch=switches.append)
    assert isinstance(stack.llm, llm.LLM)
    async with stack.llm.chat(chat_ctx=llm.ChatContext.empty()) as answer:
        said = [chunk.delta.content async for chunk in answer if chunk.delta and chunk.delta.content]
    assert said == ["hello "]
    [switch] = switches
    assert (switch.role, str(switch.from_), str(switch.to)) == (Role.LLM, "acme/m", "local/m")
    assert "refused ***" in switch.why and "sk-secret" not in switch.why
    await stack.aclose()


async def test_a_switch_back_is_told_and_nobody_left_is_not() -> None:
    world = World()
    switches: list[Switch] = []
    stack = await world.build("stt=acme,local+llm=local+tts=acme,local", on_switch=switches.append)
    assert isinstance(stack.stt, stt.FallbackAdapter) and isinstance(stack.tts, tts.FallbackAdapter)
    first, second = (model for model in stack.models if isinstance(model, stt.STT))

    def stt_is(model: stt.STT, *, available: bool) -> None:  # as the adapter itself says it
        event = stt.AvailabilityChangedEvent(stt=model, available=available)
        stack.stt.emit("stt_availability_changed", event)  # type: ignore[union-attr]

    stt_is(first, available=False)
    stt_is(second, available=False)
    stt_is(second, available=True)
    stt_is(first, available=True)
    told = [(str(switch.from_), str(switch.to), switch.why) for switch in switches]
    assert told == [
        ("acme/m", "local/m", "it gave no answer in time"),
        ("local/m", "acme/m", "it works again"),
    ]
    await stack.aclose()


async def test_a_voice_that_fails_is_replaced_by_the_next() -> None:
    class Hoarse(ToneTTS):
        def synthesize(self, text: str, *, conn_options: Any = None) -> Any:
            raise APIConnectionError("no voice today")

    switches: list[Switch] = []
    stack = await World(acme_tts=Hoarse).build("local+local+tts=acme,local", on_switch=switches.append)
    assert isinstance(stack.tts, tts.TTS)
    async with stack.tts.synthesize("hello") as spoken:
        assert [event async for event in spoken]
    assert [(switch.role, str(switch.to)) for switch in switches] == [(Role.TTS, "local/m")]
    await stack.aclose()


async def test_noise_cancellation() -> None:
    options = rtc.NoiseCancellationOptions(module_id="quiet", options={})
    stack = await World(noise_cancellation=lambda: options).build("local+local+local+noise_cancellation=acme")
    assert stack.noise_cancellation is options
    await stack.aclose()


async def test_what_was_built_is_closed_when_a_later_model_fails() -> None:
    def fail() -> object:
        raise ValueError("no\nroom for sk-secret-key")

    world = World(Settings(env={"ACME_API_KEY": "sk-secret-key"}), acme_tts=fail)
    with pytest.raises(StackError) as caught:
        await world.build("local+local+acme")
    assert str(caught.value) == "acme tts can't be built: ValueError: no room for ***"
    assert caught.value.pointed().splitlines()[1:] == ["  local+local+acme", "              ^^^^"]
    assert world.closed() == [1, 1]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ImportError("No module named 'acme'"), MissingPackageError, "acme tts needs a package that can't be imported"),
        (StackError("acme tts takes no speed"), StackError, "acme tts takes no speed"),
        (StoryError("out of luck"), StackError, "acme tts: out of luck"),
        (RuntimeError(), StackError, "acme tts can't be built: RuntimeError"),
    ],
)
async def test_errors_of_a_provider_are_stack_errors(error: Exception, kind: type, message: str) -> None:
    def fail() -> object:
        raise error

    with pytest.raises(kind) as caught:
        await World(acme_tts=fail).build("local+local+acme")
    assert str(caught.value).startswith(message) and caught.value.start == 12


async def test_a_plugin_that_builds_something_else_is_an_error() -> None:
    world = World(acme_tts=lambda: LoudnessSTT([]))
    with pytest.raises(StackError, match=r"acme tts: its plugin built a LoudnessSTT, not a livekit\.agents\.tts\.TTS"):
        await world.build("local+local+acme")
    assert world.closed() == [1, 1, 1]


async def test_a_vad_falls_back_while_it_is_built() -> None:
    def fail() -> object:
        raise RuntimeError("no such file")

    stack = await World(acme_vad=fail).build("local+local+local+vad=acme,local")
    ref = stack.ref(stack.vad)
    assert ref is not None and ref.provider == "local"
    await stack.aclose()


@pytest.mark.parametrize("detector", ["stt", "nonsense"])
async def test_turn_detection(detector: str) -> None:
    world = World(turn_detector=lambda: detector)
    spec = "stt=local+llm=local+tts=local+turn_detector=acme"
    if detector == "nonsense":
        with pytest.raises(StackError, match="acme turn_detector: its plugin built a str, not a turn detector"):
            await world.build(spec)
    else:
        assert (await world.build(spec)).turn_detection == "stt"


async def test_options_come_from_the_spec_then_the_stack_then_the_provider(tmp_path: Any) -> None:
    (tmp_path / "story.toml").write_text(
        """
        [stacks.mine.tts]
        use = "acme/big"
        voice = "w"
        speed = 2
        base_url = "http://127.0.0.1:1"
        key_env = "OTHER_KEY"
        [stacks.mine.stt]
        use = "acme:de"
        [providers.acme]
        base_url = "http://127.0.0.1:2"
        speed = 1
        region = "eu"
        """
    )
    settings = load_settings(folder=tmp_path, environ={"OTHER_KEY": "other", "ACME_KEY": "mine"})
    world = World(settings)
    offers = {f"story_{role}": world.factory("acme", role, env=("ACME_KEY",)) for role in ("stt", "tts")}
    local: Mapping[str, object] = {
        f"story_{role}": world.factory("local", role) for role in ("stt", "llm", "tts", "vad")
    }
    registry = loaded(acme=offers, local=local, settings=settings).registry
    stack = await build(resolve("mine", registry), registry, settings)
    by_model = dict(zip(world.made, world.options, strict=True))
    assert by_model[stack.tts] == ModelOptions(
        model="big", voice="w", base_url="http://127.0.0.1:1", api_key="other", extra={"speed": 2, "region": "eu"}
    )
    assert by_model[stack.stt] == ModelOptions(
        model="m", language="de", base_url="http://127.0.0.1:2", api_key="mine", extra={"speed": 1, "region": "eu"}
    )
    assert by_model[stack.llm].base_url is None


async def test_a_constructor_finds_the_keys_of_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_REGION", raising=False)
    seen: list[str | None] = []

    def make() -> ToneTTS:
        seen.append(os.environ.get("ACME_REGION"))
        return ToneTTS()

    await World(Settings(env={"ACME_REGION": "eu"}), acme_tts=make).build("local+local+acme")
    assert seen == ["eu"] and "ACME_REGION" not in os.environ


async def test_a_missing_key_stops_the_build_before_it_starts() -> None:
    world = World()
    registry = loaded(
        local={f"story_{role}": world.factory("local", role) for role in ("stt", "tts", "vad")},
        acme={"story_llm": world.factory("acme", "llm", env=("ACME_API_KEY",))},
    ).registry
    with pytest.raises(MissingKeyError, match="acme llm needs ACME_API_KEY, which is not set"):
        await build(resolve("local+acme", registry), registry, Settings())
    assert world.made == []


class Silent:
    """Says yes to everything and shows nothing."""

    def confirm(self, question: str) -> bool:
        return True

    def report(self, what: str, done: int, total: int) -> None:
        pass


def test_only_the_wanted_roles_are_prepared() -> None:
    prepared: list[str] = []

    def fetch(options: ModelOptions, progress: Progress) -> None:
        prepared.append(options.model)

    offers = {f"story_{role}": factory("local", f"{role}-model", prepare=fetch) for role in ("stt", "llm", "tts")}
    registry = loaded(local=offers).registry
    prepare(resolve("local", registry), registry, Settings(), Silent(), roles={Role.LLM, Role.TTS})
    assert prepared == ["llm-model", "tts-model"]


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (WeightsError("no network"), WeightsError, "no network"),
        (OSError("sk-secret"), StackError, "acme tts can't be prepared: OSError: ***"),
    ],
)
def test_a_provider_that_cannot_prepare_is_an_error(error: Exception, kind: type, message: str) -> None:
    def fail(options: ModelOptions, progress: Progress) -> None:
        raise error

    settings = Settings(env={"ACME_API_KEY": "sk-secret"})
    registry = loaded(
        local={f"story_{role}": factory("local", "m") for role in ("stt", "llm")},
        acme={"story_tts": factory("acme", "m", prepare=fail)},
    ).registry
    with pytest.raises(kind) as caught:
        prepare(resolve("tts=acme", registry), registry, settings, Silent())
    assert str(caught.value) == message
