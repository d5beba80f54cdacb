"""The realtime connection of the next persona, opened while the one before it still talks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ScriptedBrain
from livekit.agents import APIConnectOptions, llm
from livekit.agents.utils import http_context

from story.core import events
from story.core.call import Call
from story.core.captions import Captions
from story.core.live import LiveStack, build
from story.core.personas import load_chain
from story.core.plugins import load_plugins
from story.core.resolve import resolve
from story.core.settings import Settings
from story.emulator.assemble import pretend_keys, redirected
from story.emulator.brain import Prompt, ToolCall
from story.emulator.faults import parse_fault
from story.emulator.server import Emulator
from story.emulator.vendors import VENDORS
from story.providers.openai_realtime import RealtimeModel
from tests.fakes import ScriptedLLM, Tool, last_user

CHAIN = Path(__file__).parents[1] / "core" / "two_personas.toml"


def introduce(chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
    if "Maria" in last_user(chat_ctx) and choice != "none":
        return Tool("information_gathered", {"name": "Maria", "location": "Lisbon"})
    return "Hello, who are you?"


def tell(prompt: Prompt) -> list[str | ToolCall]:
    if "Say goodbye" in prompt.instructions:
        return ["Goodbye, Maria!"]
    if prompt.tools and prompt.caller and "stop" in prompt.caller[-1]:
        return [ToolCall("story_finished", {})]
    return ["Once upon a time."]


class PatientCaller:
    """Types their name once `ready`, and then that the story may stop; or hangs up before one of the two.

    leaves: the persona that they leave, None to hear the whole call.
    """

    name = "patient"
    audio = True

    def __init__(self, ready: Callable[[], bool], *, leaves: str | None = None) -> None:
        self.ready, self.leaves = ready, leaves

    async def attach(self, call: Call, session: Any) -> None:
        self.call, self.told = call, asyncio.Queue[str | None]()
        session.output.transcription = Captions(call)
        call.subscribe(lambda event: isinstance(event, events.AgentTurn) and self.told.put_nowait(event.persona))

    async def run(self) -> None:
        for persona, line in (("intro", "I am Maria from Lisbon"), ("story", "stop")):
            while await self.told.get() != persona:
                pass
            await self.call.session.wait_for_idle()
            await until(self.ready)
            if persona == self.leaves:
                self.call.hang_up()
            else:
                self.call.say(line)
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        pass


class World:
    """A call from a scripted persona to a realtime one on the emulator."""

    def __init__(self, server: Emulator) -> None:
        self.server = server
        self.settings = redirected(pretend_keys(Settings()), server.url)
        self.registry = load_plugins(self.settings).registry
        self.events: list[events.Event] = []

    def journal(self, kind: str, content: str | None = None, endpoint: str = "realtime") -> list[dict[str, Any]]:
        """Entries of one kind, oldest first; `content`: the type of the message."""
        entries = [e for e in self.server.emulation.journal.as_data() if (e["endpoint"], e["kind"]) == (endpoint, kind)]
        return [e for e in entries if content is None or e["content"]["type"] == content]

    def opened(self) -> bool:
        return bool(self.journal("sent", "session.created"))

    def of(self, kind: type[events.Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def fail(self, fault: str) -> None:
        self.server.emulation.faults.faults.append(parse_fault(fault, self.server.endpoints()))

    async def stack(self, spec: str) -> LiveStack:
        return await build(resolve(spec, self.registry), self.registry, self.settings)

    def model(self, **options: Any) -> RealtimeModel:
        return RealtimeModel(base_url=f"{self.server.url}/v1", api_key="k", **options)

    async def hold(
        self, caller: PatientCaller, story: LiveStack, intro: LiveStack | None = None, **options: Any
    ) -> events.CallEnded:
        stacks = {"intro": intro or LiveStack(llm=ScriptedLLM(introduce)), "story": story}
        call = Call(load_chain(CHAIN), caller, stacks, specs={"intro": "intro", "story": "story"}, **options)
        call.subscribe(self.events.append)
        before = asyncio.all_tasks()
        unhandled: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
        async with asyncio.timeout(30):
            ended = await call.run()
            await until(lambda: not self.server.connections)
            await until(lambda: not {t for t in asyncio.all_tasks() - before if "Realtime" in t.get_name()})
        gc.collect()  # the exception of a task is told as unhandled once nobody holds it any more
        assert not unhandled
        return ended


async def until(reached: Callable[[], bool]) -> None:
    while not reached():  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0.01)


@pytest.fixture
async def world(emulator: Callable[..., Any]) -> World:
    return World(await emulator(*VENDORS, brain=ScriptedBrain(tell)))


@pytest.mark.parametrize(
    "spec", ["openai-realtime", "openai-realtime,openai/gpt-realtime-mini", "openai-realtime+tts=cartesia"]
)
async def test_it_is_open_before_the_tool_call_and_the_only_one(world: World, spec: str) -> None:
    ended = await world.hold(PatientCaller(world.opened), await world.stack(spec))
    assert ended.reason == "finished" and ended.data["name"] == "Maria"
    assert world.of(events.AgentTurn)[-1].text == "Goodbye, Maria!"
    assert [request["content"]["query"]["model"] for request in world.journal("request")] == [["gpt-realtime"]]
    assert not world.of(events.CallFault)
    realtime = [model for model in ended.usage["story"] if model["model"] == "gpt-realtime"]
    assert realtime[0]["output_tokens"] > 0


async def test_one_that_is_lost_before_it_is_used_is_replaced(world: World) -> None:
    world.fail("openai/realtime close=1001 after=1 count=1")
    ended = await world.hold(PatientCaller(lambda: bool(world.journal("ended"))), await world.stack("openai-realtime"))
    assert ended.reason == "finished" and not world.of(events.CallFault)
    assert len(world.journal("request")) == 2


@pytest.mark.parametrize("fault", ["status=401", "error=insufficient_quota"])
async def test_where_the_vendor_refuses_the_call_goes_on_as_without_it(world: World, fault: str) -> None:
    world.fail(f"openai/realtime {fault}")
    broken = LiveStack(llm=world.model(conn_options=APIConnectOptions(max_retry=0)))
    spare = LiveStack(llm=ScriptedLLM(lambda *_: "Once upon a time."))
    caller = PatientCaller(lambda: bool(world.journal("ended")), leaves="story")
    ended = await world.hold(caller, broken, fallbacks={"story": [("spare", spare)]})
    assert [(fallback.from_, fallback.to) for fallback in world.of(events.Fallback)] == [("story", "spare")]
    assert len(world.of(events.CallFault)) == 1
    assert len(world.journal("request")) == 2
    assert ended.reason == "caller_left"


async def test_a_call_that_ends_before_the_handoff_closes_it(world: World) -> None:
    ended = await world.hold(PatientCaller(world.opened, leaves="intro"), await world.stack("openai-realtime"))
    assert ended.reason == "caller_left"
    assert [entry["content"] for entry in world.journal("ended")] == [{"code": 1000}]
    assert not world.journal("received", "response.create") and "story" not in ended.usage


async def test_a_handshake_that_hangs_holds_nothing_up(world: World) -> None:
    world.fail("openai/realtime hang")
    caller = PatientCaller(lambda: bool(world.journal("request")), leaves="intro")
    ended = await world.hold(caller, await world.stack("openai-realtime"))
    assert ended.reason == "caller_left" and not world.of(events.CallFault)


class Eager(ScriptedLLM):
    """A model that can't connect ahead, though it says so."""

    ahead = 0

    def preconnect(self) -> None:
        self.ahead += 1
        raise OSError("no route")


