"""Serves calls to pages until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from story.core.errors import StoryError
from story.transports.web.house import Guest, House
from story.transports.web.ice import Ice
from story.transports.web.page_server import State
from story.transports.web.server import WebServer

if TYPE_CHECKING:
    from story.core.events import CallEnded, Event
    from story.core.plan import Plan
    from story.core.plugins import Plugins
    from story.core.settings import Settings

logger = logging.getLogger("story.web")


@dataclass(frozen=True)
class Serving:
    """What to serve, and how. max_duration: seconds of a call, None for no limit. tls: certificate and key."""

    chain: str
    plugins: Plugins
    host: str
    port: int
    max_calls: int
    max_duration: float | None
    records: Path | None
    ice: Ice
    tls: ssl.SSLContext | None = None
    notice: str | None = None
    emulated: bool = False


class Service:
    """A server of calls, from its first request to its last goodbye.

    The page is there at once: the plan of its calls is made, and what they need is loaded, behind it.
    """

    def __init__(self, serving: Serving, on_event: Callable[[Event], None]) -> None:
        self._serving = serving
        self.house = House(self._hold, max_calls=serving.max_calls, on_event=on_event)
        self.server = WebServer(
            self.house,
            host=serving.host,
            port=serving.port,
            ice=serving.ice,
            tls=serving.tls,
            state=lambda: self._state,
        )
        self._plan: Plan
        self._settings: Settings
        self._ready = False
        self._error: str | None = None
        self._settled = asyncio.Event()

    async def start(self) -> None:
        """Listen. Raises ConfigError where the address can't be had."""
        await self.server.start()

    def open(self, plan: Plan, settings: Settings) -> None:
        """Tell pages what they may choose. plan: the call of whoever chooses nothing. settings: as the calls are to
        see them."""
        from story.transports.web.offers import offers_of

        self._plan, self._settings = plan, settings
        self.server.offer(offers_of(plan, self._serving.plugins.registry, settings))

    async def load(self) -> None:
        """Import and warm up what calls need. They are taken as soon as their sound has a way in: the first caller
        may be there before the models are.

        Raises:
            StoryError: a stack can't be built.
        """
        from story.transports.web.loading import load_models, load_transport

        serving = self._serving
        await load_transport(serving.ice)
        self._ready = True
        try:
            await load_models(self._plan, serving.plugins, self._settings)
        except StoryError as error:
            self._error = str(error)
            self._settled.set()
            await self.house.aclose()
            raise
        self._settled.set()

    @property
    def _state(self) -> State:
        return State(
            ready=self._ready,
            loaded=self._settled.is_set() and self._error is None,
            error=self._error,
            notice=self._serving.notice,
            emulated=self._serving.emulated,
            max_duration=self._serving.max_duration,
        )

    async def aclose(self) -> None:
        """Say goodbye in every call, then stop listening."""
        await self.house.aclose()
        await self.server.aclose()

    async def _hold(self, guest: Guest, stacks: Mapping[str, str]) -> CallEnded | None:
        await guest.caller.while_there(self._settled.wait())
        if self._error is not None:
            raise StoryError(self._error)
        if guest.caller.left:
            return None
        from story.core.launch import hold_call
        from story.core.plan import plan_call
        from story.transports.web.transport import WebTransport

        serving = self._serving
        plan = plan_call(serving.plugins.registry, self._settings, chain=serving.chain, stacks=stacks)
        return await hold_call(
            plan,
            WebTransport(guest.caller),
            serving.plugins,
            self._settings,
            observers=[self.house.observe],
            max_duration=serving.max_duration,
            records=serving.records,
        )
