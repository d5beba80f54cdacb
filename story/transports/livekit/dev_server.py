"""A LiveKit server on this machine alone, for local work and for the tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from story.core.errors import ConfigError, StoryError
from story.transports.livekit.server_access import LiveKitServer, ServerError, check

NAME = "livekit-server"
HOST = "127.0.0.1"
DEFAULT_PORT = 7880
DEV_KEY, DEV_SECRET = "devkey", "secret"
"""What `livekit-server --dev` takes, and every example uses."""
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
START_SECONDS = 15.0
STOP_SECONDS = 5.0
_BUILT = Path(__file__).resolve().parents[3] / ".tools" / NAME


def find_server() -> Path | None:
    """The server that `make livekit-server` has built, else one on the PATH."""
    if _BUILT.is_file() and os.access(_BUILT, os.X_OK):
        return _BUILT
    found = shutil.which(NAME)
    return Path(found) if found else None


def free_ports() -> int:
    """The first of three ports in a row that nobody uses."""
    while True:
        with contextlib.closing(socket.socket()) as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        try:
            _check_ports(port)
        except (ConfigError, OverflowError):
            continue
        return port


@asynccontextmanager
async def dev_server(
    port: int = DEFAULT_PORT, *, key: str = DEV_KEY, secret: str = "", more: str = ""
) -> AsyncIterator[LiveKitServer]:
    """Within the block a server listens on 127.0.0.1 alone: `port`, the next one (TCP) and the one after it (UDP).

    secret: a random one by default. more: further lines of its configuration, YAML.

    Raises:
        StoryError: there is none on this machine, a port is taken, or it does not start.
    """
    program = find_server()
    if program is None:
        raise ConfigError(f"{NAME} is not on this machine: `make livekit-server` builds it, or put one on the PATH")
    _check_ports(port)
    server = LiveKitServer(f"ws://{HOST}:{port}", key, secret or secrets.token_urlsafe(32))
    with tempfile.TemporaryDirectory(prefix="story-livekit-") as folder:
        config = Path(folder) / "livekit.yaml"
        config.touch(mode=0o600)
        config.write_text(_configuration(server, port, more), encoding="utf-8")
        log = (Path(folder) / "livekit.log").open("wb")
        with log:
            process = await asyncio.create_subprocess_exec(
                str(program), "--config", str(config), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # Ctrl-C is for us alone: the calls still say goodbye by way of the server
            )  # fmt: skip
            try:
                await _until_it_answers(server, process, Path(log.name))
                yield server
            finally:
                await _stop(process)


def _configuration(server: LiveKitServer, port: int, more: str) -> str:
    """Sound over UDP on loopback as well, which a server leaves out by itself."""
    key, secret = (json.dumps(word, ensure_ascii=False) for word in (server.key, server.secret))  # YAML reads that
    return (
        f"port: {port}\nbind_addresses: [{HOST}]\nkeys: {{{key}: {secret}}}\n"
        f"rtc: {{tcp_port: {port + 1}, udp_port: {port + 2}, node_ip: {HOST}, enable_loopback_candidate: true, "
        f"interfaces: {{includes: [{LOOPBACK}]}}}}\n{more}"
    )


def _check_ports(port: int) -> None:
    for number, kind in ((port, socket.SOCK_STREAM), (port + 1, socket.SOCK_STREAM), (port + 2, socket.SOCK_DGRAM)):
        _check_free(number, kind)


def _check_free(port: int, kind: socket.SocketKind) -> None:
    with contextlib.closing(socket.socket(socket.AF_INET, kind)) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            what = error.strerror or "it can't be had"
            raise ConfigError(f"{NAME} needs port {port} of {HOST}: {what}; name another with --dev-port") from None


async def _until_it_answers(server: LiveKitServer, process: asyncio.subprocess.Process, log: Path) -> None:
    ended = asyncio.create_task(process.wait())
    try:
        async with asyncio.timeout(START_SECONDS):
            while not ended.done():
                try:
                    await check(server)
                except ServerError:
                    await asyncio.wait([ended], timeout=0.05)
                else:
                    return
    except TimeoutError:
        raise StoryError(f"{NAME} did not answer within {START_SECONDS:.0f} s: {_last_words(log)}") from None
    finally:
        ended.cancel()
    raise StoryError(f"{NAME} did not start: {_last_words(log)}")


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1][:300] if lines else "it said nothing"


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
