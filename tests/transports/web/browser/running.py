"""`story run` as a process, and the events that it logs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

REPOSITORY = Path(__file__).parents[4]
CALLERS = REPOSITORY / "tests" / "callers"
EMULATED = ("--emulate", "--brain", "script", "--speech", "tones", "--heard", str(CALLERS / "callers.json"))
MIXED = ("--intro-stack", "deepgram+gpt4o-mini", "--story-stack", "openai-realtime")
LOCAL = ("--intro-stack", "local", "--story-stack", "local")


@dataclass
class Running:
    """A `story run` that takes calls at `url`."""

    process: asyncio.subprocess.Process
    log: BinaryIO
    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def found(self, type_: str, **fields: object) -> list[dict[str, Any]]:
        """The events so far of this type and with these fields, of all calls."""
        wanted = {"type": type_, **fields}
        return [event for event in self.events if all(event.get(name) == value for name, value in wanted.items())]

    async def until(self, type_: str, *, count: int = 1, **fields: object) -> dict[str, Any]:
        """The first such event, or the one of that number."""
        async with asyncio.timeout(90):
            while len(found := self.found(type_, **fields)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]

    async def stop(self) -> int:
        """The exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.log.write(line)
            self.events.append(json.loads(line))
            self._changed.set()
        self.events.append({"type": "closed"})
        self._changed.set()


@asynccontextmanager
async def story_run(folder: Path, *options: str, variables: Mapping[str, str] | None = None) -> AsyncIterator[Running]:
    """Within the block a server runs, in `folder`. What it says is in the folder's run.log."""
    own = {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "XDG_STATE_HOME": str(folder)}
    command = ("-m", "story", "run", "--port", "0", "--ice-address", "127.0.0.1", "--json", *options)
    with (folder / "run.log").open("ab", buffering=0) as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            cwd=folder,
            env={**os.environ, **own, **(variables or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
        running = Running(process, log)
        reading = asyncio.create_task(running.read())
        try:
            running.url = (await running.until("serving"))["url"]
            await running.until("ready")
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await reading
