"""Calls from the first word to the last, on scripted models: handoffs, goodbyes, faults and what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import RunContext, function_tool, llm

from story.core import events
from story.core.agent import PersonaAgent
from story.core.call import Call
from story.core.captions import Captions
from story.core.live import LiveStack
from story.core.personas import Chain, load_chain
from tests.fakes import ScriptedLLM, ToneTTS, Tool, last_user

CHAIN = Path(__file__).parent / "two_personas.toml"


class TypedCaller:
    """A caller who types `lines`, each once the agent has nothing more to say."""

    name = "typed"
    audio = False

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)
        self.turn = asyncio.Event()
        self.closed = 0

    async def attach(self, call: Call, session: Any) -> None:
        self.call = call
        session.output.transcription = Captions(call)
        call.subscribe(self.follow)

    def follow(self, event: events.Event) -> None:
        if isinstance(event, events.AgentTurn):
            self.turn.set()

    async def run(self) -> None:
        for line in self.lines:
            await self.turn.wait()
            await self.call.session.wait_for_idle()
            self.turn.clear()
            self.call.say(line)
        await self.turn.wait()
        await self.call.session.wait_for_idle()
        self.call.hang_up()

    async def aclose(self) -> None:
        self.closed += 1


@dataclass
class Outcome:
    ended: events.CallEnded
    events: list[events.Event] = field(default_factory=list)

    def of(self, kind: type[events.Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def said(self) -> list[tuple[str | None, str]]:
        return [(turn.persona, turn.text) for turn in self.of(events.AgentTurn)]


def stack(script: Callable[..., Any], **more: Any) -> LiveStack:
    return LiveStack(llm=ScriptedLLM(script), **more)


async def hold(caller: Any, stacks: dict[str, LiveStack], chain: Chain | None = None, **options: Any) -> Outcome:
    chain = chain or load_chain(CHAIN)
    call = Call(chain, caller, stacks, specs={key: f"{key}-stack" for key in stacks}, chain_name="two", **options)
    seen: list[events.Event] = []
    call.subscribe(seen.append)
    ended = await asyncio.wait_for(call.run(), 30)
    return Outcome(ended, seen)


def intro(chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
    if "Maria" in last_user(chat_ctx) and choice != "none":
        return Tool("information_gathered", {"name": "Maria", "location": " Lisbon "})
    return "Hello, who are you?"


def story(chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
    asked = [m.text_content or "" for m in chat_ctx.messages() if m.role in ("system", "developer")]
    if any("Say goodbye to Maria" in text for text in asked):
        return "Goodbye, Maria!"
    if "stop" in last_user(chat_ctx) and choice != "none":
        return Tool("story_finished", {})
    return "Once upon a time. What then?"


async def test_the_whole_chain_is_told_in_order() -> None:
    caller = TypedCaller(["hm?", "I am Maria from Lisbon", "and then?", "stop"])
    outcome = await hold(caller, {"intro": stack(intro), "story": stack(story)})
    assert outcome.ended.reason == "finished"
    assert outcome.ended.data == {"name": "Maria", "location": "Lisbon"}
    assert outcome.said() == [
        ("intro", "Hello, who are you?"),
        ("intro", "Hello, who are you?"),
        ("story", "Once upon a time. What then?"),
        ("story", "Once upon a time. What then?"),
        ("story", "Goodbye, Maria!"),
    ]
    kinds = [event.type for event in outcome.events if event.recorded]
    assert kinds[0] == "call_started" and kinds[-1] == "call_ended"
    assert kinds.count("handoff") == 1
    assert [call.name for call in outcome.of(events.ToolCall)] == ["information_gathered", "story_finished"]
    handoff = outcome.of(events.Handoff)[0]
    assert (handoff.from_, handoff.to, handoff.gap) == ("intro", "story", None)
    assert [turn.text for turn in outcome.of(events.UserTurn)] == caller_lines()
    assert caller.closed == 1


def caller_lines() -> list[str]:
    return ["hm?", "I am Maria from Lisbon", "and then?", "stop"]


async def test_usage_is_split_by_persona() -> None:
    def either(chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
        return (story if tools[0].id == "story_finished" else intro)(chat_ctx, tools, choice)

    shared = stack(either)
    outcome = await hold(TypedCaller(["I am Maria from Lisbon", "stop"]), {"intro": shared, "story": shared})
    usage = outcome.ended.usage
    assert set(usage) == {"intro", "story"}
    assert usage["intro"][0]["provider"] == "fake"
    assert usage["intro"][0]["output_tokens"] > 0


async def test_a_stack_that_two_personas_share_is_closed_once() -> None:
    shared = stack(intro)
    await hold(TypedCaller([]), {"intro": shared, "story": shared})
    assert shared.llm.closed == 1


async def test_arguments_that_are_missing_go_back_to_the_model() -> None:
    def forgets(chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
        outputs = [item for item in chat_ctx.items if item.type == "function_call_output"]
        if outputs:
            return f"Told: {outputs[-1].output}"
        if last_user(chat_ctx) and choice != "none":
            return Tool("information_gathered", {"name": "Maria", "location": " "})
        return "Who?"

    outcome = await hold(TypedCaller(["Maria"]), {"intro": stack(forgets), "story": stack(story)})
    tool = outcome.of(events.ToolCall)[0]
    assert tool.error and "location is missing" in tool.error
    assert not outcome.of(events.Handoff)
    assert outcome.ended.reason == "caller_left"
    assert outcome.ended.data == {}


async def test_a_handoff_twice_in_one_batch_happens_once() -> None:
    def twice(chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
        call = Tool("information_gathered", {"name": "Maria", "location": "Lisbon"})
        return [call, call] if last_user(chat_ctx) and choice != "none" else "Who?"

    outcome = await hold(TypedCaller(["Maria from Lisbon", "stop"]), {"intro": stack(twice), "story": stack(story)})
    assert len(outcome.of(events.Handoff)) == 1
    assert outcome.ended.reason == "finished"
    assert [key for key, _ in outcome.said()] == ["intro", "story", "story"]


class Counting(PersonaAgent):
    """A Python persona with a tool of its own."""

    @function_tool
    async def count(self, context: RunContext[Any]) -> str:
        """Count."""
        return f"counted for {self.call.data.get('name', 'nobody')}"


async def test_a_handoff_in_one_batch_with_another_tool_leaves_the_old_persona_silent() -> None:
    def both(chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
        if last_user(chat_ctx) and choice != "none":
            return [Tool("count", {}), Tool("information_gathered", {"name": "Maria", "location": "Lisbon"})]
        return "Who?"

    outcome = await hold(
        TypedCaller(["Maria from Lisbon", "stop"]),
        {"intro": stack(both), "story": stack(story)},
        agents={"intro": Counting},
    )
    assert {tool.name for tool in outcome.of(events.ToolCall)} == {"count", "information_gathered", "story_finished"}
    assert [key for key, _ in outcome.said()] == ["intro", "story", "story"]


def chain_with_a_way_back(folder: Path) -> Path:
    text = CHAIN.read_text().replace("[personas.story.then]", "[[personas.story.then]]")
    path = folder / "loop.toml"
    path.write_text(text + '\n[[personas.story.then]]\ntool = "start_over"\ndescription = "Again."\nnext = "intro"\n')
    return path


def again(chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
    if last_user(chat_ctx) == "again" and choice != "none":
        return Tool("start_over", {})
    return story(chat_ctx, tools, choice)


async def test_back_to_a_persona_that_spoke_before(tmp_path: Path) -> None:
    path = chain_with_a_way_back(tmp_path)
    lines = ["Maria from Lisbon", "again", "Maria from Lisbon", "stop"]
    outcome = await hold(TypedCaller(lines), {"intro": stack(intro), "story": stack(again)}, load_chain(path))
    assert [(h.from_, h.to) for h in outcome.of(events.Handoff)] == [
        ("intro", "story"),
        ("story", "intro"),
        ("intro", "story"),
    ]
    assert outcome.ended.reason == "finished"


async def test_the_conversation_is_carried_over_only_where_asked(tmp_path: Path) -> None:
    heard: list[list[str]] = []

    def listens(chat_ctx: llm.ChatContext, tools: list[llm.Tool], choice: object) -> Any:
        heard.append([(m.text_content or "").strip() for m in chat_ctx.messages() if m.role in ("user", "assistant")])
        return story(chat_ctx, tools, choice)

    await hold(TypedCaller(["Maria from Lisbon"]), {"intro": stack(intro), "story": stack(listens)})
    assert heard.pop(0) == []
    path = tmp_path / "carry.toml"
    path.write_text(CHAIN.read_text().replace("[personas.story]", "[personas.story]\ncarry_context = true"))
    heard.clear()
    await hold(TypedCaller(["Maria from Lisbon"]), {"intro": stack(intro), "story": stack(listens)}, load_chain(path))
    assert heard[0] == ["Hello, who are you?", "Maria from Lisbon"]


class Unstartable(ScriptedLLM):
    """An LLM that livekit refuses when its persona starts."""

    def prewarm(self) -> None:
        raise RuntimeError("no route to the model with key sk-secret")


def hide(text: str) -> str:
    return text.replace("sk-secret", "***")


async def failing_start(
    monkeypatch: pytest.MonkeyPatch, lines: Sequence[str] = ("Maria from Lisbon", "stop"), **options: Any
) -> Outcome:
    from livekit.agents.voice.agent_activity import AgentActivity

    start = AgentActivity.start

    async def refuse(self: Any, **kwargs: Any) -> None:
        if isinstance(self.agent.llm, Unstartable):
            raise RuntimeError("no route to the model with key sk-secret")
        await start(self, **kwargs)

    monkeypatch.setattr(AgentActivity, "start", refuse)
    monkeypatch.setattr(Unstartable, "prewarm", lambda self: None)
    broken = LiveStack(llm=Unstartable(story))
    return await hold(
        TypedCaller(lines),
        {"intro": stack(intro), "story": broken},
        redact=hide,
        **options,
    )


async def test_a_handoff_that_cannot_start_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    spare = stack(story)
    outcome = await failing_start(monkeypatch, fallbacks={"story": [("spare", spare)]})
    fault, fallback = outcome.of(events.CallFault)[0], outcome.of(events.Fallback)[0]
    assert fault.where == "handoff" and "***" in fault.message and "sk-secret" not in fault.message
    assert (fallback.from_, fallback.to) == ("story-stack", "spare")
    assert outcome.ended.reason == "finished"
    assert spare.llm.closed == 1


async def test_a_handoff_that_cannot_start_and_has_no_other_stack_ends_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcome = await failing_start(monkeypatch)
    assert outcome.ended.reason == "error"
    assert outcome.ended.data["name"] == "Maria"


async def test_an_apology_that_cannot_start_either_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    from livekit.agents.voice.agent_activity import AgentActivity

    class Speaking(TypedCaller):
        audio = True

    start, refused = AgentActivity.start, []

    async def refuse(self: Any, **kwargs: Any) -> None:
        if self.agent.id != "intro":
            refused.append(self.agent.id)
            raise RuntimeError("no such voice")
        await start(self, **kwargs)

    monkeypatch.setattr(AgentActivity, "start", refuse)
    live = stack(intro, tts=ToneTTS(pace=0.0))
    outcome = await hold(Speaking(["Maria from Lisbon"]), {"intro": live, "story": live})
    assert refused == ["story", "apology"]
    assert outcome.ended.reason == "error"


async def test_a_persona_stays_with_the_stack_that_it_fell_back_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = ["Maria from Lisbon", "again", "Maria from Lisbon", "stop"]
    outcome = await failing_start(
        monkeypatch,
        lines,
        fallbacks={"story": [("spare", stack(again))]},
        chain=load_chain(chain_with_a_way_back(tmp_path)),
    )
    assert [(event.from_, event.to) for event in outcome.of(events.Fallback)] == [("story-stack", "spare")]
    assert outcome.ended.reason == "finished"


async def test_a_goodbye_that_fails_still_ends_the_call() -> None:
    class Cut(TypedCaller):
        def follow(self, event: events.Event) -> None:
            super().follow(event)
            if isinstance(event, events.ToolCall):
                self.call.session.generate_reply = self.fail

        def fail(self, **_: Any) -> None:
            raise ValueError("no")

    outcome = await hold(Cut(["Maria from Lisbon"]), {"intro": stack(intro), "story": stack(story)}, last_words())
    assert outcome.ended.reason == "finished"


def last_words() -> Chain:
    """The chain, with a first persona that ends the call."""
    chain = load_chain(CHAIN)
    intro = chain.personas["intro"]
    over = intro.then[0].model_copy(update={"next": "end"})
    return chain.model_copy(update={"personas": {"intro": intro.model_copy(update={"then": [over]})}})


async def test_a_transport_that_fails_ends_the_call_without_telling_secrets() -> None:
    class Lost(TypedCaller):
        async def run(self) -> None:
            raise OSError("no route to wss://room?token=sk-secret")

    live = stack(intro)
    outcome = await hold(Lost([]), {"intro": live, "story": live}, redact=hide)
    assert outcome.ended.reason == "lost"
    assert [fault.message for fault in outcome.of(events.CallFault)] == ["no route to wss://room?token=***"]


async def test_what_is_typed_during_a_handoff_is_heard_after_it() -> None:
    class Hasty(TypedCaller):
        def follow(self, event: events.Event) -> None:
            super().follow(event)
            if isinstance(event, events.ToolCall) and event.name == "information_gathered":
                self.call.session.update_agent = self.typing(self.call.session.update_agent)

        def typing(self, update: Callable[[Any], None]) -> Callable[[Any], None]:
            def update_and_type(agent: Any) -> None:
                update(agent)
                asyncio.get_running_loop().call_soon(self.call.say, "stop")

            return update_and_type

        async def run(self) -> None:
            await self.turn.wait()
            await self.call.session.wait_for_idle()
            self.call.say(self.lines[0])
            await asyncio.Event().wait()

    outcome = await hold(Hasty(["Maria from Lisbon"]), {"intro": stack(intro), "story": stack(story)})
    assert [turn.text for turn in outcome.of(events.UserTurn)] == ["Maria from Lisbon", "stop"]
    assert outcome.ended.reason == "finished"


async def test_silence_during_a_handoff_is_not_the_caller_s(tmp_path: Path) -> None:
    class Leaving(PersonaAgent):
        async def on_exit(self) -> None:
            await asyncio.sleep(1.0)  # longer than two silences

    patience = '[personas.intro.silence]\nask_after = 0.3\nask = "Ask."\n\n[personas.intro.then]'
    path = tmp_path / "impatient.toml"
    path.write_text(CHAIN.read_text().replace("[personas.intro.then]", patience, 1))
    caller = TypedCaller(["Maria from Lisbon", "stop"])
    caller.audio = True
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    outcome = await hold(
        caller, {"intro": stack(intro), "story": stack(story)}, load_chain(path), agents={"intro": Leaving}
    )
    assert not unhandled
    assert outcome.ended.reason == "finished"
    assert [key for key, _ in outcome.said()] == ["intro", "story", "story"]


async def test_given_words_open_and_close_a_part_without_the_model(tmp_path: Path) -> None:
    text = CHAIN.read_text().replace("[personas.intro]\n", '[personas.intro]\nopening = "Who is it?"\n')
    text = text.replace("[personas.story]\n", '[personas.story]\nopening = "Welcome, {name}."\ngreeting = "Begin."\n')
    path = tmp_path / "given.toml"
    path.write_text(text + 'closing = "Bye, {name}."\n')
    stacks = {"intro": stack(intro), "story": stack(story)}
    outcome = await hold(TypedCaller(["Maria from Lisbon", "stop"]), stacks, load_chain(path))
    assert outcome.said() == [
        ("intro", "Who is it?"),
        ("story", "Welcome, Maria. Once upon a time. What then?"),
        ("story", "Bye, Maria."),
    ]
    assert stacks["intro"].llm.requests == 1


async def test_the_time_limit_says_goodbye() -> None:
    caller = TypedCaller([])
    caller.run = asyncio.Event().wait  # type: ignore[method-assign]
    outcome = await hold(caller, {"intro": stack(intro), "story": stack(story)}, max_duration=0.2)
    assert outcome.ended.reason == "time_limit"
    assert len(outcome.said()) == 2


async def test_observers_that_fail_hurt_nobody() -> None:
    chain = load_chain(CHAIN)
    call = Call(chain, TypedCaller([]), {k: stack(intro) for k in chain.personas}, specs={"intro": "", "story": ""})
    seen: list[str] = []

    def broken(event: events.Event) -> None:
        raise ValueError("no")

    call.subscribe(broken)
    call.subscribe(lambda event: seen.append(event.type))
    ended = await asyncio.wait_for(call.run(), 20)
    assert ended.reason == "caller_left"
    assert "agent_turn" in seen


async def test_models_are_closed_where_the_transport_cannot_start() -> None:
    class Broken(TypedCaller):
        async def attach(self, call: Call, session: Any) -> None:
            raise RuntimeError("no device")

    live, caller = stack(intro), Broken([])
    with pytest.raises(RuntimeError, match="no device"):
        await hold(caller, {"intro": live, "story": live})
    assert live.llm.closed == 1 and caller.closed == 1
