"""The servers that are measured, and the emulator that plays their vendors: each a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from benchmarks.web_calls.caller import LOOPBACK, Caller
from benchmarks.web_calls.journal import Journal
from benchmarks.web_calls.line import Line

ROOT = Path(__file__).parents[2]
DATA = ROOT / "benchmarks" / "data"
PEERS = ROOT / "benchmarks" / "peers"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.03
READY_POLL_SECONDS = 0.15
STACK = "deepgram/nova-3+openai/gpt-4o-mini+cartesia/sonic-3"
REALTIME = "openai/gpt-realtime"
VENDORS = ("openai", "deepgram", "cartesia")
PATHS = {"openai": "/v1", "deepgram": "", "cartesia": ""}
"""Where below the emulator's address each vendor is for its plugin."""


@dataclass(frozen=True)
class Kind:
    """A server that can be measured. page: it is called as a page calls. alive: what it answers once it listens.

    command: given its port, the emulator's address and a folder of its own. standing: has it stand ready, where it is
    not called over HTTP; given the kind, the place and the emulator's address.
    """

    name: str
    command: Callable[[int, str, Path], list[str]]
    page: bool = False
    alive: str = "/stat"
    environment: Mapping[str, str] = field(default_factory=dict)
    standing: Callable[[Kind, Place, str], AbstractAsyncContextManager[Stand]] | None = None


@dataclass(frozen=True)
class Place:
    """Where things run. server_core, client_core: None where they are not to be pinned. folder: for files and logs."""

    folder: Path
    server_core: int | None
    client_core: int | None
    pipecat: str | None = None


def story(name: str = "story", stack: str = STACK) -> Kind:
    """`story run` with this pipeline and the realtime model after it."""

    def command(port: int, emulator: str, folder: Path) -> list[str]:
        tables = [f'[providers.{name}]\nbase_url = "{emulator}{PATHS[name]}"\n' for name in VENDORS]
        (folder / "story.toml").write_text("\n".join(tables))
        words = [sys.executable, "-m", "story", "run", "--json", "--port", str(port), "--max-calls", "64"]
        words += ["--max-duration", "7200", "--ice-address", LOOPBACK, "--chain", str(DATA / "talk.toml")]
        return [*words, "--stack", f"talker={stack}", "--stack", f"teller={REALTIME}"]

    keys = {f"{name.upper()}_API_KEY": "none" for name in VENDORS}
    return Kind(name, command, page=True, alive="/healthz", environment=keys)


def livekit(name: str, *words: str) -> Kind:
    """livekit-agents without story."""

    def command(port: int, emulator: str, folder: Path) -> list[str]:
        script = str(PEERS / "livekit_plain.py")
        return [sys.executable, script, "--port", str(port), "--vendors", emulator, *words]

    return Kind(name, command)


def pipecat(python: str) -> Kind:
    """Pipecat, in an environment of its own."""

    def command(port: int, emulator: str, folder: Path) -> list[str]:
        return [python, str(PEERS / "pipecat_bot.py"), "--port", str(port), "--vendors", emulator]

    return Kind("pipecat", command)


