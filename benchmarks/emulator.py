"""The emulator: how long it adds, how exact its latencies are, and how it bears fifty calls on one core.

    python benchmarks/emulator.py [--rounds 60] [--calls 50] [--seconds 30] [--only ears first load]

All but the ears is read on the socket: from the last byte that goes in (or the last sound) to the first byte out.

`ears`: CPU time of hearing 10 ms of sound and knowing recorded clips in it, in chunks as livekit's plugins send them.
`first`: the time of a first result at `instant`, and at `baseline`, less what that profile says.
`load`: raw clients on one core, the emulator on the other. Half of the calls hold a recogniser's stream open in real
time, and every 5 s ask a language model and a voice; the other half stream their microphone to a realtime model and
take a turn every 5 s, which the server's own turn detection ends. The drift is that of the 95th percentile against a
single call.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import numpy as np

ROOT = Path(__file__).parents[1]
CALLERS = ROOT / "tests" / "callers"
sys.path.insert(0, str(ROOT))

from story.emulator.audio import chunks, decode, resample  # noqa: E402
from story.emulator.ears import ClipEars, Lines, load_clips  # noqa: E402
from story.emulator.hearing import Ended, Going, Listener  # noqa: E402

BEARER = {"Authorization": "Bearer k"}
CHAT = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "My name is Maria."}]}
EXPECTED = {"llm": 0.35, "tts": 0.09, "stt": 0.25, "realtime": 0.3}
TURN_SECONDS = 5.0
FRAME_SECONDS = 0.05
CHUNK_SECONDS = {8_000: 0.05, 16_000: 0.05, 24_000: 0.1, 48_000: 0.05}
"""Of sound in one message of livekit's plugins, by sample rate: 24 kHz are the realtime model's."""
TURN = "barge/turn3.wav"
TURN_END_MS = 200
"""Of silence by which the realtime model's server knows that a turn has ended: sooner than the profile's answer."""


def start(profile: str, core: int | None = None) -> tuple[subprocess.Popen[str], str, float]:
    """An emulator, its address, and how long it took to answer (seconds)."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "story", "emulate", "--port", "0", "--brain", "script", "--speech", "tones"]
    command += ["--heard", str(CALLERS / "callers.json"), "--profile", profile]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    took = time.perf_counter() - began
    if core is not None:
        os.sched_setaffinity(process.pid, {core})
    return process, url, took


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)


async def ask_llm(session: aiohttp.ClientSession, url: str) -> float:
    """Seconds from the request to the first words."""
    began = time.perf_counter()
    async with session.post(f"{url}/v1/chat/completions", json=CHAT, headers=BEARER) as response:
        await response.content.readline()
        took = time.perf_counter() - began
        await response.read()
        return took


async def ask_tts(session: aiohttp.ClientSession, url: str) -> float:
    """Seconds from the request to the first sound."""
    body = {"model": "tts-1", "voice": "echo", "input": "Once upon a time.", "response_format": "pcm"}
    began = time.perf_counter()
    async with session.post(f"{url}/v1/audio/speech", json=body, headers=BEARER) as response:
        await response.content.readany()
        took = time.perf_counter() - began
        await response.read()
        return took


