"""Call: one run of a chain with one caller over one transport."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from livekit.agents import AgentSession, APIConnectOptions, CloseEvent, CloseReason, utils
from livekit.agents.llm import ChatContext, Tool
from livekit.agents.voice.agent_session import SessionConnectOptions

from story.core import events
from story.core.agent import PersonaAgent
from story.core.errors import CallError, StoryError
from story.core.narration import Narration
from story.core.personas import END, Chain, Value
from story.core.recovery import PersonaStacks, Recovery
from story.core.session import StagedSession
from story.core.silence import SilenceWatch
from story.core.turns import FALSE_INTERRUPTIONS
from story.core.usage import Usage
from story.core.warmup import SupportsPrefill, preconnect, warm_up
from story.version import __version__

if TYPE_CHECKING:
    from livekit.agents.metrics import AgentMetrics

    from story.core.live import LiveStack
    from story.core.transport import Transport

logger = logging.getLogger("story")

TIME_LIMIT_GOODBYE = "The time for this call is up. Say so kindly, and say goodbye, in one short sentence."
STT_CONNECT_SECONDS = 5.0
"""For a recogniser's handshake; the caller is not heard meanwhile."""
GOODBYE_SECONDS = 30.0
"""How long a goodbye may take before the call ends without it."""

Observer = Callable[[events.Event], None]
AgentFactory = Callable[..., PersonaAgent]


