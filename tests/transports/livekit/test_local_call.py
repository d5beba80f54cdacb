"""A call in a room on this machine's own models, which job processes share."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from story.transports.livekit.server_access import LiveKitServer
from tests.transports.livekit.caller import calling
from tests.transports.livekit.running import worker

LOCAL = ("--intro-stack", "local", "--story-stack", "local", "--agent-name", "local")
ENGINES = ("hibari", "moonshine_voice", "xllamacpp")
"""Without one of these, no weights."""
WATCH = """
import os, sys

def watch(event, arguments):
    if event == "import" and arguments[0] in {engines!r}:
        with open({log!r}, "a") as log:
            log.write(f"{{os.getpid()}} {{arguments[0]}}\\n")

sys.addaudithook(watch)
"""
"""For every Python that is started: notes who imports which engine."""


@pytest.mark.livekit
@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.full
async def test_a_call_on_local_models_in_a_process_of_its_own(server: LiveKitServer, tmp_path: Path, room: str) -> None:
    site, log = tmp_path / "site", tmp_path / "imports"
    site.mkdir()
    (site / "sitecustomize.py").write_text(WATCH.format(engines=ENGINES, log=str(log)), encoding="utf-8")
    with worker(server, tmp_path, *LOCAL, "--jobs", "process", emulated=False, site=site) as run:
        async with calling(server, room, agent="local") as caller:
            await caller.until_asked(1)
            await caller.type("I am Maria, and I live in Lisbon.")
            await caller.until(lambda: caller.of("handoff"), 100)
            await caller.say("maria/turn2.wav")
            await caller.until(lambda: len(caller.of("user_turn")) > 1)
            imports = {tuple(line.split()) for line in log.read_text(encoding="utf-8").splitlines()}
            (engine,) = {int(pid) for pid, _ in imports}
            assert {name for _, name in imports} == set(ENGINES)
            assert "story.providers.local.server" in psutil.Process(engine).cmdline()
        await asyncio.to_thread(run.until, "call_ended", reason="caller_left")
