"""The conversation of benchmarks/data/talk.toml with livekit-agents alone, as its own examples write it.

    python livekit_plain.py --port 9201 --vendors http://127.0.0.1:8770 [--turn-detection vad|default]

Two Agents, the first of which hands over to the second by returning it from a tool, in one AgentSession a call, over
aiortc as it comes: its own jitter buffer, its own codec. `--turn-detection vad` goes by silence alone and lets callers
break in from the first second; `default` leaves every option of the session as livekit has it.

POST /offer takes {sdp, type} and answers the same; GET /stat tells how many calls there are.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import time
from fractions import Fraction

import aioice.ice
import av
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from livekit import rtc
from livekit.agents import Agent, AgentSession, RunContext, function_tool, utils
from livekit.agents.voice import io
from livekit.agents.voice.transcription import TranscriptSynchronizer
from livekit.plugins import cartesia, deepgram, openai, silero

LOOPBACK = "127.0.0.1"
HEARD_RATE = 16_000
SPOKEN_RATE = 24_000
PACKET_SECONDS = 0.02
QUEUE_FRAMES = 250
STALL_SECONDS = 0.2
CONNECT_SECONDS = 15.0

aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [LOOPBACK]
log = logging.getLogger("livekit_plain")


class Talker(Agent):
    """Learns who calls."""

    def __init__(self, vendors: str) -> None:
        super().__init__(instructions="You talk with the caller. Learn their name and where they live.")
        self._vendors = vendors

    async def on_enter(self) -> None:
        self.session.generate_reply()

    @function_tool
    async def information_gathered(self, context: RunContext, name: str, location: str) -> Agent:
        """The caller has told their name and where they live.

        Args:
            name: The name of the caller
            location: Where the caller lives
        """
        return Teller(self._vendors, name, location)


class Teller(Agent):
    """Tells a story, with a realtime model."""

    def __init__(self, vendors: str, name: str, location: str) -> None:
        model = openai.realtime.RealtimeModel(voice="echo", base_url=f"{vendors}/v1", api_key="none")
        instructions = f"You tell the caller a story. The caller is {name}, from {location}."
        super().__init__(instructions=instructions, llm=model, tts=None)

    async def on_enter(self) -> None:
        self.session.generate_reply()

    @function_tool
    async def story_finished(self, context: RunContext) -> None:
        """The caller wants no more."""
        self.session.shutdown()


class Ear(io.AudioInput):
    """What aiortc's track of the caller gives, at the rate of recognisers."""

    def __init__(self) -> None:
        super().__init__(label="aiortc")
        self._resampler = av.AudioResampler(
            format="s16", layout="mono", rate=HEARD_RATE, frame_size=int(HEARD_RATE * PACKET_SECONDS)
        )
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue(QUEUE_FRAMES)
        self._attached = True
        self._listening: asyncio.Task[None] | None = None

    def listen(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.create_task(self._listen(track))

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()

    def on_attached(self) -> None:
        self._attached = True

    def on_detached(self) -> None:
        self._attached = False

    async def aclose(self) -> None:
        if self._listening:
            self._listening.cancel()

    async def _listen(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if not self._attached:
                continue
            for made in self._resampler.resample(frame):
                if self._frames.full():
                    self._frames.get_nowait()
                data = bytes(made.planes[0])[: made.samples * 2]
                self._frames.put_nowait(rtc.AudioFrame(data, HEARD_RATE, 1, made.samples))


class Mouth(io.AudioOutput):
    """Keeps what the agent says until the track asks for it."""

    def __init__(self) -> None:
        capabilities = io.AudioOutputCapabilities(pause=True)
        super().__init__(label="aiortc", sample_rate=SPOKEN_RATE, next_in_chain=None, capabilities=capabilities)
        self._waiting = bytearray()
        self._played = 0
        self._open = self._flushed = self._cut = self._begun = self._paused = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        if not self._open:
            await self._idle.wait()  # the segment before this one has to be over
        await super().capture_frame(frame)
        if not self._open:
            self._open = True
            self._flushed = self._cut = self._begun = False
            self._played = 0
            self._idle.clear()
        if not self._cut:
            self._waiting += frame.data.cast("b")

    def flush(self) -> None:
        super().flush()
        if self._open:
            self._open, self._flushed = False, True
            if not self._waiting:
                self._finish()

    def clear_buffer(self) -> None:
        if not self._idle.is_set():
            self._waiting.clear()
            self._cut = True
            if self._flushed:
                self._finish()

    def pause(self) -> None:
        super().pause()
        self._paused = True

    def resume(self) -> None:
        super().resume()
        self._paused = False

    def pull(self, count: int) -> bytes:
        """The next `count` bytes for the caller to hear."""
        whole = len(self._waiting) >= count or self._flushed
        if self._paused or not self._waiting or not whole:
            return bytes(count)
        if not self._begun:
            self._begun = True
            self.on_playback_started(created_at=time.time())
        data = bytes(self._waiting[:count])
        del self._waiting[:count]
        self._played += len(data)
        if self._flushed and not self._waiting:
            asyncio.get_running_loop().call_later(PACKET_SECONDS, self._finish)
        return data.ljust(count, b"\0")

    def _finish(self) -> None:
        if not self._idle.is_set() and self._flushed and not self._waiting:
            self._idle.set()
            self.on_playback_finished(playback_position=self._played / 2 / SPOKEN_RATE, interrupted=self._cut)


class Voice(MediaStreamTrack):
    """The agent's voice, 20 ms every 20 ms."""

    kind = "audio"

    def __init__(self, mouth: Mouth) -> None:
        super().__init__()
        self._mouth = mouth
        self._began: float | None = None
        self._number = 0

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now
        wait = self._began + self._number * PACKET_SECONDS - now
        if wait < -STALL_SECONDS:
            self._began -= wait
        if wait > 0:
            await asyncio.sleep(wait)
        count = int(SPOKEN_RATE * PACKET_SECONDS)
        frame = av.AudioFrame(format="s16", layout="mono", samples=count)
        frame.planes[0].update(self._mouth.pull(2 * count))
        frame.sample_rate = SPOKEN_RATE
        frame.pts, frame.time_base = self._number * count, Fraction(1, SPOKEN_RATE)
        self._number += 1
        return frame


class Captions(io.TextOutput):
    """Sends what is said to the page as it is said."""

    def __init__(self, call: Call) -> None:
        super().__init__(label="captions", next_in_chain=None)
        self._call = call

    async def capture_text(self, text: str) -> None:
        self._call.send(str(text))

    def flush(self) -> None:
        """Nothing is kept."""


class Call:
    """One caller."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._channel = None
        self._ear, self._mouth = Ear(), Mouth()
        self._voice = Voice(self._mouth)
        self._connected, self._over = asyncio.Event(), asyncio.Event()
        self._held: asyncio.Task[None] | None = None

    async def answer(self, offer: RTCSessionDescription) -> RTCSessionDescription:
        connection = self._connection
        connection.on("connectionstatechange", self._on_state)
        connection.on("track", self._ear.listen)
        connection.on("datachannel", self._on_channel)
        await connection.setRemoteDescription(offer)
        connection.addTrack(self._voice)
        await connection.setLocalDescription(await connection.createAnswer())
        self._held = asyncio.create_task(self._hold())
        return connection.localDescription

    def send(self, text: str) -> None:
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(text)

    async def _hold(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connected.wait()
            async with utils.http_context.open():
                await self._talk()
        except Exception:
            log.exception("a call failed")
        finally:
            self._server.calls.discard(self)
            await self._ear.aclose()
            self._voice.stop()
            await self._connection.close()

    async def _talk(self) -> None:
        session = self._server.session()
        said = TranscriptSynchronizer(next_in_chain_audio=self._mouth, next_in_chain_text=Captions(self))
        session.input.audio = self._ear
        session.output.audio, session.output.transcription = said.audio_output, said.text_output
        await session.start(Talker(self._server.vendors))
        await self._over.wait()
        await session.aclose()
        await said.aclose()

    def _on_state(self) -> None:
        if self._connection.connectionState == "connected":
            self._connected.set()
        elif self._connection.connectionState in ("failed", "closed"):
            self._over.set()

    def _on_channel(self, channel: object) -> None:
        self._channel = channel

    async def aclose(self) -> None:
        self._over.set()
        if self._held:
            await asyncio.wait([self._held], timeout=5)


class Server:
    """Takes calls. vendors: where the emulator is. by_silence: whether turns end by silence alone."""

    def __init__(self, vendors: str, *, by_silence: bool) -> None:
        self.vendors = vendors
        self.calls: set[Call] = set()
        self._by_silence = by_silence
        self._vad = silero.VAD.load()

    def session(self) -> AgentSession:
        options = {"aec_warmup_duration": None, "turn_handling": {"turn_detection": "vad"}} if self._by_silence else {}
        return AgentSession(
            vad=self._vad,
            stt=deepgram.STT(model="nova-3", base_url=f"{self.vendors}/v1/listen", api_key="none"),
            llm=openai.LLM(model="gpt-4o-mini", base_url=f"{self.vendors}/v1", api_key="none"),
            tts=cartesia.TTS(base_url=self.vendors, api_key="none"),
            **options,
        )

    async def offer(self, request: web.Request) -> web.Response:
        body = await request.json()
        call = Call(self)
        self.calls.add(call)
        answer = await call.answer(RTCSessionDescription(body["sdp"], body["type"]))
        return web.json_response({"sdp": answer.sdp, "type": answer.type})

    async def stat(self, request: web.Request) -> web.Response:
        return web.json_response({"calls": len(self.calls)})

    async def close_calls(self, app: web.Application) -> None:
        await asyncio.gather(*(call.aclose() for call in tuple(self.calls)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=9201)
    parser.add_argument("--vendors", default="http://127.0.0.1:8770")
    parser.add_argument("--turn-detection", choices=("vad", "default"), default="default")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    server = Server(options.vendors, by_silence=options.turn_detection == "vad")
    app = web.Application()
    app.add_routes([web.post("/offer", server.offer), web.get("/stat", server.stat)])
    app.on_shutdown.append(server.close_calls)
    web.run_app(app, host=LOOPBACK, port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