class Microphone:
    """A caller who says a turn every five seconds, in real time. latencies: from its last sound to its result."""

    rate: int
    headers: Mapping[str, str]

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        turn = turn_of(TURN, self.rate)
        silence = bytes(2 * round(self.rate * TURN_SECONDS) - len(turn))
        self._frames = list(chunks(turn + silence, 2 * round(self.rate * FRAME_SECONDS)))
        self._said = len(turn) // len(self._frames[0])
        self._session = session
        self._url = url
        self._ended: float | None = None
        self.latencies: list[float] = []

    async def run(self, seconds: float) -> None:
        async with self._session.ws_connect(self._url, headers=self.headers) as ws:
            await self.begin(ws)
            messages = [self.message(frame) for frame in self._frames]
            reading = asyncio.create_task(self._read(ws))
            began = time.perf_counter()
            for number in range(int(seconds / FRAME_SECONDS)):
                await asyncio.sleep(max(0.0, began + number * FRAME_SECONDS - time.perf_counter()))
                message = messages[number % len(messages)]
                await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))
                if number % len(messages) == self._said - 1:
                    self._ended = time.perf_counter()
            await asyncio.sleep(0.5)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            if self._ended is not None and self.is_result(json.loads(message.data)):
                self.latencies.append(time.perf_counter() - self._ended)
                self._ended = None

    async def begin(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        """Make the connection ready for sound."""

    def message(self, pcm: bytes) -> bytes | str:
        """The message with this sound."""
        raise NotImplementedError

    def is_result(self, told: dict[str, Any]) -> bool:
        """Whether a message is the turn's result."""
        raise NotImplementedError


class Stream(Microphone):
    """To a recogniser; the result is the turn's last words."""

    rate = 16_000
    headers: ClassVar = {"Authorization": "Token k"}

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        query = f"model=nova-3&encoding=linear16&sample_rate={self.rate}&interim_results=true"
        super().__init__(session, f"{url}/v1/listen?{query}")

    def message(self, pcm: bytes) -> bytes:
        return pcm

    def is_result(self, told: dict[str, Any]) -> bool:
        return bool(told.get("is_final") and told["channel"]["alternatives"][0]["transcript"])


class Talk(Microphone):
    """To a realtime model; the result is the first sound of its answer."""

    rate = 24_000
    headers = BEARER

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        super().__init__(session, f"{url}/v1/realtime?model=gpt-realtime")

    async def begin(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        heard = {"turn_detection": {"type": "server_vad", "silence_duration_ms": TURN_END_MS}}
        await ws.send_json({"type": "session.update", "session": {"type": "realtime", "audio": {"input": heard}}})

    def message(self, pcm: bytes) -> str:
        return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})

    def is_result(self, told: dict[str, Any]) -> bool:
        return bool(told["type"] == "response.output_audio.delta")


async def ask_realtime(session: aiohttp.ClientSession, url: str, rounds: int) -> list[float]:
    """Seconds from response.create to the first sound."""
    found = []
    async with session.ws_connect(f"{url}/v1/realtime?model=gpt-realtime", headers=BEARER) as ws:
        for _ in range(rounds):
            began = time.perf_counter()
            await ws.send_json({"type": "response.create"})
            async for message in ws:
                kind = json.loads(message.data)["type"]
                if kind == "response.output_audio.delta" and began:
                    found.append(time.perf_counter() - began)
                    began = 0.0
                if kind == "response.done":
                    break
    return found


