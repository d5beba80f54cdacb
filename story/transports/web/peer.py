"""A page at the other end of a WebRTC connection, without any server in between."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import logging
import re
from collections.abc import Mapping, Sequence

import numpy as np
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtcicetransport import parse_stun_turn_uri
from aiortc.sdp import SessionDescription

from story.core.errors import StoryError
from story.transports.sound import Samples
from story.transports.web.carrier import Ends
from story.transports.web.ice import Ice, IceServer
from story.transports.web.opus import PACKET_SECONDS
from story.transports.web.receiver import take_over
from story.transports.web.track import VoiceTrack

logger = logging.getLogger("story.web")
logging.getLogger("aioice").setLevel(logging.WARNING)  # below that it writes down what pages send

ANSWER_SECONDS = 8.0
CONNECT_SECONDS = 10.0
"""A page that finds no way in has so long to come by another, even where it is plain before that this one fails."""
LOST_SECONDS = 4.0
"""Without a packet for so long the page is gone: ICE itself takes half a minute to find out. A microphone that is muted
still sends."""
GAP_SECONDS = 0.2
"""After so long without sound the caller's end is filled with silence, or no turn of theirs would ever end."""
OPEN_SECONDS = 3.0
"""How long what there is to say to a page that is still connecting is kept for it when the call is over."""
LAST_WORDS_SECONDS = 0.5
CLOSE_SECONDS = 3.0
CHANNEL = "story"
MAX_CANDIDATES = 50
"""Ways to a page; each is tried, and each name among them looked up."""
MAX_UNSENT = 1000
"""Messages for a page that is still connecting."""
MAX_BACKLOG = 256_000
"""Bytes that may wait to be sent; a page that reads more slowly than that is lost."""
OPUS = [codec for codec in RTCRtpSender.getCapabilities("audio").codecs if codec.mimeType.lower() == "audio/opus"]


class OfferError(StoryError):
    """What a page offered can't be answered."""


class Peer:
    """Answers one offer, then carries sound and messages until it is closed or lost."""

    name = "webrtc"

    def __init__(self, ends: Ends, ice: Ice) -> None:
        self._ends = ends
        servers = [
            RTCIceServer(server.url, server.username, server.credential)
            for server in ice.servers
            if _can_be_asked(server)
        ]
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._connection.on("connectionstatechange", self._on_state)
        self._connection.on("track", self._on_track)
        self._connection.on("datachannel", self._on_channel)
        self._track = VoiceTrack(self._pull, ends.agent_rate, self._on_tick)
        self._channel: RTCDataChannel | None = None
        self._unsent: list[Mapping[str, object]] = []
        self._silence = np.zeros(int(ends.caller_rate * PACKET_SECONDS), np.int16)
        self._clock = asyncio.get_running_loop().time
        self._heard = self._clock()
        self._connecting: asyncio.TimerHandle | None = None
        self._opened = asyncio.Event()
        self._gone = asyncio.Event()
        self._lost = False
        self._closed = False

    async def answer(self, sdp: str) -> str:
        """The answer to an offer that holds all its candidates.

        Raises:
            OfferError: it is none that can be answered.
        """
        try:
            _check(sdp)
            self._connection.addTransceiver(self._track).setCodecPreferences(OPUS)
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
                await self._connection.setLocalDescription(await self._connection.createAnswer())
        except OfferError:
            raise
        except Exception as error:  # whatever aiortc trips over in words that came from outside
            logger.info("an offer can't be answered: %s: %r", type(error).__name__, str(error))
            raise OfferError("the offer can't be answered: it is no SDP offer of a browser") from None
        self._connecting = asyncio.get_running_loop().call_later(CONNECT_SECONDS, self._lose, "it did not connect")
        return self._connection.localDescription.sdp

    def send(self, message: Mapping[str, object]) -> None:
        if self._gone.is_set():
            return
        if self._channel is None:
            self._unsent.append(message)
            if len(self._unsent) > MAX_UNSENT:
                self._break("it opens no data channel")
        elif self._channel.readyState == "open":
            self._channel.send(_text(message))
            if self._channel.bufferedAmount > MAX_BACKLOG:
                self._break("it reads too slowly")

    def recall(self) -> Sequence[Mapping[str, object]]:
        unsent, self._unsent = self._unsent, []
        return unsent

    def clear(self) -> None:
        """A browser has nothing but what has just been sent."""

    async def aclose(self) -> None:
        self._closed = True
        if self._connecting:
            self._connecting.cancel()
        await self._say_last_words()
        self._track.stop()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.close()
        except TimeoutError:
            logger.warning("a peer connection did not close in %g s", CLOSE_SECONDS)
        except Exception:  # aiortc's close is not made for what failed half-way
            logger.exception("a peer connection did not close")

    async def _say_last_words(self) -> None:
        """Leave the page time to hang up by itself: closing throws away what is on its way to it."""
        with contextlib.suppress(TimeoutError):
            if self._unsent and not self._gone.is_set():
                async with asyncio.timeout(OPEN_SECONDS):
                    await self._opened.wait()
            if self._channel is not None and self._channel.readyState == "open":
                async with asyncio.timeout(LAST_WORDS_SECONDS):
                    await self._gone.wait()

    def _on_state(self) -> None:
        match self._connection.connectionState:
            case "connected":
                if self._connecting:
                    self._connecting.cancel()
                    self._connecting = None
                self._heard = self._clock()
                if not self._closed:
                    self._ends.connected()
            case "failed" | "closed" if self._connecting is None:
                self._break("the connection failed")

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
        for message in self.recall():
            channel.send(_text(message))
        self._opened.set()

    def _on_message(self, message: str | bytes) -> None:
        if self._alive() and isinstance(message, str):
            self._ends.message(message)

    def _on_sound(self, samples: Samples) -> None:
        if self._alive():
            self._ends.push(samples)

    def _pull(self, count: int) -> Samples:
        """What nobody can hear is kept for when the page is back."""
        return np.zeros(count, np.int16) if self._lost or self._closed else self._ends.pull(count)

    def _on_tick(self) -> None:
        """Called with each packet that goes out, so in real time."""
        quiet = self._clock() - self._heard
        if quiet > LOST_SECONDS:
            self._lose(f"nothing was heard of it for {LOST_SECONDS:g} s")
        elif quiet > GAP_SECONDS and not self._closed:
            self._ends.push(self._silence)

    def _alive(self) -> bool:
        """The page gave a sign of life; False where it comes too late."""
        self._heard = self._clock()
        if self._closed or self._gone.is_set():
            return False
        if self._lost:
            self._lost = False
            self._ends.connected()
        return True

    def _lose(self, why: str) -> None:
        if not self._lost and not self._closed:
            self._lost = True
            self._ends.lost(why)

    def _break(self, why: str) -> None:
        """Lose the page for good."""
        self._gone.set()
        self._opened.set()
        self._lose(why)


