"""The caller at a page: what the page says and hears, over whichever connection to it there is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from story.core.events import CallEnded
from story.transports.parting import part
from story.transports.sound import SAMPLE_RATE, Samples
from story.transports.web import messages
from story.transports.web.budget import Budget
from story.transports.web.carrier import Carrier

if TYPE_CHECKING:
    from story.core.call import Call
    from story.core.events import Event

logger = logging.getLogger("story.web")

CALLER_RATE = 16_000
"""Hz; what recognisers, voice activity and turn detection work with, so that none of them has to resample."""
GRACE_SECONDS = 15.0
"""How long a call whose connection was lost waits to be taken up again."""
TRAILING_SILENCE_SECONDS = 0.5
"""Heard when a connection is lost, so that a caller cut off in mid-sentence has said what they had said."""
MESSAGES_PER_SECOND = 20.0
MESSAGES_AT_ONCE = 60
SOUND_PER_SECOND = 1.25
"""Seconds of sound that a page may send in a second. More than one, as no two clocks are the same."""
SOUND_AT_ONCE = 10.0
"""Seconds of sound that may come together, after a connection was stuck."""
MAX_UNSAID = 20
"""Typed turns that wait for a call that has not begun."""


class Sound(Protocol):
    """Where the sound of a call comes from and goes to."""

    def pull(self, count: int) -> Samples: ...

    def push(self, samples: Samples) -> None: ...


class PageCaller:
    """One caller. The carrier can be lost and another take its place: the call goes on meanwhile, unheard.

    It is there before its call is, since a page may connect while models are still being loaded: until `join` it
    hears silence.
    """

    def __init__(self) -> None:
        self.caller_rate = CALLER_RATE
        self.agent_rate = SAMPLE_RATE
        self.left: str | None = None
        """Why the caller is gone, or their call over, as a reason of a call's end; None until then."""
        self._sound: Sound | None = None
        self._call: Call | None = None
        self._carrier: Carrier | None = None
        self._dismissed: set[asyncio.Task[None]] = set()
        self._gone = asyncio.Event()
        self._closed = False
        self._reached = False
        self._grace: asyncio.TimerHandle | None = None
        self._messages = Budget(MESSAGES_PER_SECOND, MESSAGES_AT_ONCE)
        self._heard = Budget(SOUND_PER_SECOND * CALLER_RATE, SOUND_AT_ONCE * CALLER_RATE)
        self._unsaid: list[str] = []
        self._held: set[str] = set()

    def join(self, call: Call, sound: Sound) -> None:
        """The call that this caller is in, and its sound."""
        self._call, self._sound = call, sound
        call.subscribe(self._on_event)
        self._hold_silence()
        unsaid, self._unsaid = self._unsaid, []
        for words in unsaid:
            call.say(words)
        if self.left:
            call.hang_up(self.left)

    def leave(self) -> None:
        """The call is over: nothing is said or heard any more."""
        self._call = self._sound = None

    def hang_up(self, reason: str = "caller_left") -> None:
        """The caller leaves."""
        if self.left is None:
            self.left = reason
        self._gone.set()
        if self._call:
            self._call.hang_up(reason)

    async def while_there(self, waiting: Coroutine[object, object, object]) -> None:
        """Wait for that, or until the caller has left."""
        tasks = [asyncio.create_task(waiting), asyncio.create_task(self._gone.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def part(self) -> None:
        """Have the agent say goodbye, then end the call: the server has to stop."""
        if self._call:
            part(self._call)
        else:
            self.hang_up("shutdown")

    def use(self, carrier: Carrier) -> bool:
        """Reach the page by this from now on. The carrier before, if there is one, is closed meanwhile.

        False where the call is over: then this one is closed.
        """
        if self._closed:
            self._dismiss(carrier)
            return False
        before, self._carrier = self._carrier, carrier
        if before is not None:
            for message in before.recall():
                carrier.send(message)
            self._dismiss(before)
        return True

    def send(self, message: Mapping[str, object]) -> None:
        """Have the page get a message, if it can be reached."""
        if self._carrier is not None:
            self._carrier.send(message)

    def clear(self) -> None:
        """Have the page throw away what it has not played yet."""
        if self._carrier is not None:
            self._carrier.clear()

    async def aclose(self) -> None:
        """Say goodbye to the page."""
        self._closed = True
        if self._grace:
            self._grace.cancel()
        self.leave()
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            self._dismiss(carrier)
        if self._dismissed:
            await asyncio.wait(self._dismissed)

    # -- what its carrier tells

    def pull(self, count: int) -> Samples:
        return self._sound.pull(count) if self._sound else np.zeros(count, np.int16)

    def push(self, samples: Samples) -> None:
        if self._sound and self._heard.spend(len(samples)):
            self._sound.push(samples)

    def connected(self) -> None:
        again, self._reached = self._reached, True
        if self.left or not again:
            return
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
            self._release("lost")
        self.send({"type": "resumed"})

    def lost(self, why: str) -> None:
        if self._grace is not None or self.left:
            return
        logger.info("the page of %s is lost: %s", self._call.id if self._call else "a call", why)
        if not self._reached:  # nobody has heard anything yet, or knows that there is a call to come back to
            self.hang_up("lost")
            return
        self._grace = asyncio.get_running_loop().call_later(GRACE_SECONDS, self.hang_up, "lost")
        self._held.discard("typing")  # the page tells it anew
        self._hold("lost")
        self.push(np.zeros(int(TRAILING_SILENCE_SECONDS * self.caller_rate), np.int16))

    def message(self, text: str) -> None:
        if self.left:
            return
        if not self._messages.spend():
            logger.warning("a page says too much: it is let go")
            self.hang_up("lost")
            return
        match messages.read_message(text):
            case None:
                logger.info("a page said what means nothing: %.80r", text)
            case messages.Say() as say if say.words:
                self._say(say.words)
            case messages.Typing(active=active):
                (self._hold if active else self._release)("typing")
            case messages.Mute(muted=muted):
                (self._hold if muted else self._release)("muted")
            case messages.Interrupt() if self._call:
                self._call.interrupt()
            case messages.HangUp():
                self.hang_up()
            case messages.Ping(id=number):
                self.send({"type": "pong", "id": number})

    # -- the rest

    def _say(self, words: str) -> None:
        if self._call:
            self._call.say(words)
        elif len(self._unsaid) < MAX_UNSAID:
            self._unsaid.append(words)

    def _dismiss(self, carrier: Carrier) -> None:
        task = asyncio.create_task(self._close(carrier))
        self._dismissed.add(task)
        task.add_done_callback(self._dismissed.discard)

    @staticmethod
    async def _close(carrier: Carrier) -> None:
        try:
            await carrier.aclose()
        except Exception:
            logger.exception("a connection to a page did not close")

    def _hold(self, why: str) -> None:
        self._held.add(why)
        self._hold_silence()

    def _release(self, why: str) -> None:
        self._held.discard(why)
        self._hold_silence()

    def _hold_silence(self) -> None:
        if self._call:
            self._call.hold_silence(bool(self._held))

    def _on_event(self, event: Event) -> None:
        self.send(event.as_dict())
        if isinstance(event, CallEnded):
            self.left = self.left or event.reason