@cache
def turn_of(name: str, rate: int) -> bytes:
    """A recorded turn, cut to the frame in which its last sound is."""
    pcm, recorded = decode((CALLERS / name).read_bytes())
    samples = np.frombuffer(resample(pcm, recorded, rate), "<i2")
    frame, short = round(rate * FRAME_SECONDS), rate // 100
    levels = [np.sqrt((samples[i : i + short].astype(float) ** 2).mean()) for i in range(0, len(samples), short)]
    last = max(index for index, level in enumerate(levels) if level > 330)
    return samples[: -(-(last + 1) * short // frame) * frame].tobytes()


async def first_results(url: str, rounds: int) -> dict[str, list[float]]:
    """The latencies of each kind of model, one request after the other."""
    async with aiohttp.ClientSession() as session:
        for _ in range(5):  # first use of everything
            await ask_llm(session, url)
            await ask_tts(session, url)
        found = {
            "llm": [await ask_llm(session, url) for _ in range(rounds)],
            "tts": [await ask_tts(session, url) for _ in range(rounds)],
            "realtime": (await ask_realtime(session, url, rounds + 5))[5:],
        }
        streams = [Stream(session, url) for _ in range(4)]
        await asyncio.gather(*(stream.run(3 * TURN_SECONDS) for stream in streams))
        found["stt"] = [latency for stream in streams for latency in stream.latencies]
        return found


async def load(url: str, *, pipelines: int, realtimes: int, seconds: float) -> dict[str, list[float]]:
    """So many calls at once."""
    found: dict[str, list[float]] = {"llm": [], "tts": [], "stt": [], "realtime": []}
    calls = pipelines + realtimes
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask() -> None:
            for _ in range(int(seconds / TURN_SECONDS)):
                await asyncio.sleep(TURN_SECONDS - 0.6)
                found["llm"].append(await ask_llm(session, url))
                found["tts"].append(await ask_tts(session, url))

        async def call(number: int) -> None:
            await asyncio.sleep(TURN_SECONDS * number / calls)
            if number * realtimes // calls < (number + 1) * realtimes // calls:  # spread over the others
                talk = Talk(session, url)
                await talk.run(seconds)
                found["realtime"] += talk.latencies
            else:
                stream = Stream(session, url)
                await asyncio.gather(stream.run(seconds), ask())
                found["stt"] += stream.latencies

        await asyncio.gather(*(call(number) for number in range(calls)))
    return {kind: values for kind, values in found.items() if values}


async def ears(rounds: int) -> None:
    """Print the microseconds of CPU that 10 ms of sound take: results every 250 ms and finals included."""
    clips = load_clips(CALLERS / "callers.json")
    known = ClipEars(clips, unknown=Lines(["Unknown."]))
    for rate, seconds in CHUNK_SECONDS.items():
        speech = [resample(clip.pcm, clip.rate, rate) + bytes(2 * round(0.3 * rate)) for clip in clips]
        told = []
        for name, streams in (("speech", speech), ("silence", [bytes(2 * 30 * rate)])):
            pieces = [list(chunks(stream, 2 * round(rate * seconds))) for stream in streams]
            await hear(known, rate, pieces)  # makes the clips ready
            began = time.process_time()
            for _ in range(rounds):
                await hear(known, rate, pieces)
            took = (time.process_time() - began) / rounds
            told.append(f"{name} {took / (sum(map(len, streams)) / 2 / rate * 100) * 1e6:4.1f} us")
        print(f"ears     {rate // 1000:2} kHz, chunks of {seconds * 1000:3.0f} ms  {'  '.join(told)}  a frame of 10 ms")


async def hear(known: ClipEars, rate: int, streams: list[list[bytes]]) -> None:
    for stream in streams:
        listener = Listener(known, rate, silence=0.2)
        for chunk in stream:
            for event in listener.feed(chunk):
                if isinstance(event, Ended):
                    await event.utterance.final(event.end)
                elif isinstance(event, Going):
                    await event.utterance.so_far(event.at)


def spread(values: list[float]) -> str:
    middle, high = statistics.median(values) * 1000, p95(values) * 1000
    return f"p50 {middle:6.1f} ms  p95 {high:6.1f} ms  n {len(values)}"


def p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--calls", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--only", nargs="+", choices=("ears", "first", "load"), default=("ears", "first", "load"))
    options = parser.parse_args()
    print(
        f"{platform.machine()} cpus={os.cpu_count()} load={os.getloadavg()[0]:.2f} python={platform.python_version()}",
        end=" ",
    )
    print(f"aiohttp={version('aiohttp')} numpy={version('numpy')}")
    if "ears" in options.only:
        asyncio.run(ears(options.rounds // 6))
    if "first" in options.only:
        first(options.rounds)
    if "load" in options.only:
        loaded(options.calls, options.seconds)
    return 0


def first(rounds: int) -> None:
    starts = []
    for _ in range(3):
        process, _, took = start("instant")
        starts.append(took)
        stop(process)
    print(f"start-up            median {statistics.median(starts):.2f} s")
    for profile in ("instant", "baseline"):
        process, url, _ = start(profile)
        found = asyncio.run(first_results(url, rounds))
        stop(process)
        for kind, values in found.items():
            told = values if profile == "instant" else [value - EXPECTED[kind] for value in values]
            print(f"{profile:8} {kind:9}  {spread(told)}")


def loaded(calls: int, seconds: float) -> None:
    cores = sorted(os.sched_getaffinity(0))
    process, url, _ = start("baseline", core=cores[0])
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[1:]))
    realtimes = calls // 2
    alone = asyncio.run(load(url, pipelines=1, realtimes=0, seconds=seconds))
    alone |= asyncio.run(load(url, pipelines=0, realtimes=1, seconds=seconds))
    busy = cpu_seconds(process.pid)
    several = asyncio.run(load(url, pipelines=calls - realtimes, realtimes=realtimes, seconds=seconds))
    busy = cpu_seconds(process.pid) - busy
    stop(process)
    for kind, values in several.items():
        drift = p95(values) / p95(alone[kind]) - 1
        told = f"{spread(values)}  profile {EXPECTED[kind] * 1000:.0f} ms"
        print(f"load     {kind:9}  {told}  p95 {drift:+.1%} against one call")
    print(
        f"load     {calls} calls, {realtimes} of them realtime, take {busy / (seconds + TURN_SECONDS):.0%} of the core"
    )


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
