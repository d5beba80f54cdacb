"""The transport of a call with a page."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from livekit.agents import AgentSession
from livekit.agents.voice.io import PlaybackFinishedEvent

from story.core.captions import Captions
from story.transports.playout import CallerInput, Playout
from story.transports.synchronizer import Synchronizer
from story.transports.web.page_caller import PageCaller

if TYPE_CHECKING:
    from story.core.call import Call


class WebTransport:
    """Carries a call to and from the page of `caller`, who may have been connected before."""

    name = "web"
    audio = True

    def __init__(self, caller: PageCaller) -> None:
        self._caller = caller
        self._input = CallerInput(sample_rate=caller.caller_rate)
        self._playout = Playout(sample_rate=caller.agent_rate)
        self._playout.on("playback_finished", self._on_finished)
        self.push = self._input.push
        self.pull = self._playout.pull
        self._synchronizer: Synchronizer | None = None

    async def attach(self, call: Call, session: AgentSession[Any]) -> None:
        # cuts the text of an interrupted turn where its sound was cut
        self._synchronizer = Synchronizer(next_in_chain_audio=self._playout, next_in_chain_text=Captions(call))
        session.input.audio = self._input
        session.output.audio = self._synchronizer.audio_output
        session.output.transcription = self._synchronizer.text_output
        self._caller.join(call, self)

    async def run(self) -> None:
        await asyncio.Event().wait()  # the caller's connection carries by itself

    async def aclose(self) -> None:
        self._input.close()
        self._playout.hang_up()
        if self._synchronizer is not None:
            await self._synchronizer.aclose()
        self._caller.leave()

    def _on_finished(self, event: PlaybackFinishedEvent) -> None:
        if event.interrupted:
            self._caller.clear()
