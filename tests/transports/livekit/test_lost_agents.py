"""Agents who drop out of their room, and others that are sent there: a caller has one agent, who hears them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import socketserver
import threading
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from livekit import api

from story.core.errors import StoryError
from story.transports.livekit.attributes import AGENT
from story.transports.livekit.dispatch import dispatch
from story.transports.livekit.orders import Order
from story.transports.livekit.room import GRACE_SECONDS
from story.transports.livekit.server_access import LiveKitServer
from story.transports.livekit.server_api import reach
from tests.transports.livekit.caller import calling
from tests.transports.livekit.running import PATIENCE, StoryRun, delete_room, worker

pytestmark = [pytest.mark.livekit, pytest.mark.slow, pytest.mark.long]

ATTEMPTS = 10
"""Refused connections after which a client no longer tries to resume its session, but begins a new one."""


class Line(socketserver.ThreadingTCPServer):
    """The way to a server, which can be cut: then it is as if nothing listened there."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, server: LiveKitServer) -> None:
        super().__init__(("127.0.0.1", 0), _Joint)
        self.named = replace(server, url=f"ws://127.0.0.1:{self.server_address[1]}")
        place = urlsplit(server.url)
        self.other_end = (str(place.hostname), int(place.port or 0))
        self.ends: list[socket.socket] = []
        self.is_cut = False
        self.refused = threading.Semaphore(0)

    def __enter__(self) -> Line:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def cut(self) -> None:
        """Until `ATTEMPTS` connections have been refused."""
        self.is_cut = True
        for end in self.ends:
            with contextlib.suppress(OSError):  # it has ended already
                end.shutdown(socket.SHUT_RDWR)
        for _ in range(ATTEMPTS):
            assert self.refused.acquire(timeout=PATIENCE)
        self.is_cut = False


class _Joint(socketserver.BaseRequestHandler):
    server: Line

    def handle(self) -> None:
        if self.server.is_cut:
            self.server.refused.release()
            return
        with socket.create_connection(self.server.other_end) as forth:
            self.server.ends += [self.request, forth]
            back = threading.Thread(target=_pass, args=(forth, self.request), daemon=True)
            back.start()
            _pass(self.request, forth)
            back.join()


def _pass(here: socket.socket, there: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while some := here.recv(65536):
            there.sendall(some)
        there.shutdown(socket.SHUT_WR)


async def test_an_agent_that_was_away_hears_a_caller_who_was_not(
    server: LiveKitServer, tmp_path: Path, room: str
) -> None:
    with Line(server) as line, worker(line.named, tmp_path, "--agent-name", room):
        async with calling(server, room, agent=room) as caller:
            await caller.until_asked(1)
            assert caller.agent is not None
            before = caller.agent.sid
            await asyncio.to_thread(line.cut)
            await caller.until(lambda: caller.agent is not None and caller.agent.sid != before)
            await caller.say("maria/turn1.wav")
            await caller.until(lambda: caller.of("handoff"))
            assert caller.of("user_turn")[0]["text"].endswith("and I live in Lisbon.")
            assert len(caller.of("call_started")) == 1


async def test_no_second_agent_comes_to_a_call(server: LiveKitServer, run: StoryRun, room: str) -> None:
    async with calling(server, room) as caller:
        await caller.until_asked(1)
        await caller.think()
        with pytest.raises(StoryError, match=r"a worker of it holds a call in .* already"):
            await dispatch(server, room, "story", "")
        assert len(run.of("call_started")) == 1


async def test_a_room_whose_call_is_just_over_gets_an_agent_again(
    server: LiveKitServer, run: StoryRun, room: str
) -> None:
    async with calling(server, room) as caller:
        await caller.until_asked(1)
        await delete_room(server, room)
        await dispatch(server, room, "story", Order(wait=True).as_metadata())
        async with calling(server, room, agent=None) as again:
            await again.until_asked(1)


async def test_an_agent_of_another_worker_leaves_a_caller_who_is_back_to_theirs(
    server: LiveKitServer, run: StoryRun, tmp_path: Path, room: str
) -> None:
    async with calling(server, room) as lost:
        await lost.until_asked(1)
        await lost.until(lambda: AGENT in lost.room.local_participant.attributes)
        told = dict(lost.room.local_participant.attributes)  # by the token that it was given then
        await lost.remove()
    async with calling(server, room, agent=None, attributes=told) as caller:
        await caller.think()
        with worker(server, tmp_path, "--agent-name", room) as other:
            await send(server, room)
            await asyncio.to_thread(other.until, "call_ended", reason="caller_left")
        await caller.finish()
        assert {event["call"] for event in caller.events} == {lost.of("call_started")[0]["call"]}


async def test_who_is_sent_in_the_place_of_an_agent_that_was_killed_begins(
    server: LiveKitServer, tmp_path: Path, room: str
) -> None:
    with worker(server, tmp_path / "a", "--agent-name", f"{room}-a") as killed:
        async with calling(server, room, agent=f"{room}-a") as caller:
            await caller.until_asked(1)
            await caller.until(lambda: AGENT in caller.room.local_participant.attributes)
            killed.process.kill()
            with worker(server, tmp_path / "b", "--agent-name", room) as other:
                await send(server, room)  # the server takes the first one to be there for 20 s
                await asyncio.to_thread(other.until, "agent_turn")


async def send(server: LiveKitServer, room: str) -> None:
    """The agent of that room's own name."""
    async with reach(server) as lk:
        await lk.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(agent_name=room, room=room))


async def test_a_caller_whose_agent_does_not_come_back_gets_another(
    server: LiveKitServer, run: StoryRun, room: str
) -> None:
    began = asyncio.get_running_loop().time()
    async with calling(server, room, attributes={AGENT: "agent-gone PA_before"}) as caller:
        await caller.until_asked(1)
        assert caller.heard[0] - began > GRACE_SECONDS
