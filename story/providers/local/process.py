"""One process holds the on-device models of a whole process tree, and serves them on 127.0.0.1.

The first user of a local model starts it (`connect`, or `start` where workers are about to be spawned) and puts its
address and token into the environment, so that processes started later find it there instead of loading a second
copy. It ends with the process that started it, however that one ends.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import logging
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from story.core.errors import MissingPackageError, StoryError, WeightsError

logger = logging.getLogger("story.local")

ADDRESS_VARIABLE = "STORY_LOCAL_MODELS"
TOKEN_VARIABLE = "STORY_LOCAL_MODELS_TOKEN"
HOST = "127.0.0.1"

START_TIMEOUT = 60.0
"""Seconds until the process must answer: a Python start-up on a machine that is busy with a build."""
LOAD_TIMEOUT = 180.0
"""Seconds until an engine must be loaded: the language model's gigabyte from a slow disk."""
RESTART_WINDOW = 10.0
"""Seconds for which a process that is not the owner waits for the owner to start a dead model process again."""

_PACKAGE_ROOT = Path(__file__).resolve().parents[3]
_ERRORS: dict[str, type[StoryError]] = {"WeightsError": WeightsError, "MissingPackageError": MissingPackageError}


@dataclass(frozen=True)
class Endpoint:
    """Where one engine is served: `url` without a trailing slash, `token` for `Authorization: Bearer`."""

    url: str
    token: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


class _ModelProcess:
    """The running child, seen from its owner."""

    def __init__(self, port: int, token: str) -> None:
        """Start it on `port` (0: any). Blocks until it answers; raises StoryError."""
        self.token = token
        self.stopping = False
        self.started = time.monotonic()
        self._last_words: deque[str] = deque(maxlen=20)
        self._hello: queue.SimpleQueue[str] = queue.SimpleQueue()
        # -P and the path: this very package, and no module that happens to lie in the working directory.
        path = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
        address = {ADDRESS_VARIABLE: f"{HOST}:{port}", TOKEN_VARIABLE: token}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "story.providers.local.server"],
            stdin=subprocess.PIPE,  # its end of file tells the child that we are gone
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **address, "PYTHONPATH": path},
        )
        self._errors = threading.Thread(target=self._read_errors, name="story-local-models", daemon=True)
        self._errors.start()
        threading.Thread(target=self._read_hello, name="story-local-hello", daemon=True).start()
        self.port = self._wait_for_port()

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def last_words(self) -> str:
        """Why the process ended, as well as that can be told; one line."""
        if threading.current_thread() is not self._errors:
            self._errors.join(timeout=2)
        code = self.process.poll()
        if code is None:
            return "it does not answer"
        if code < 0:
            name = signal.Signals(-code).name if -code in signal.Signals._value2member_map_ else str(-code)
            hint = ", maybe for lack of memory" if -code == signal.SIGKILL else ""
            return f"it was ended by {name}{hint}"
        said = next((line for line in reversed(self._last_words) if line.strip()), "").strip()
        return f"it ended with {code}" + (f": {said}" if said else "")

    def stop(self) -> None:
        self.stopping = True
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _read_hello(self) -> None:
        stdout = self.process.stdout
        if stdout is not None:
            with stdout:
                self._hello.put(stdout.readline().decode(errors="replace"))

    def _read_errors(self) -> None:
        stderr = self.process.stderr
        if stderr is not None:
            with stderr:
                for line in stderr:
                    self._last_words.append(line.decode(errors="replace"))
        self.process.wait()
        # Other processes of the tree know only the address: bring it back for them. One that died at once would
        # only die again.
        if not self.stopping and _state.process is self and time.monotonic() - self.started > RESTART_WINDOW / 2:
            logger.warning("the on-device model process is gone (%s); starting it again", self.last_words())
            with contextlib.suppress(StoryError):
                start()

    def _wait_for_port(self) -> int:
        try:
            line = self._hello.get(timeout=START_TIMEOUT)
            return int(json.loads(line)["port"])
        except (queue.Empty, ValueError, KeyError, TypeError):
            self.stopping = True
            if self.alive:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(timeout=1)  # a child that said nothing is on its way out
            reason = self.last_words()
            self.process.kill()
            raise StoryError(f"the on-device model process did not start: {reason}") from None


class _State:
    """What this process knows of its tree's model process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: _ModelProcess | None = None

    def forget(self) -> None:
        """In a forked child: the model process belongs to the parent, and its pipe must not be held open here."""
        self.lock = threading.Lock()
        if self.process is not None and self.process.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.process.stdin.close()
        self.process = None


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_state.forget)


def start() -> Endpoint:
    """Start the tree's model process if there is none, and return its address. Blocks up to seconds.

    A program that spawns workers calls it before, so that they inherit the address. Raises StoryError.
    """
    with _state.lock:
        process = _state.process
        if process is None:
            inherited = os.environ.get(ADDRESS_VARIABLE)
            if inherited:
                return Endpoint(f"http://{inherited}", os.environ.get(TOKEN_VARIABLE, ""))
            process = _state.process = _ModelProcess(0, secrets.token_urlsafe(32))
            atexit.register(_stop)
        elif not process.alive:
            # The same address and token, as processes of the tree hold copies of both.
            process = _state.process = _ModelProcess(process.port, process.token)
        os.environ[ADDRESS_VARIABLE] = f"{HOST}:{process.port}"
        os.environ[TOKEN_VARIABLE] = process.token
        return Endpoint(f"http://{HOST}:{process.port}", process.token)


async def connect(engine: str) -> Endpoint:
    """The address of a loaded `engine` ("moonshine-tiny", "hibari", "kokoro", "qwen2.5-coder-1.5b").

    Starts the model process if need be and waits until the engine is loaded; cheap once it is. Raises WeightsError,
    MissingPackageError or StoryError with the model process's own reason.
    """
    import aiohttp

    deadline = time.monotonic() + RESTART_WINDOW
    while True:
        server = await asyncio.to_thread(start)
        process = _state.process
        try:
            timeout = aiohttp.ClientTimeout(total=LOAD_TIMEOUT)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(f"{server.url}/engines/{engine}", headers=server.headers) as response,
            ):
                answer = await response.json(content_type=None)
                if response.status == 401:
                    raise StoryError(f"the on-device model process refuses us: {TOKEN_VARIABLE} is not its token")
                if response.status != 200:
                    error = _ERRORS.get(answer.get("kind", ""), StoryError)
                    raise error(answer.get("error", f"{engine}: status {response.status}"))
                return Endpoint(answer.get("url") or server.url, server.token)
        except TimeoutError:
            raise StoryError(f"{engine} was not loaded within {LOAD_TIMEOUT:.0f} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            if process is not None:
                reason = await asyncio.to_thread(process.last_words)
                raise StoryError(f"the on-device model process failed while loading {engine}: {reason}") from error
            if time.monotonic() > deadline:
                raise StoryError("the on-device model process of this process tree is gone; start again") from error
            await asyncio.sleep(0.2)


async def shutdown() -> None:
    """End the model process if this process started it. The next `connect` starts another."""
    await asyncio.to_thread(_stop)


def _stop() -> None:
    with _state.lock:
        process, _state.process = _state.process, None
        if process is None:
            return
        atexit.unregister(_stop)
        process.stop()
        os.environ.pop(ADDRESS_VARIABLE, None)
        os.environ.pop(TOKEN_VARIABLE, None)