class Process:
    """A process that ends with the block it was started in."""

    def __init__(
        self, words: Sequence[str], log: Path, *, core: int | None, cwd: Path, extra: Mapping[str, str]
    ) -> None:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("STORY_")}
        inherited.pop("PYTHONDONTWRITEBYTECODE", None)  # without .pyc files every start would compile everything
        self.environment = {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **extra}
        self.words, self.log, self.core, self.cwd = list(words), log, core, cwd
        self.began = 0.0
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as out:
            self.began = time.monotonic()
            self._process = await asyncio.create_subprocess_exec(
                *self.words, stdout=out, stderr=out, env=self.environment, cwd=self.cwd, start_new_session=True
            )
        if self.core is not None:
            os.sched_setaffinity(self._process.pid, {self.core})

    def check(self) -> None:
        """Raises RuntimeError where it has ended."""
        if self._process is not None and self._process.returncode is not None:
            raise RuntimeError(f"it ended with {self._process.returncode}:\n{self.tail()}")

    def tail(self, lines: int = 12) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    async def stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self.terminate()
        await self.ended()

    def terminate(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    async def ended(self, seconds: float = STOP_SECONDS) -> None:
        """Wait for its end; after so many seconds it is killed."""
        assert self._process is not None
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            for process in self._family():
                process.kill()
            await self._process.wait()

    def usage(self) -> tuple[float, float]:
        """Seconds of CPU used so far, and MB of memory (RSS), of it and its children."""
        seconds = memory = 0.0
        for process in self._family():
            try:
                times = process.cpu_times()
                seconds += times.user + times.system
                memory += process.memory_info().rss / 1e6
            except psutil.NoSuchProcess:
                continue
        return seconds, memory

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


@dataclass
class Stand:
    """A server with its vendors, ready to be called."""

    kind: Kind
    url: str
    server: Process
    journal: Journal
    http: aiohttp.ClientSession
    emulator_url: str

    def caller(self, line: Line | None = None) -> Caller:
        """Somebody who is about to call."""
        return Caller(self.url, self.http, page=self.kind.page, line=line)

    async def alive(self) -> float:
        """Seconds that the server takes to answer whether it is alive: what its event loop has to do comes first."""
        began = time.monotonic()
        async with self.http.get(self.url + self.kind.alive) as response:
            await response.read()
        return time.monotonic() - began


@asynccontextmanager
async def vendors(place: Place, heard: Path, profile: str = "baseline") -> AsyncIterator[str]:
    """The emulator's address."""
    port = free_port()
    words = [sys.executable, "-m", "story", "emulate", "--port", str(port), "--speech", "tones", "--heard", str(heard)]
    words += ["--brain", "script", "--profile", profile, str(DATA / "talk-script.toml")]
    process = Process(words, place.folder / "emulator.log", core=place.client_core, cwd=place.folder, extra={})
    try:
        await process.start()
        url = f"http://{LOOPBACK}:{port}"
        async with aiohttp.ClientSession() as http:
            await until_answers(http, f"{url}/emulator/state", process)
        yield url
    finally:
        await process.stop()


@asynccontextmanager
async def stand(
    kind: Kind, place: Place, heard: Path, *, profile: str = "baseline", emulator_url: str | None = None
) -> AsyncIterator[Stand]:
    """A server and its vendors, both started anew, or those that are there already."""
    if emulator_url is None:
        async with vendors(place, heard, profile) as url, stand(kind, place, heard, emulator_url=url) as found:
            yield found
        return
    if kind.standing is not None:
        async with kind.standing(kind, place, emulator_url) as found:
            yield found
        return
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        server, url = await spawn(kind, place, emulator_url)
        try:
            await until_ready(http, kind, url, server)
            journal = Journal(emulator_url, http)
            await journal.set_clock()
            yield Stand(kind, url, server, journal, http, emulator_url)
        finally:
            await server.stop()


async def spawn(kind: Kind, place: Place, emulator_url: str) -> tuple[Process, str]:
    """A server, just started, and where it will answer."""
    folder = place.folder / kind.name
    folder.mkdir(exist_ok=True)
    port = free_port()
    words = kind.command(port, emulator_url, folder)
    server = Process(words, folder / "log", core=place.server_core, cwd=folder, extra=kind.environment)
    await server.start()
    return server, f"http://{LOOPBACK}:{port}"


async def until_answers(http: aiohttp.ClientSession, url: str, process: Process) -> float:
    """When a GET of `url` was first answered, monotonic seconds."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        process.check()
        try:
            async with http.get(url) as response:
                await response.read()
                return time.monotonic()
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(POLL_SECONDS)
    raise RuntimeError(f"{url} does not answer:\n{process.tail()}")


async def until_ready(http: aiohttp.ClientSession, kind: Kind, url: str, server: Process) -> None:
    """Until all is loaded that its calls need."""
    await until_answers(http, url + kind.alive, server)
    until = time.monotonic() + START_SECONDS
    while kind.page:
        server.check()
        async with http.get(url + kind.alive) as response:
            status = (await response.json())["status"]
        if status == "ready":
            return
        if status == "failed" or time.monotonic() > until:
            raise RuntimeError(f"it takes no calls ({status}):\n{server.tail()}")
        await asyncio.sleep(READY_POLL_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]
