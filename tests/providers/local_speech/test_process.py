"""The model process: one a tree, ended with its owner, brought back after a crash, closed to strangers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import psutil
import pytest

from story import StoryError
from story.providers.local import process

pytestmark = pytest.mark.weights("hibari")

ROOT = Path(__file__).parents[3]
OWNER = """
import asyncio, sys
from story.providers.local import process
print(asyncio.run(process.connect("hibari")).url, flush=True)
sys.stdin.read()
"""


async def health(server: process.Endpoint) -> dict[str, object]:
    async with (
        aiohttp.ClientSession(headers=server.headers) as session,
        session.get(f"{server.url}/health") as response,
    ):
        return dict(await response.json())


async def pid_of(server: process.Endpoint) -> int:
    return int(str((await health(server))["pid"]))


def wait_for_connection_to(server: process.Endpoint) -> None:
    port = int(server.url.rpartition(":")[2])
    while not any(
        c.raddr and c.raddr.port == port and c.status == psutil.CONN_ESTABLISHED
        for c in psutil.Process().net_connections()
    ):
        time.sleep(0.01)


def owner(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def said_by(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline().strip()


@pytest.fixture
def alone() -> dict[str, str]:
    """The environment of a process that belongs to no tree of ours."""
    ours = (process.ADDRESS_VARIABLE, process.TOKEN_VARIABLE)
    return {name: value for name, value in os.environ.items() if name not in ours}


async def test_concurrent_first_users_share_one_process_and_one_copy() -> None:
    await process.shutdown()
    servers = await asyncio.gather(*(process.connect("hibari") for _ in range(8)))
    assert len(set(servers)) == 1
    assert (await health(servers[0]))["engines"] == ["hibari"]


async def test_a_process_of_the_tree_uses_the_same_one() -> None:
    server = await process.connect("hibari")
    child = owner(dict(os.environ))
    try:
        assert await asyncio.to_thread(said_by, child) == server.url
        assert psutil.Process(child.pid).children() == []
    finally:
        child.communicate(timeout=30)
    assert child.returncode == 0
    assert (await health(server))["engines"] == ["hibari"]


async def test_it_dies_with_an_owner_that_is_killed(alone: dict[str, str]) -> None:
    program = owner(alone)
    assert (await asyncio.to_thread(said_by, program)).startswith("http://127.0.0.1:")
    (models,) = psutil.Process(program.pid).children()
    program.send_signal(signal.SIGKILL)
    program.communicate(timeout=30)
    await asyncio.to_thread(models.wait, 30)


async def test_it_ends_with_an_owner_that_ends_and_ignores_its_ctrl_c(alone: dict[str, str]) -> None:
    program = owner(alone)
    await asyncio.to_thread(said_by, program)
    (models,) = psutil.Process(program.pid).children()
    models.send_signal(signal.SIGINT)
    assert models.is_running()
    program.communicate(timeout=30)
    await asyncio.to_thread(models.wait, 30)


async def test_a_crash_is_explained_and_the_next_use_starts_it_again() -> None:
    server = await process.connect("hibari")
    first = await pid_of(server)
    psutil.Process(first).suspend()  # so that the request is under way when the process dies
    loading = asyncio.create_task(process.connect("kokoro"))
    await asyncio.to_thread(wait_for_connection_to, server)
    psutil.Process(first).kill()
    with pytest.raises(
        StoryError, match="failed while loading kokoro: it was ended by SIGKILL, maybe for lack of memory"
    ):
        await loading
    again = await process.connect("hibari")
    assert again == server  # others of the tree know only this address
    assert await pid_of(again) != first


async def test_strangers_are_turned_away() -> None:
    server = await process.connect("hibari")
    async with aiohttp.ClientSession() as session:
        for headers in ({}, {"Authorization": "Bearer guessed"}):
            for method, path in (("GET", "/health"), ("POST", "/engines/hibari"), ("GET", "/recognise/moonshine-tiny")):
                async with session.request(method, server.url + path, headers=headers) as response:
                    assert response.status == 401
    assert server.token not in repr(server)


async def test_a_wrong_token_in_the_environment_is_explained(alone: dict[str, str]) -> None:
    server = await process.connect("hibari")
    code = OWNER.replace("print(", "print(repr(").replace(".url,", "),")
    environment = {**alone, process.ADDRESS_VARIABLE: server.url.removeprefix("http://"), process.TOKEN_VARIABLE: "no"}
    result = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert "StoryError: the on-device model process refuses us" in result.stderr


async def test_it_listens_on_this_machine_only() -> None:
    server = await process.connect("hibari")
    listening = [c for c in psutil.Process(await pid_of(server)).net_connections() if c.status == psutil.CONN_LISTEN]
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}


async def test_a_process_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    await process.shutdown()
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(StoryError, match="did not start: it ended with 3: no such luck"):
        await process.connect("hibari")
    monkeypatch.undo()
    assert await process.connect("hibari")


async def test_shutting_down_leaves_no_trace() -> None:
    server = await process.connect("hibari")
    child = psutil.Process(await pid_of(server))
    await process.shutdown()
    assert not child.is_running()
    assert process.ADDRESS_VARIABLE not in os.environ
    assert process.TOKEN_VARIABLE not in os.environ
    await process.shutdown()


def test_nothing_heavy_is_imported_to_list_the_models() -> None:
    code = "import sys, json, story.providers.local; print(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"livekit", "numpy", "aiohttp", "pydantic", "asyncio"} & set(json.loads(out))
