"""The workers that are measured, each behind a LiveKit server of its own."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import psutil

from benchmarks.room_calls.caller import RoomCaller
from benchmarks.web_calls.journal import Journal
from benchmarks.web_calls.servers import (
    DATA,
    LOOPBACK,
    PATHS,
    PEERS,
    REALTIME,
    STACK,
    START_SECONDS,
    VENDORS,
    Kind,
    Place,
    Process,
    Stand,
    free_port,
    spawn,
)
from story.transports.livekit.dev_server import _configuration, find_server
from story.transports.livekit.server_access import VARIABLES, LiveKitServer, ServerError, check

AGENT = "story"
SECRET = "a secret for the time of this benchmark alone"
REGISTERED = ("registered worker", '"type": "registered"')
POLL_SECONDS = 0.01
_ROOMS = itertools.count(1)


def story(name: str, *words: str, stack: str = STACK) -> Kind:
    """`story run` as a worker, with this pipeline and the realtime model after it."""

    def command(port: int, emulator: str, folder: Path) -> list[str]:
        tables = [f'[providers.{name}]\nbase_url = "{emulator}{PATHS[name]}"\n' for name in VENDORS]
        (folder / "story.toml").write_text("\n".join(tables))
        run = [sys.executable, "-m", "story", "run", "--json", "--health-port", str(port), "--no-page"]
        run += [
            "--max-calls",
            "64",
            "--max-duration",
            "7200",
            "--agent-name",
            AGENT,
            "--chain",
            str(DATA / "talk.toml"),
        ]
        return [*run, "--stack", f"talker={stack}", "--stack", f"teller={REALTIME}", *words]

    keys = {f"{name.upper()}_API_KEY": "none" for name in VENDORS}
    return Kind(name, command, alive="/worker", environment=keys, standing=standing)


def livekit(name: str, **environment: str) -> Kind:
    """livekit-agents without story."""

    def command(port: int, emulator: str, folder: Path) -> list[str]:
        script = str(PEERS / "livekit_room.py")
        return [sys.executable, script, "--port", str(port), "--vendors", emulator]

    return Kind(name, command, alive="/worker", environment=environment, standing=standing)


@dataclass
class RoomStand(Stand):
    """A worker with its vendors, at the server that sends callers to it."""

    rooms: LiveKitServer | None = None

    def caller(self, line: object = None) -> RoomCaller:  # type: ignore[override]
        assert self.rooms is not None
        return RoomCaller(self.rooms, f"room-{next(_ROOMS)}", AGENT)


@asynccontextmanager
async def rooms(place: Place) -> AsyncIterator[LiveKitServer]:
    """A LiveKit server on loopback, on the client's core."""
    program = find_server()
    if program is None:
        sys.exit("there is no LiveKit server: make livekit-server")
    port = free_port()
    server = LiveKitServer(f"ws://{LOOPBACK}:{port}", "devkey", SECRET)
    config = place.folder / "livekit.yaml"
    config.write_text(_configuration(server, port, ""))
    words = [str(program), "--config", str(config)]
    process = Process(words, place.folder / "livekit.log", core=place.client_core, cwd=place.folder, extra={})
    await process.start()
    try:
        until = time.monotonic() + START_SECONDS
        while True:
            process.check()
            try:
                await check(server)
            except ServerError:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(POLL_SECONDS)
            else:
                break
        yield server
    finally:
        for one in process._family():
            one.kill()  # rooms that are left keep it from ending by itself
        await process.stop()


@asynccontextmanager
async def standing(kind: Kind, place: Place, emulator_url: str) -> AsyncIterator[Stand]:
    """The worker, registered."""
    async with rooms(place) as server, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        process, url = await worker(kind, place, emulator_url, server)
        try:
            journal = Journal(emulator_url, http)
            await journal.set_clock()
            yield RoomStand(kind, url, process, journal, http, emulator_url, rooms=server)
        finally:
            await process.stop()


async def worker(kind: Kind, place: Place, emulator_url: str, server: LiveKitServer) -> tuple[Process, str]:
    """The process of a worker that has just been registered, and where its health is told."""
    named = dict(zip(VARIABLES, (server.url, server.key, server.secret), strict=True))
    kind = replace(kind, environment={**kind.environment, **named})
    log = place.folder / kind.name / "log"
    log.unlink(missing_ok=True)
    process, url = await spawn(kind, place, emulator_url)
    until = time.monotonic() + START_SECONDS
    while not any(text in log.read_text(errors="replace") for text in REGISTERED):
        process.check()
        if time.monotonic() > until:
            raise RuntimeError(f"it is not registered:\n{process.tail()}")
        await asyncio.sleep(POLL_SECONDS)
    return process, url


def pss(process: Process) -> float:
    """MB of memory of a process and its children, shared pages in equal parts."""
    total = 0.0
    for one in process._family():
        try:
            total += one.memory_full_info().pss / 1e6
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total
