"""What a call does where a persona's stack fails: it goes on with the next one, or says sorry and ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from livekit.agents import Agent, ErrorEvent, UserInputTranscribedEvent

from story.core import events
from story.core.agent import Apology, PersonaAgent

if TYPE_CHECKING:
    from story.core.call import Call
    from story.core.live import LiveStack

logger = logging.getLogger("story")

APOLOGY_SECONDS = 30.0
"""How long the apology may take before the call ends without it."""
STT_TRIES = 3
"""Failures of a recogniser in a row, without a word heard, after which it is given up. livekit (1.8.9) counts its own
tries anew after each that took long, so that one whose handshake hangs would be tried for ever."""


class PersonaStacks:
    """The stack that each persona talks with now, and those that it may go on with.

    stacks: persona -> live stack (one object may serve several). specs: persona -> that stack in words.
    fallbacks: persona -> stacks to go on with, in order, each with its name.
    """

    def __init__(
        self,
        stacks: Mapping[str, LiveStack],
        specs: Mapping[str, str],
        fallbacks: Mapping[str, Sequence[tuple[str, LiveStack]]],
    ) -> None:
        self._now = {key: (specs[key], stack) for key, stack in stacks.items()}
        self._spares = {key: list(spares) for key, spares in fallbacks.items()}
        spares = (stack for several in self._spares.values() for _, stack in several)
        self.every: tuple[LiveStack, ...] = tuple(dict.fromkeys([*stacks.values(), *spares]))
        """Each stack once, fallbacks included."""

    def __getitem__(self, persona: str) -> LiveStack:
        return self._now[persona][1]

    def spec(self, persona: str) -> str:
        """The persona's stack in words."""
        return self._now[persona][0]

    def specs(self) -> dict[str, str]:
        """persona -> its stack in words."""
        return {key: spec for key, (spec, _) in self._now.items()}

    def advance(self, persona: str) -> bool:
        """Have the persona talk with its next stack from now on; False where there is none left."""
        spares = [(spec, stack) for spec, stack in self._spares.get(persona, ()) if stack is not self[persona]]
        if not spares:
            return False
        self._now[persona], *self._spares[persona] = spares
        return True


class Recovery:
    """Hears of what fails in a call, tells it, and keeps the call going as well as that can be done."""

    def __init__(self, call: Call, stacks: PersonaStacks, redact: Callable[[str], str]) -> None:
        self._call = call
        self._stacks = stacks
        self._redact = redact
        self._apologising: asyncio.Task[None] | None = None
        self._falling_back = False
        self._deaf_tries = 0

    def on_error(self, event: ErrorEvent) -> None:
        """A model failed, for good or to be tried again."""
        error = getattr(event.error, "error", event.error)
        recoverable = bool(getattr(event.error, "recoverable", False))
        where = str(getattr(event.error, "type", "session")).removesuffix("_error")
        given_up = False
        told = _told(error)
        if where == "stt" and recoverable:
            self._deaf_tries += 1
            given_up = self._deaf_tries >= STT_TRIES
        self._call.tell(
            events.CallFault,
            where=where,
            provider=getattr(event.source, "provider", None),
            message=self._redact(told),
            recoverable=recoverable and not given_up,
        )
        if (recoverable and not given_up) or self._call.agent is None:
            return
        self._falling_back = self._fall_back(self._call.agent, told)
        if not self._falling_back and (given_up or self._call.agent.stack.realtime):
            self._apologise_later()

    def on_heard(self, event: UserInputTranscribedEvent) -> None:
        """The recogniser works."""
        self._deaf_tries = 0

    def outlives(self) -> bool:
        """Whether the call goes on after the error that was told last, if only to say sorry."""
        return self._falling_back or self._apologising is not None

    def on_failed_handoff(self, agent: Agent, error: Exception) -> None:
        """`agent` could not take over."""
        message = self._redact(str(error) or type(error).__name__)
        logger.warning("the handoff to %s failed: %s", agent.id, message)
        self._call.tell(events.CallFault, where="handoff", provider=None, message=message, recoverable=True)
        if isinstance(agent, Apology):
            self._call.hang_up("error")
        elif not isinstance(agent, PersonaAgent) or not self._fall_back(agent, message):
            self._apologise_later()

    def stop(self) -> None:
        """The call is over."""
        if self._apologising:
            self._apologising.cancel()

    def _fall_back(self, agent: PersonaAgent, why: str) -> bool:
        """Have the persona of `agent` go on with its next stack; False where there is none left."""
        key = agent.key
        if agent.stack is not self._stacks[key]:  # it has failed before, and another agent is on its way
            return True
        before = self._stacks.spec(key)
        if not self._stacks.advance(key):
            return False
        self._call.tell(events.Fallback, role="stack", from_=before, to=self._stacks.spec(key), why=self._redact(why))
        answering = self._call.agent is agent
        context = agent.chat_ctx.copy(exclude_instructions=True)
        self._call.session.update_agent(self._call.make_agent(key, context, resumed=answering))
        return True

    def _apologise_later(self) -> None:
        if self._apologising is None:
            self._apologising = asyncio.get_running_loop().create_task(self._apologise())

    async def _apologise(self) -> None:
        """Say sorry with the persona's voice, or another of the call where it has none, and end the call."""
        agent = self._call.agent
        voices = [stack.tts for stack in (*([agent.stack] if agent else []), *self._stacks.every) if stack.tts]
        try:
            if voices and self._call.audio:
                apology = Apology(voices[0])
                self._call.session.update_agent(apology)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(APOLOGY_SECONDS):
                        await apology.said.wait()
        finally:
            self._call.hang_up("error")


def _told(error: object) -> str:
    """What went wrong, with the vendor's own words where livekit keeps those apart, as it does for realtime models."""
    reason = getattr(getattr(error, "body", None), "message", None)
    return f"{error}: {reason}" if isinstance(reason, str) and reason not in str(error) else str(error)
