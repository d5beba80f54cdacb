"""A call over WebRTC: the product's own peer, and a caller on aiortc in the place of a browser."""

from __future__ import annotations

import asyncio
from typing import Any

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from story.bench.transports.connection import CONNECT_SECONDS, NotConnected
from story.bench.transports.earpiece import Earpiece
from story.core.transport import Transport
from story.transports.sound import SAMPLE_RATE, Samples
from story.transports.web.ice import LOOPBACK, Ice
from story.transports.web.opus import CLOCK_TICKS, TIME_BASE, Encoder
from story.transports.web.page_caller import PageCaller
from story.transports.web.peer import CHANNEL, Peer
from story.transports.web.receiver import take_over
from story.transports.web.transport import WebTransport

EAR_SECONDS = 0.04
"""Of the caller's jitter buffer; browsers have 30 to 90 ms."""
ON_LOOPBACK = Ice(addresses=(LOOPBACK,))


class WebConnection:
    """The caller offers as a page does, and is answered as a page is; the offer goes to the peer without HTTP."""

    def __init__(self) -> None:
        self._page = PageCaller()
        self._microphone = _Microphone()
        self._connection: RTCPeerConnection | None = None
        self.agent: Transport = WebTransport(self._page)
        self.ear = Earpiece(EAR_SECONDS)

    async def connect(self) -> None:
        self._connection = connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connected, opened = asyncio.Event(), asyncio.Event()

        def on_state() -> None:
            if connection.connectionState == "connected":
                connected.set()

        def on_track(track: MediaStreamTrack) -> None:
            receiver = next(one for one in connection.getReceivers() if one.track is track)
            take_over(receiver, self.ear.push, SAMPLE_RATE)

        connection.on("connectionstatechange", on_state)
        connection.on("track", on_track)
        connection.addTrack(self._microphone)
        connection.createDataChannel(CHANNEL).on("open", opened.set)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connection.setLocalDescription(await connection.createOffer())
                peer = Peer(self._page, ON_LOOPBACK)
                self._page.use(peer)
                answer = await peer.answer(connection.localDescription.sdp)
                await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
                await connected.wait()
                await opened.wait()
        except TimeoutError:
            state = connection.connectionState
            raise NotConnected(f"no WebRTC connection within {CONNECT_SECONDS:g} s (it is {state})") from None

    def send(self, caller: Samples) -> None:
        self._microphone.send(caller)

    async def aclose(self) -> None:
        await self.agent.aclose()
        if self._connection is not None:  # before the other end, which waits for its page to have read all
            await self._connection.close()
        await self._page.aclose()


class _Microphone(MediaStreamTrack):
    """A track of the packets that are sent into it, each at once."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._encoder = Encoder(SAMPLE_RATE)
        self._packets: asyncio.Queue[bytes] = asyncio.Queue()
        self._number = 0

    def send(self, caller: Samples) -> None:
        self._packets.put_nowait(self._encoder.encode(caller))

    async def recv(self) -> av.Packet[Any]:
        payload = await self._packets.get()
        if self.readyState != "live":
            raise MediaStreamError
        packet = av.Packet(payload)
        packet.pts, packet.time_base = self._number * CLOCK_TICKS, TIME_BASE
        self._number += 1
        return packet