def _text(message: Mapping[str, object]) -> str:
    return json.dumps(message, ensure_ascii=False)


def _check(sdp: str) -> None:
    """Raise OfferError for an offer of anything but one call's sound and messages.

    What browsers always send is asked for here, since aiortc finds it missing only when it is half-way through.
    """
    if not all(line.isprintable() for line in re.split("\r?\n", sdp)):
        raise OfferError("an offer is lines of text")
    offer = SessionDescription.parse(sdp)
    if sorted(media.kind for media in offer.media) != ["application", "audio"]:
        raise OfferError("an offer has one audio section and one data channel in it, and nothing else")
    if sum(len(media.ice_candidates) for media in offer.media) > MAX_CANDIDATES:
        raise OfferError(f"an offer has at most {MAX_CANDIDATES} candidates")
    if not all(_is_address(candidate.ip) for media in offer.media for candidate in media.ice_candidates):
        raise OfferError("the candidates of an offer are IP addresses, or names that end in .local")
    for media in offer.media:
        if not (media.dtls and media.dtls.fingerprints and media.ice and media.ice.usernameFragment):
            raise OfferError("an offer has a fingerprint, and a name for ICE")
    bundled = [group.items for group in offer.group if group.semantic == "BUNDLE"]
    mids = [media.rtp.muxId for media in offer.media]
    if len(set(mids)) != len(mids) or [sorted(items) for items in bundled] != [sorted(mids)]:
        raise OfferError("an offer has its sections bundled")


def _can_be_asked(server: IceServer) -> bool:
    """Whether aiortc can read where it is; browsers alone are told of one by its IPv6 address."""
    try:
        parse_stun_turn_uri(server.url)
    except ValueError:
        return False
    return True


def _is_address(host: str) -> bool:
    """Whether a browser calls itself so: by an address, or by the name that it has instead of one (RFC 6762)."""
    if re.fullmatch(r"[A-Za-z0-9-]{1,63}\.local", host):
        return True
    try:
        return bool(ipaddress.ip_address(host)) and "%" not in host  # what follows that may be any text
    except ValueError:
        return False
