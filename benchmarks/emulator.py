"""The emulator: how long it adds, how exact its latencies are, and how it bears fifty calls on one core.

    python benchmarks/emulator.py [--rounds 60] [--calls 50] [--seconds 30] [--json]

Everything is read on the socket: from the last byte that goes in (or the last sound) to the first byte that comes out.
`instant`: the time of a first result. `baseline`: the same under that profile, less what the profile says.
`load`: raw clients on one core, the emulator on the other; each holds a recogniser's stream open in real time, and
every 5 s asks a language model and a voice; the drift is that of the 95th percentile against a single call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import aiohttp
import numpy as np

ROOT = Path(__file__).parents[1]
CALLERS = ROOT / "tests" / "callers"
sys.path.insert(0, str(ROOT))

from story.emulator.audio import chunks, decode, resample  # noqa: E402

BEARER = {"Authorization": "Bearer k"}
CHAT = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "My name is Maria."}]}
EXPECTED = {"llm": 0.35, "tts": 0.09, "stt": 0.25, "realtime": 0.3}
TURN_SECONDS = 5.0
FRAME_SECONDS = 0.05


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


class Stream:
    """A caller's sound into a recogniser, in real time."""

    def __init__(self, session: aiohttp.ClientSession, url: str, turn: bytes) -> None:
        self._session = session
        self._url = f"{url}/v1/listen?model=nova-3&encoding=linear16&sample_rate=16000&interim_results=true"
        self._turn = turn
        self.latencies: list[float] = []

    async def run(self, seconds: float) -> None:
        """Say the turn every five seconds; note how long after its last sound its last words come."""
        silence = bytes(2 * round(16_000 * TURN_SECONDS) - len(self._turn))
        frames = list(chunks(self._turn + silence, 2 * round(16_000 * FRAME_SECONDS)))
        said = len(self._turn) // len(frames[0])
        ended: list[float] = []
        async with self._session.ws_connect(self._url, headers={"Authorization": "Token k"}) as ws:
            reading = asyncio.create_task(self._read(ws, ended))
            began = time.perf_counter()
            for number in range(int(seconds / FRAME_SECONDS)):
                await asyncio.sleep(max(0.0, began + number * FRAME_SECONDS - time.perf_counter()))
                await ws.send_bytes(frames[number % len(frames)])
                if number % len(frames) == said - 1:
                    ended.append(time.perf_counter())
            await asyncio.sleep(0.5)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, ws: aiohttp.ClientWebSocketResponse, ended: list[float]) -> None:
        last = 0
        async for message in ws:
            told = json.loads(message.data)
            text = (
                told.get("channel", {}).get("alternatives", [{}])[0].get("transcript", "") if "is_final" in told else ""
            )
            if told.get("is_final") and text and len(ended) > last:
                last = len(ended)
                self.latencies.append(time.perf_counter() - ended[-1])


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


def turn_of(name: str) -> bytes:
    """A recorded turn at 16 kHz, cut to the frame in which its last sound is."""
    pcm, rate = decode((CALLERS / name).read_bytes())
    samples = np.frombuffer(resample(pcm, rate, 16_000), "<i2")
    frame = round(16_000 * FRAME_SECONDS)
    loud = [i for i in range(0, len(samples), 160) if np.sqrt((samples[i : i + 160].astype(float) ** 2).mean()) > 330]
    return samples[: -(-(loud[-1] + 160) // frame) * frame].tobytes()


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
        streams = [Stream(session, url, turn_of("barge/turn3.wav")) for _ in range(4)]
        await asyncio.gather(*(stream.run(3 * TURN_SECONDS) for stream in streams))
        found["stt"] = [latency for stream in streams for latency in stream.latencies]
        return found


async def load(url: str, calls: int, seconds: float) -> dict[str, list[float]]:
    """So many calls at once."""
    found: dict[str, list[float]] = {"llm": [], "tts": []}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        turn = turn_of("barge/turn3.wav")
        streams = [Stream(session, url, turn) for _ in range(calls)]

        async def call(number: int) -> None:
            await asyncio.sleep(TURN_SECONDS * number / calls)
            talking = asyncio.create_task(streams[number].run(seconds))
            for _ in range(int(seconds / TURN_SECONDS)):
                await asyncio.sleep(TURN_SECONDS - 0.6)
                found["llm"].append(await ask_llm(session, url))
                found["tts"].append(await ask_tts(session, url))
            await talking

        await asyncio.gather(*(call(number) for number in range(calls)))
    return {**found, "stt": [latency for stream in streams for latency in stream.latencies]}


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
    options = parser.parse_args()
    print(
        f"{platform.machine()} cpus={os.cpu_count()} load={os.getloadavg()[0]:.2f} python={platform.python_version()}",
        end=" ",
    )
    print(f"aiohttp={version('aiohttp')}")
    starts = []
    for _ in range(3):
        process, _, took = start("instant")
        starts.append(took)
        stop(process)
    print(f"start-up            median {statistics.median(starts):.2f} s")
    cores = sorted(os.sched_getaffinity(0))
    for profile in ("instant", "baseline"):
        process, url, _ = start(profile)
        found = asyncio.run(first_results(url, options.rounds))
        stop(process)
        for kind, values in found.items():
            told = values if profile == "instant" else [value - EXPECTED[kind] for value in values]
            print(f"{profile:8} {kind:9}  {spread(told)}")
    process, url, _ = start("baseline", core=cores[0])
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[1:]))
    alone = asyncio.run(load(url, 1, options.seconds))
    several = asyncio.run(load(url, options.calls, options.seconds))
    stop(process)
    for kind, values in several.items():
        drift = p95(values) / p95(alone[kind]) - 1
        print(f"load     {kind:9}  {spread(values)}  p95 {drift:+.1%} against one call")
    return 0


if __name__ == "__main__":
    sys.exit(main())
