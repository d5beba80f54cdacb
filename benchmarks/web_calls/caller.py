"""A caller without a browser: speaks recordings into a call, and notes when there is sound in its ear.

Its microphone sends packets that were coded before, one every 20 ms by one clock. Its ear decodes each packet when it
comes; a browser's jitter buffer, which adds 30 to 90 ms, is left out for every server alike. All times are monotonic
seconds.
"""

from __future__ import annotations

import asyncio
import bisect
import json
import time
from dataclasses import dataclass
from fractions import Fraction

import aiohttp
import aioice.ice
import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket

from benchmarks.web_calls.line import Line
from benchmarks.web_calls.sound import LOUD, Utterance, loudness, silence
from story.transports.web.opus import CLOCK_RATE, CLOCK_TICKS, PACKET_SECONDS
from story.transports.web.receiver import JITTER_BUFFER

LOOPBACK = "127.0.0.1"
RTP_TIMESTAMPS = 1 << 32
NEW_SOUND_SECONDS = 0.2
"""Sound after so much silence is an onset."""
STOPPED_SECONDS = 0.35
"""Silence after which the agent has stopped."""
CONNECT_SECONDS = 20.0
ANSWER_SECONDS = 12.0
QUIET_SECONDS = 40.0
LONG_QUIET = 0.7
"""Silence after which the agent has said what it had to say."""


def on_loopback() -> None:
    """Have this process offer the loopback address alone."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [LOOPBACK]


@dataclass(frozen=True)
class Said:
    """When an utterance was said: its first and last sound, and the last before its pause."""

    onset: float
    end: float
    pause: float | None = None


@dataclass(frozen=True)
class Turn:
    """One turn of the caller and the first sound of the answer to it, even if that came too early; None: none did."""

    said: Said
    answer: float | None
    utterance: str = ""

    @property
    def latency(self) -> float | None:
        return None if self.answer is None else self.answer - self.said.end


class Microphone(MediaStreamTrack):
    """Sends 20 ms every 20 ms."""

    kind = "audio"
    _silence: tuple[bytes, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        if not Microphone._silence:
            Microphone._silence = silence()
        self._number = 0
        self._began: float | None = None
        self._speech: Utterance | None = None
        self._at = 0
        self._times: dict[int, float] = {}
        self._done = asyncio.Event()
        self.latest = 0.0
        """The most by which a packet was late, seconds."""

    async def say(self, utterance: Utterance) -> Said:
        """Returns when its last packet has been sent."""
        self._times = {}
        self._done.clear()
        self._speech, self._at = utterance, 0
        await self._done.wait()
        pause = None if utterance.pause is None else self._times[utterance.pause]
        return Said(self._times[utterance.onset], self._times[utterance.end], pause)

    async def recv(self) -> av.Packet:
        now = time.monotonic()
        if self._began is None:
            self._began = now
        wait = self._began + self._number * PACKET_SECONDS - now
        self.latest = max(self.latest, -wait)
        await asyncio.sleep(max(0.0, wait))
        if self.readyState != "live":
            raise MediaStreamError
        packet = av.Packet(self._next())
        packet.pts, packet.time_base = self._number * CLOCK_TICKS, Fraction(1, CLOCK_RATE)
        self._number += 1
        return packet

    def _next(self) -> bytes:
        if (speech := self._speech) is None:
            return self._silence[self._number % len(self._silence)]
        at, self._at = self._at, self._at + 1
        if at in (speech.onset, speech.end, speech.pause):
            self._times[at] = time.monotonic()
        if self._at == len(speech.packets):
            self._speech = None
            self._done.set()
        return speech.packets[at]


class Ear:
    """When there was sound. loud: times of the packets with sound, 20 ms each. onsets: of those after a silence.

    gaps: seconds between the packets of 20 ms and the next 20 ms. lead: seconds of sound (silence that was not sent
    included) less the seconds in which they came.
    """

    def __init__(self) -> None:
        self.loud: list[float] = []
        self.onsets: list[float] = []
        self.gaps: list[float] = []
        self._codec = av.CodecContext.create("libopus", "r")
        self._codec.sample_rate = CLOCK_RATE
        self._codec.layout = "mono"
        self._codec.format = "s16"
        self._first: tuple[float, int] | None = None
        self._last = (0.0, -1)
        self._heard = asyncio.Event()

    def listen(self, receiver: RTCRtpReceiver) -> None:
        """Take the packets from aiortc as they come, before its own jitter buffer gets them."""
        setattr(receiver, JITTER_BUFFER, self)

    @property
    def lead(self) -> float:
        if self._first is None:
            return 0.0
        (began, first), (now, last) = self._first, self._last
        return (last - first) % RTP_TIMESTAMPS / CLOCK_RATE - (now - began)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """As a jitter buffer of aiortc's: it gets nothing to play."""
        now = time.monotonic()
        self._first = self._first or (now, packet.timestamp)
        before, self._last = self._last, (now, packet.timestamp)
        if packet.timestamp - before[1] == CLOCK_TICKS:
            self.gaps.append(now - before[0])
        if packet.payload and self._is_loud(packet.payload):
            if not self.loud or now - self.loud[-1] > NEW_SOUND_SECONDS:
                self.onsets.append(now)
            self.loud.append(now)
        self._heard.set()
        return False, None

    def _is_loud(self, payload: bytes) -> bool:
        frames = self._codec.decode(av.Packet(payload))
        return any(loudness(frame.to_ndarray().reshape(-1)) > LOUD for frame in frames)

    def between(self, start: float, end: float) -> list[float]:
        """The packets with sound after `start`, up to `end`."""
        return self.loud[bisect.bisect_right(self.loud, start) : bisect.bisect_right(self.loud, end)]

    async def onset(self, after: float, within: float = ANSWER_SECONDS) -> float | None:
        """When sound begins after that time; None if none does."""
        return await self._next(self.onsets, after, within)

    async def sound(self, after: float, within: float = ANSWER_SECONDS) -> float | None:
        """When there is sound after that time, begun or going on."""
        return await self._next(self.loud, after, within)

    async def quiet(self, seconds: float, since: float = 0.0, within: float = QUIET_SECONDS) -> float | None:
        """Wait for so long a silence after `since`. Returns when the last sound ended; None: it goes on and on."""
        until = time.monotonic() + within
        while (now := time.monotonic()) < until:
            last = self.loud[-1] + PACKET_SECONDS if self.loud else 0.0
            if now - max(last, since) > seconds:
                return last
            await self._packet()
        return None

    async def _next(self, times: list[float], after: float, within: float) -> float | None:
        until = time.monotonic() + within
        while (place := bisect.bisect_right(times, after)) == len(times):
            if time.monotonic() > until:
                return None
            await self._packet()
        return times[place]

    async def _packet(self) -> None:
        """Wait for the next packet, or as long as three take."""
        self._heard.clear()
        try:
            async with asyncio.timeout(3 * PACKET_SECONDS):
                await self._heard.wait()
        except TimeoutError:
            pass


