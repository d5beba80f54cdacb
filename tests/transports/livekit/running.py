"""A LiveKit server and workers, each a process of its own, as their operator starts them."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from livekit import api

from story.transports.livekit.dev_server import DEV_KEY, _configuration, find_server, free_ports
from story.transports.livekit.server_access import VARIABLES, LiveKitServer, ServerError, check
from story.transports.livekit.server_api import reach

ROOT = Path(__file__).parents[3]
CALLERS = ROOT / "tests/callers/callers.json"
STACKS = ("--intro-stack", "deepgram+gpt4o-mini", "--story-stack", "openai-realtime")
EMULATED = ("--emulate", "--brain", "script", "--heard", str(CALLERS), "--speech", "tones")
SECRET = "a secret that all servers of these tests have"
PATIENCE = 60.0


class ServerProcess:
    """A server on loopback, which may be killed and started again."""

    def __init__(self, folder: Path, port: int | None = None, *, secret: str = SECRET, more: str = "") -> None:
        port = port or free_ports()
        self.named = LiveKitServer(f"ws://127.0.0.1:{port}", DEV_KEY, secret)
        self._config = folder / f"livekit-{port}.yaml"
        self._config.write_text(_configuration(self.named, port, more), encoding="utf-8")
        self._log = folder / f"livekit-{port}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers."""
        with self._log.open("ab") as log:
            command = [str(find_server()), "--config", str(self._config)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while True:
            try:
                with ThreadPoolExecutor(1) as thread:  # the caller may have an event loop of its own
                    thread.submit(asyncio.run, check(self.named)).result()
            except ServerError:
                assert self.process.poll() is None, self._log.read_text()[-1000:]
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextmanager
def livekit_server(
    folder: Path, port: int | None = None, *, secret: str = SECRET, more: str = ""
) -> Iterator[LiveKitServer]:
    """Within the block a server runs on loopback."""
    server = ServerProcess(folder, port, secret=secret, more=more)
    try:
        server.start()
        yield server.named
    finally:
        server.kill()


async def delete_room(server: LiveKitServer, room: str) -> None:
    async with reach(server) as lk:
        await lk.room.delete_room(api.DeleteRoomRequest(room=room))


async def room_gone(server: LiveKitServer, room: str) -> None:
    """Wait until the server has it no more; callers are told that it is deleted before it is."""
    wanted = api.ListRoomsRequest(names=[room])
    async with reach(server) as lk, asyncio.timeout(10):
        while (await lk.room.list_rooms(wanted)).rooms:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.1)


class StoryRun:
    """`story run --json` as a worker: what it has printed, and how it ended. site: where more plugins are installed."""

    def __init__(self, server: LiveKitServer, folder: Path, *options: str, site: Path | None = None) -> None:
        self.said: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("STORY_", "LIVEKIT_"))}
        named = dict(zip(VARIABLES, (server.url, server.key, server.secret), strict=True))
        path = os.pathsep.join(str(folder) for folder in (ROOT, site) if folder)
        place = {"PYTHONPATH": path, "XDG_STATE_HOME": str(folder / "state")}
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "story.cli", "run", "--json", "--health-port", "0", "--port", "0", *options],
            env={**keep, **named, **place}, cwd=folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)

    def until(self, type_: str, *, count: int = 1, seconds: float = PATIENCE, **fields: object) -> dict[str, Any]:
        """What it said of that kind, the `count`-th time."""

        def found() -> list[dict[str, Any]]:
            wanted = {"type": type_, **fields}
            return [said for said in self.said if wanted.items() <= said.items()]

        deadline = time.monotonic() + seconds
        while len(found()) < count:
            try:
                said = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                said = None
            if said is None:
                code = self.process.poll()
                errors = self.process.stderr.read() if code is not None and self.process.stderr else ""
                raise AssertionError(f"no {type_} {fields}; said {self.said[-5:]}; exit code {code} {errors}")
            self.said.append(said)
        return found()[count - 1]

    def of(self, type_: str) -> list[dict[str, Any]]:
        while not self._lines.empty():
            if (said := self._lines.get()) is not None:
                self.said.append(said)
        return [said for said in self.said if said["type"] == type_]

    def interrupt(self) -> None:
        """As Ctrl-C on its terminal: that goes to all that it has started there, too."""
        os.killpg(self.process.pid, signal.SIGINT)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self, seconds: float = PATIENCE) -> int:
        """Its exit code, once it has one."""
        return self.process.wait(seconds)

    def close(self) -> None:
        if self.process.poll() is None:
            for _ in range(2):  # the second one asks it to hurry
                self.terminate()
                try:
                    self.process.wait(10)
                except subprocess.TimeoutExpired:
                    continue
                break
            else:
                self.process.kill()
                self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@contextmanager
def worker(
    server: LiveKitServer, folder: Path, *options: str, emulated: bool = True, site: Path | None = None
) -> Iterator[StoryRun]:
    """Within the block there is a worker that has registered."""
    more = (*EMULATED, *STACKS) if emulated else ()
    folder.mkdir(exist_ok=True)
    run = StoryRun(server, folder, *more, *options, site=site)
    try:
        run.until("registered")
        yield run
    finally:
        run.close()
