"""A caller's browser without the browser: offers sound over WebRTC, speaks recordings, hears and reads what comes back.

Its microphone is paced by one clock and its ear takes each packet as it comes, so that times can be compared.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from fractions import Fraction

import aiohttp
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from story.transports.sound import Samples
from story.transports.web.opus import CLOCK_TICKS, Encoder
from story.transports.web.receiver import take_over

RATE = 24_000
FRAME = 480
LOUD = 0.01 * 32768


def loudness(samples: Samples) -> float:
    """Root mean square of s16 samples."""
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) if len(samples) else 0.0


class Microphone(MediaStreamTrack):
    """Sends 20 ms every 20 ms: what there is to say, else the noise of a quiet room."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._encoder = Encoder(RATE)
        self._noise = np.random.default_rng(1).normal(0, 8, RATE * 4).astype(np.int16)
        self._speech = np.zeros(0, np.int16)
        self._said = asyncio.Event()
        self._start: float | None = None
        self._number = 0
        self.onset: float | None = None
        self.end: float | None = None

    async def say(self, speech: Samples) -> tuple[float, float]:
        """Speak; returns when (monotonic seconds) its first and its last loud frame were sent."""
        self.onset = self.end = None
        self._said.clear()
        self._speech = speech
        await self._said.wait()
        assert self.onset is not None and self.end is not None, "nothing in that was loud"
        return self.onset, self.end

    async def recv(self) -> av.Packet:
        now = time.monotonic()
        if self._start is None:
            self._start = now
        await asyncio.sleep(max(0.0, self._start + self._number * 0.02 - now))
        if self.readyState != "live":
            raise MediaStreamError
        at = self._number * FRAME % (len(self._noise) - FRAME)
        sound = self._noise[at : at + FRAME].copy()
        speech, self._speech = self._speech[:FRAME], self._speech[FRAME:]
        if len(speech):
            sound[: len(speech)] += speech
            if loudness(speech) > LOUD:
                self.end = time.monotonic()
                self.onset = self.onset or self.end
            if not len(self._speech):
                self._said.set()
        packet = av.Packet(self._encoder.encode(sound))
        packet.pts, packet.time_base = self._number * CLOCK_TICKS, Fraction(1, 48_000)
        self._number += 1
        return packet


@dataclass
class Ear:
    """What was heard: (monotonic seconds, loudness) of every packet, and its sound if `keep`."""

    keep: bool = False
    heard: list[tuple[float, float]] = field(default_factory=list)
    sound: list[Samples] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, samples: Samples) -> None:
        self.heard.append((time.monotonic(), loudness(samples)))
        if self.keep:
            self.sound.append(samples)
        self.changed.set()

    def loud(self, since: float = 0.0) -> list[float]:
        """When there was sound."""
        return [at for at, level in self.heard if level > LOUD and at > since]

    async def onset(self, after: float, within: float = 15.0) -> float:
        """When sound begins after that time."""
        async with asyncio.timeout(within):
            while not (loud := self.loud(after)):
                self.changed.clear()
                await self.changed.wait()
        return loud[0]

    async def quiet(self, seconds: float, within: float = 40.0) -> float:
        """Wait until nothing has been heard for so long; returns when the last sound was."""
        async with asyncio.timeout(within):
            while True:
                loud = [at for at, level in reversed(self.heard[-2000:]) if level > LOUD][:1]
                last = loud[0] if loud else 0.0
                if loud and time.monotonic() - last > seconds:
                    return last
                await asyncio.sleep(0.01)


class Browser:
    """One caller on one page."""

    def __init__(self, url: str, *, keep_sound: bool = False) -> None:
        self.url = url.rstrip("/")
        self.events: list[dict[str, object]] = []
        self.microphone = Microphone()
        self.ear = Ear(keep=keep_sound)
        self.changed = asyncio.Event()
        self.ticket: dict[str, str] = {}
        self.connected_at = 0.0

    async def call(self, http: aiohttp.ClientSession, stacks: dict[str, str] | None = None) -> None:
        """Ring, and be connected."""
        body = await self._offered()
        async with http.post(f"{self.url}/api/calls", json={**body, "stacks": stacks or {}}) as response:
            answer = await response.json()
            assert response.status == 201, answer
        self.ticket = {"call": answer["call"], "secret": answer["secret"]}
        await self._connect(answer["answer"]["sdp"])

    async def call_again(self, http: aiohttp.ClientSession) -> None:
        """Take the call up again on a new connection."""
        body = {**await self._offered(), "secret": self.ticket["secret"]}
        async with http.post(f"{self.url}/api/calls/{self.ticket['call']}/offer", json=body) as response:
            answer = await response.json()
            assert response.status == 200, answer
        await self._connect(answer["answer"]["sdp"])

    async def _offered(self) -> dict[str, object]:
        self.connection = connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTrack(self.microphone)
        self.channel = connection.createDataChannel("story")
        self.channel.on("message", self._on_message)
        connection.on("track", lambda track: take_over(connection.getReceivers()[0], self.ear.hear, RATE))
        await connection.setLocalDescription(await connection.createOffer())
        return {"offer": {"type": "offer", "sdp": connection.localDescription.sdp}}

    async def _connect(self, sdp: str) -> None:
        connected = asyncio.Event()
        self.connection.on(
            "connectionstatechange",
            lambda: connected.set() if self.connection.connectionState == "connected" else None,
        )
        opened = asyncio.Event()
        self.channel.on("open", opened.set)
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        async with asyncio.timeout(10):
            await connected.wait()
            await opened.wait()
        self.connected_at = time.monotonic()

    def _on_message(self, text: str) -> None:
        self.events.append({**json.loads(text), "at": time.monotonic()})
        self.changed.set()

    def send(self, **message: object) -> None:
        self.channel.send(json.dumps(message))

    def found(self, type_: str, **fields: object) -> list[dict[str, object]]:
        """The events so far of this type and with these fields."""
        wanted = {"type": type_, **fields}
        return [event for event in self.events if all(event.get(name) == value for name, value in wanted.items())]

    async def until(self, type_: str, *, count: int = 1, within: float = 30.0, **fields: object) -> dict[str, object]:
        """The first such event, or the one of that number."""
        async with asyncio.timeout(within):
            while len(found := self.found(type_, **fields)) < count:
                self.changed.clear()
                await self.changed.wait()
        return found[count - 1]

    async def aclose(self) -> None:
        await self.connection.close()
