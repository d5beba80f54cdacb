"""A page at the other end of a WebRTC connection, without any server in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping

import numpy as np
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamTrack

from story.core.errors import StoryError
from story.transports.sound import Samples
from story.transports.web.carrier import Ends
from story.transports.web.ice import Ice
from story.transports.web.opus import PACKET_SECONDS
from story.transports.web.receiver import take_over
from story.transports.web.track import VoiceTrack

logger = logging.getLogger("story.web")

CONNECT_SECONDS = 10.0
LOST_SECONDS = 4.0
"""Without a packet for so long the page is gone: ICE itself takes half a minute to find out. A microphone that is muted
still sends."""
GAP_SECONDS = 0.2
"""After so long without sound the caller's end is filled with silence, or no turn of theirs would ever end."""
LAST_WORDS_SECONDS = 0.5
CLOSE_SECONDS = 3.0
CHANNEL = "story"


class OfferError(StoryError):
    """What a page offered can't be answered."""


class Peer:
    """Answers one offer, then carries sound and messages until it is closed or lost."""

    name = "webrtc"

    def __init__(self, ends: Ends, ice: Ice) -> None:
        self._ends = ends
        servers = [RTCIceServer(server.url, server.username, server.credential) for server in ice.servers]
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._connection.on("connectionstatechange", self._on_state)
        self._connection.on("track", self._on_track)
        self._connection.on("datachannel", self._on_channel)
        self._track = VoiceTrack(ends.pull, ends.agent_rate, self._on_tick)
        self._channel: RTCDataChannel | None = None
        self._unsent: list[str] = []
        self._silence = np.zeros(int(ends.caller_rate * PACKET_SECONDS), np.int16)
        self._clock = asyncio.get_running_loop().time
        self._heard = self._clock()
        self._connecting: asyncio.TimerHandle | None = None
        self._gone = asyncio.Event()
        self._over = False

    async def answer(self, sdp: str) -> str:
        """The answer to an offer that holds all its candidates.

        Raises:
            OfferError: it is none that can be answered.
        """
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            if not any(transceiver.kind == "audio" for transceiver in self._connection.getTransceivers()):
                raise OfferError("the offer has no sound in it")
            self._connection.addTrack(self._track)
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except OfferError:
            raise
        except Exception as error:  # whatever aiortc trips over in words that came from outside
            logger.info("an offer can't be answered: %s: %r", type(error).__name__, str(error))
            raise OfferError("the offer can't be answered: it is no SDP offer of a browser") from None
        self._connecting = asyncio.get_running_loop().call_later(CONNECT_SECONDS, self._lose, "it did not connect")
        return self._connection.localDescription.sdp

    def send(self, message: Mapping[str, object]) -> None:
        text = json.dumps(message, ensure_ascii=False)
        if self._channel is None:
            self._unsent.append(text)
        elif self._channel.readyState == "open":
            self._channel.send(text)

    def clear(self) -> None:
        """A browser has nothing but what has just been sent."""

    async def aclose(self) -> None:
        self._over = True
        if self._connecting:
            self._connecting.cancel()
        await self._say_last_words()
        self._track.stop()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.close()
        except TimeoutError:
            logger.warning("a peer connection did not close in %g s", CLOSE_SECONDS)

    async def _say_last_words(self) -> None:
        """Leave the page time to hang up by itself: closing throws away what is on its way to it."""
        if self._channel is not None and self._channel.readyState == "open":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self._gone.wait()

    def _on_state(self) -> None:
        match self._connection.connectionState:
            case "connected":
                if self._connecting:
                    self._connecting.cancel()
                self._heard = self._clock()
                self._ends.connected()
            case "failed" | "closed":
                self._gone.set()
                self._lose("the connection failed")

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            receiver = next(one for one in self._connection.getReceivers() if one.track is track)
            take_over(receiver, self._on_sound, self._ends.caller_rate)

    def _on_channel(self, channel: RTCDataChannel) -> None:
        if channel.label != CHANNEL or self._channel is not None:
            channel.close()
            return
        self._channel = channel
        channel.on("message", self._on_message)
        channel.on("close", self._gone.set)
        unsent, self._unsent = self._unsent, []
        for text in unsent:
            channel.send(text)

    def _on_message(self, message: str | bytes) -> None:
        if not self._over and isinstance(message, str):
            self._ends.message(message)

    def _on_sound(self, samples: Samples) -> None:
        self._heard = self._clock()
        if not self._over:
            self._ends.push(samples)

    def _on_tick(self) -> None:
        """Called with each packet that goes out, so in real time."""
        quiet = self._clock() - self._heard
        if quiet > LOST_SECONDS:
            self._lose(f"nothing was heard of it for {LOST_SECONDS:g} s")
        elif quiet > GAP_SECONDS and not self._over:
            self._ends.push(self._silence)

    def _lose(self, why: str) -> None:
        if not self._over:
            self._over = True
            self._ends.lost(why)