class Caller:
    """One call to a server at `url`. page: it is called as a page calls `story run`; else by a plain POST /offer."""

    def __init__(self, url: str, http: aiohttp.ClientSession, *, page: bool, line: Line | None = None) -> None:
        self.microphone = Microphone()
        self.ear = Ear()
        self.events: list[dict[str, object]] = []
        self.rang = self.connected = 0.0
        self._url = url
        self._http = http
        self._page = page
        self._line = line
        self._connection = connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTrack(self.microphone)
        connection.on("track", lambda track: self.ear.listen(connection.getReceivers()[0]))
        self._channel = connection.createDataChannel("story" if page else "chat")
        self._channel.on("message", self._on_message)
        self._pinging: asyncio.Task[None] | None = None
        self._ticket: tuple[str, str] | None = None

    async def prepare(self) -> None:
        """Have the offer ready."""
        await self._connection.setLocalDescription(await self._connection.createOffer())

    async def ring(self) -> bool:
        """Offer a call; False where the server is not ready for it."""
        sdp = self._connection.localDescription.sdp
        self.rang = time.monotonic()
        offer = {"type": "offer", "sdp": sdp}
        path, body = ("/api/calls", {"offer": offer}) if self._page else ("/offer", offer)
        async with self._http.post(self._url + path, json=body) as response:
            if response.status == 503:
                return False
            answer = await response.json()
            if response.status >= 300:
                raise RuntimeError(f"the call was refused: {answer}")
        if self._page:
            self._ticket = (answer["call"], answer["secret"])
            answer = answer["answer"]
        await self._connect(answer["sdp"])
        return True

    async def call(self) -> None:
        """Ring, be connected, and listen to the greeting."""
        await self.prepare()
        if not await self.ring():
            raise RuntimeError("the server takes no call")
        if await self.ear.onset(self.connected - 0.5) is None:
            raise RuntimeError("nobody greets the caller")

    async def turn(self, utterance: Utterance) -> Turn:
        """Wait until the agent has said what it had to say, speak, and wait for the answer."""
        await self.ear.quiet(LONG_QUIET)
        said = await self.microphone.say(utterance)
        return Turn(said, await self.ear.onset(said.onset), utterance.name)

    async def hang_up(self) -> None:
        if self._pinging:
            self._pinging.cancel()
        if self._ticket:
            call, secret = self._ticket
            async with self._http.post(f"{self._url}/api/calls/{call}/hang-up", data=secret):
                pass
        await self._connection.close()

    async def __aenter__(self) -> Caller:
        try:
            await self.call()
        except BaseException:
            await self._connection.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.hang_up()

    async def _connect(self, sdp: str) -> None:
        connected = asyncio.Event()

        def on_state() -> None:
            if self._connection.connectionState == "connected":
                connected.set()

        self._connection.on("connectionstatechange", on_state)
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await connected.wait()
        except TimeoutError:
            state = self._connection.connectionState
            raise RuntimeError(f"the call is not connected after {CONNECT_SECONDS:g} s, but {state}") from None
        self.connected = time.monotonic()
        if self._line is not None:
            self._line.take(self._connection)
        if not self._page:
            self._pinging = asyncio.create_task(self._ping())

    async def _ping(self) -> None:
        """What Pipecat's own client sends every second; without it the call is over."""
        while True:
            if self._channel.readyState == "open":
                self._channel.send(f"ping: {time.time() * 1000:.0f}")
            await asyncio.sleep(1)

    def _on_message(self, text: str | bytes) -> None:
        if self._page and isinstance(text, str):
            self.events.append({**json.loads(text), "at": time.monotonic()})
