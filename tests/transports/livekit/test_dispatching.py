"""`story dispatch`, and why an agent does not come."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from livekit.agents import AgentServer, JobContext, JobExecutorType

from story.core.errors import StoryError
from story.transports.livekit import dispatch as sending
from story.transports.livekit.server_access import VARIABLES, LiveKitServer
from tests.transports.livekit.caller import calling
from tests.transports.livekit.running import ROOT, StoryRun

pytestmark = [pytest.mark.livekit, pytest.mark.slow]


def story_dispatch(server: LiveKitServer, folder: Path, *options: str) -> str:
    """What the command prints."""
    named = dict(zip(VARIABLES, (server.url, server.key, server.secret), strict=True))
    done = subprocess.run(
        [sys.executable, "-m", "story", "dispatch", *options],
        env={**os.environ, **named, "PYTHONPATH": str(ROOT)}, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


async def test_the_command_sends_the_agent_and_the_stack_that_is_asked_for(
    server: LiveKitServer, run: StoryRun, tmp_path: Path, room: str
) -> None:
    options = ("--room", room, "--intro-stack", "openai-realtime:marin")
    said = await asyncio.to_thread(story_dispatch, server, tmp_path, *options)
    async with calling(server, room, agent=None) as caller:
        assert caller.agent is not None
        assert said == f"story is in the room {room}, as {caller.agent.identity}.\n"
        await caller.until(lambda: caller.of("call_started"))
        stacks = caller.of("call_started")[0]["stacks"]
        assert "marin" in stacks["intro"] and "marin" not in stacks["story"]


async def test_the_command_in_json(server: LiveKitServer, run: StoryRun, tmp_path: Path, room: str) -> None:
    said = json.loads(await asyncio.to_thread(story_dispatch, server, tmp_path, "--room", room, "--json"))
    assert set(said) == {"room", "agent", "dispatch"} and said["room"] == room
    async with calling(server, room, agent=None) as caller:
        assert caller.agent is not None and caller.agent.identity == said["agent"]


@pytest.mark.long
async def test_a_worker_that_takes_the_job_and_does_not_get_ready(
    server: LiveKitServer, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    """One of livekit's own, which never says that it is. The server tells of a job after 5 s."""
    monkeypatch.setattr(sending, "ARRIVAL_SECONDS", 8.0)
    plain = AgentServer(
        job_executor_type=JobExecutorType.THREAD, num_idle_processes=1, ws_url=server.url, api_key=server.key,
        api_secret=server.secret, host="127.0.0.1", port=0, load_fnc=lambda: 0.0,
    )  # fmt: skip
    plain.rtc_session(JobContext.connect, agent_name=room)
    registered = asyncio.Event()
    plain.on("worker_registered", lambda *_: registered.set())
    running = asyncio.create_task(plain.run())
    try:
        await registered.wait()
        with pytest.raises(StoryError, match=r"worker \w+ has the job, but was not ready within 8 s"):
            await sending.dispatch(server, room, room, "")
    finally:
        await plain.aclose()
        await running