async def test_a_model_that_fails_to_connect_ahead_hurts_nobody(world: World) -> None:
    eager = Eager(introduce)
    ended = await world.hold(PatientCaller(lambda: bool(eager.ahead), leaves="story"), LiveStack(llm=eager))
    assert ended.reason == "caller_left" and [handoff.to for handoff in world.of(events.Handoff)] == ["story"]
    assert eager.ahead == 1 and not world.of(events.CallFault)


async def test_nothing_is_opened_ahead_on_the_model_that_talks_already(world: World) -> None:
    shared = LiveStack(llm=Eager(introduce))
    await world.hold(PatientCaller(lambda: True, leaves="story"), shared, shared)
    assert isinstance(shared.llm, Eager) and shared.llm.ahead == 0


@pytest.fixture
async def model(world: World) -> AsyncIterator[RealtimeModel]:
    async with http_context.open(), asyncio.timeout(20):
        model = world.model(max_session_duration=0.2)
        yield model
        await model.aclose()
        await until(lambda: not world.server.connections)


async def test_one_waits_at_a_time_and_is_handed_out_once(world: World, model: RealtimeModel) -> None:
    model.preconnect()
    model.preconnect()
    await until(world.opened)
    first, second = model.session(), model.session()
    await until(lambda: len(world.journal("sent", "session.created")) == 2)
    assert first is not second and len(world.journal("request")) == 2
    await asyncio.gather(first.aclose(), second.aclose())


async def test_without_turn_detection_another_is_opened(world: World, model: RealtimeModel) -> None:
    model.preconnect()
    session = model.session(turn_detection_disabled=True)
    await until(lambda: len(world.journal("received", "session.update")) == 2)
    other = model.session()
    assert not session.capabilities.turn_detection and other.capabilities.turn_detection
    await asyncio.gather(session.aclose(), other.aclose())


async def test_one_that_waits_long_renews_its_connection(world: World, model: RealtimeModel) -> None:
    model.preconnect()
    await until(lambda: len(world.journal("sent", "session.created")) == 2)
    session = model.session()
    renewed = asyncio.get_running_loop().create_future()
    session.once("session_reconnected", renewed.set_result)
    await renewed
    await session.aclose()


async def test_one_that_has_ended_answers_nothing_and_says_so_at_once(world: World) -> None:
    world.fail("openai/realtime status=401")
    async with http_context.open():
        model = world.model(conn_options=APIConnectOptions(max_retry=0))
        session = model.session()
        failed = asyncio.get_running_loop().create_future()
        session.once("error", failed.set_result)
        await failed
        await asyncio.wait([session._main_atask])
        with pytest.raises(llm.RealtimeError, match="has ended"):
            await session.generate_reply()
        with contextlib.suppress(Exception):  # it failed: so does its close
            await session.aclose()
        await model.aclose()