class Call:
    """Runs a chain over a transport: every stack built and warm before the first word, everything closed after the
    last, and each step told as an event.

    chain: who speaks. stacks: persona -> live stack (one object may serve several). specs: persona -> the resolved
    stack in words. agents: persona -> what makes its agent, where it is not PersonaAgent itself.
    fallbacks: persona -> stacks to go on with when its own fails, in order, each with its name.
    max_duration: seconds.
    """

    def __init__(
        self,
        chain: Chain,
        transport: Transport,
        stacks: Mapping[str, LiveStack],
        *,
        specs: Mapping[str, str],
        chain_name: str = "",
        agents: Mapping[str, AgentFactory] | None = None,
        fallbacks: Mapping[str, Sequence[tuple[str, LiveStack]]] | None = None,
        max_duration: float | None = None,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.id = f"call_{secrets.token_hex(6)}"
        self.chain = chain
        self.audio = transport.audio
        self._chain_name = chain_name
        self._transport = transport
        self._stacks = PersonaStacks(stacks, specs, fallbacks or {})
        self._agents = agents or {}
        self._max_duration = max_duration
        self._redact = redact
        self._observers: list[Observer] = []
        self._data: dict[str, Value] = {}
        self._started = time.monotonic()
        self._unheard: list[str] = []
        self._agent: PersonaAgent | None = None
        self._ending: asyncio.Future[str] | None = None
        self._goodbye: asyncio.Task[None] | None = None
        self._parting: str | None = None
        self._session: StagedSession | None = None
        self._usage = Usage(lambda: self.persona)
        self._silence = SilenceWatch(self._silence_seconds, self._on_silence)
        self._narration = Narration(self, self._silence)
        self._recovery = Recovery(self, self._stacks, redact)

    # -- what personas, transports and observers use

    @property
    def data(self) -> Mapping[str, Value]:
        """What the personas have gathered so far."""
        return MappingProxyType(self._data)

    @property
    def persona(self) -> str | None:
        """The key of the persona that has the word; None before the first and after the last."""
        return self._agent.key if self._agent else None

    @property
    def agent(self) -> PersonaAgent | None:
        """The agent of that persona."""
        return self._agent

    @property
    def stack(self) -> LiveStack:
        """The stack of the persona that has the word, or will be the first to have it."""
        return self._agent.stack if self._agent else self._stacks[self.chain.start]

    @property
    def session(self) -> AgentSession[Call]:
        if self._session is None:
            raise CallError("the call has not started")
        return self._session

    def subscribe(self, observer: Observer) -> None:
        """Have `observer` called with every event, on the call's event loop."""
        self._observers.append(observer)

    def measure(self, listener: Callable[[AgentMetrics], None]) -> None:
        """Have `listener` called with livekit's metrics of every model, as they come, on the call's event loop."""
        self._usage.listeners.append(listener)

    def tell(self, kind: type[events.Event], **fields: object) -> None:
        """Send an event to every observer. One that raises is logged and hurts nobody."""
        values: dict[str, object] = {"persona": self.persona, **fields}
        event = kind(call=self.id, t=time.monotonic() - self._started, **values)  # type: ignore[arg-type]
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                logger.exception("an observer of the call failed on %s", event.type)

    def say(self, text: str) -> None:
        """The caller's turn, typed: interrupts the agent, as speaking would. During a handoff it waits for its end."""
        self._narration.caller_typed()
        if self._goodbye is not None or self._ending is None or self._ending.done():
            return
        if self._agent is None or self._agent.left:  # between two personas nobody can answer
            self._unheard.append(text)
            return
        self.interrupt()  # or else it is heard out
        with contextlib.suppress(RuntimeError):  # the session closes just now
            self.session.generate_reply(user_input=text)

    def interrupt(self) -> None:
        """Have the agent stop speaking, if it may be interrupted."""
        if self._session is not None:
            with contextlib.suppress(RuntimeError):
                self._session.interrupt()

    def hold_silence(self, held: bool) -> None:
        """While held (the caller types, or is muted), their silence means nothing."""
        self._silence.hold(held)

    def hang_up(self, reason: str = "caller_left") -> None:
        """End the call at once. A caller who leaves while they are told goodbye does not change why it ended."""
        if self._ending and not self._ending.done():
            left = reason == "caller_left"
            self._ending.set_result(self._parting if left and self._parting else reason)

    def finish(self, goodbye: str, reason: str = "finished", *, closing: str | None = None) -> None:
        """Have the persona say a last goodbye that can't be interrupted, then end the call. The first one counts.

        goodbye: tells it what to say. closing: the very words instead.
        """
        if self._goodbye is None and self._ending and not self._ending.done():
            self._parting = reason
            self._goodbye = asyncio.create_task(self._say_goodbye(goodbye, closing, reason))

    # -- what PersonaAgent uses

    def gather(self, values: Mapping[str, Value]) -> None:
        self._data.update(values)

    def entered(self, agent: PersonaAgent) -> None:
        self._agent = agent
        if agent.stack.realtime:
            self._usage.follow(agent.realtime_llm_session)  # it reports there, not on the model
        self._narration.entered()
        self._preconnect(agent)
        unheard, self._unheard = self._unheard, []
        if unheard:
            asyncio.get_running_loop().call_soon(self.say, " ".join(unheard))

    def next_agent(self, agent: PersonaAgent, to: str) -> PersonaAgent:
        """The agent for persona `to`, given the conversation so far if it asks for it."""
        context = None
        if self.chain.personas[to].carry_context:
            context = self.session.history.copy(
                exclude_instructions=True, exclude_handoff=True, exclude_config_update=True, exclude_function_call=True
            )
        return self.make_agent(to, context)

    def make_agent(self, key: str, context: ChatContext | None = None, **more: bool) -> PersonaAgent:
        """The agent of persona `key`, on the stack that it talks with now."""
        return self._agents.get(key, PersonaAgent)(key, self, self._stacks[key], chat_ctx=context, **more)

    # -- the run

    async def run(self) -> events.CallEnded:
        """Hold the call from its first word to its last.

        Raises:
            CallError: it can't start. Once it has started it always ends with a CallEnded.
        """
        ended: list[events.CallEnded] = []
        self.subscribe(lambda event: ended.append(event) if isinstance(event, events.CallEnded) else None)
        self._ending = asyncio.get_running_loop().create_future()
        try:
            async with utils.http_context.open():
                try:
                    await warm_up(model for stack in self._stacks.every for model in stack.models)
                    await self._prefill()
                    await self._hold()
                finally:
                    await self._close()  # while there still is what their connections run over
        finally:
            self._silence.stop()
        return ended[0]

    async def _hold(self) -> None:
        self._session = session = StagedSession(
            on_failed_handoff=self._recovery.on_failed_handoff,
            outlives=self._recovery.outlives,
            conn_options=SessionConnectOptions(stt_conn_options=APIConnectOptions(timeout=STT_CONNECT_SECONDS)),
            userdata=self,
            vad=None,
            turn_handling={"turn_detection": None, "interruption": FALSE_INTERRUPTIONS},
            user_away_timeout=None,  # SilenceWatch does what it would, by persona
            aec_warmup_duration=None,
            session_close_transcript_timeout=0,
        )
        assert self._ending is not None
        ending = self._ending
        session.on("error", self._recovery.on_error)
        session.on("user_input_transcribed", self._recovery.on_heard)
        session.on("close", self._on_close)
        self._narration.follow(session)
        for stack in self._stacks.every:
            for model in stack.models:
                self._usage.follow(model)
        await self._transport.attach(self, session)
        self._started = time.monotonic()
        self.tell(
            events.CallStarted,
            chain=self._chain_name,
            transport=self._transport.name,
            stacks=self._stacks.specs(),
            version=__version__,
        )
        reason = "error"
        carrying: asyncio.Task[None] | None = None
        try:
            await self._start(session)
            carrying = asyncio.create_task(self._transport.run())
            carrying.add_done_callback(self._on_carried)
            reason = await self._until_end(ending)
        except asyncio.CancelledError:
            reason = "shutdown"
            raise
        finally:
            self._silence.stop()
            self._recovery.stop()
            if carrying:
                carrying.cancel()
                await asyncio.wait([carrying])
            if self._goodbye and not self._goodbye.done():
                self._goodbye.cancel()
            # a goodbye in mid-word would keep aclose() waiting for its end
            with contextlib.suppress(RuntimeError):
                session.interrupt(force=True)
            try:
                await session.aclose()
            finally:  # whoever has no time to wait for that is told the end all the same
                self._narration.finish()
                self.tell(
                    events.CallEnded,
                    reason=reason,
                    data=dict(self._data),
                    usage=self._usage.as_dict(),
                    duration=round(time.monotonic() - self._started, 3),
                )
                self._agent = None

    async def _start(self, session: AgentSession[Call]) -> None:
        first = self.chain.start
        try:
            await session.start(self.make_agent(first))
        except StoryError:
            raise
        except Exception as error:
            message = f"the call can't start with {self._stacks.spec(first)}: {self._redact(str(error))}"
            raise CallError(message) from error

    async def _until_end(self, ending: asyncio.Future[str]) -> str:
        if self._max_duration is not None:
            await asyncio.wait([ending], timeout=self._max_duration)
            if not ending.done():
                self.finish(TIME_LIMIT_GOODBYE, reason="time_limit")
        return await ending

    async def _prefill(self) -> None:
        """Have each persona's model read its instructions before the first word."""
        for key in reversed(self.chain.personas):  # the first to speak last: its prompt is then the freshest
            for model in self._stacks[key].models:
                if isinstance(model, SupportsPrefill):
                    agent = self.make_agent(key)
                    tools = [tool for tool in agent.tools if isinstance(tool, Tool)]
                    await model.prefill(agent.persona.fixed_instructions, tools)

    def _preconnect(self, agent: PersonaAgent) -> None:
        """Have the connections of the personas that can come next opened while `agent` talks."""
        for key in agent.persona.nexts:
            # on the same realtime model its connection is handed on as well
            if key != END and (stack := self._stacks[key]).llm is not agent.stack.llm:
                preconnect(stack.leading)

    # -- the end

    async def _say_goodbye(self, goodbye: str, closing: str | None, reason: str) -> None:
        session = self.session
        self._silence.stop()
        try:
            session.input.set_audio_enabled(False)
            async with asyncio.timeout(GOODBYE_SECONDS):
                with contextlib.suppress(RuntimeError):
                    await session.interrupt(force=True)
                if self._agent and self._agent.stack.realtime:
                    # with turn detection of its own it refuses uninterruptible speech, and words that are given
                    told = f'Say: "{closing}"' if closing else goodbye
                    await session.generate_reply(instructions=told, tool_choice="none")
                elif closing:
                    await session.say(closing, allow_interruptions=False)
                else:
                    await session.generate_reply(instructions=goodbye, tool_choice="none", allow_interruptions=False)
        except Exception as error:  # whatever it is, the call has to end
            logger.warning("the call ends without its goodbye: %s", error or "it took too long")
        self.hang_up(reason)

    def _silence_seconds(self) -> float | None:
        silence = self._agent.persona.silence if self._agent and self.audio else None
        return silence.ask_after if silence else None

    def _on_silence(self, count: int) -> None:
        silence = self._agent.persona.silence if self._agent else None
        if silence is None or self._agent is None or self._session is None:
            return
        if self._session.switching:  # the silence is not the caller's
            self._silence.answered()
        elif count == 0:
            self._session.generate_reply(
                instructions=self._agent.persona.filled(silence.ask, self.data), tool_choice="none"
            )
        else:
            self.finish(self._agent.persona.filled(silence.goodbye, self.data), reason="caller_silent")

    async def _close(self) -> None:
        try:
            await self._transport.aclose()
        finally:
            for stack in self._stacks.every:
                await stack.aclose()

    # -- what can go wrong

    def _on_carried(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        if error := task.exception():
            message = self._redact(str(error))
            self.tell(events.CallFault, where="transport", provider=None, message=message, recoverable=False)
            logger.error("the transport failed", exc_info=error)
            self.hang_up("lost")

    def _on_close(self, event: CloseEvent) -> None:
        if event.reason == CloseReason.ERROR:
            self.hang_up("error")
