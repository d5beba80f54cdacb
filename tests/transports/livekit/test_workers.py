"""Workers and servers that come and go: nobody's call suffers who need not."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from story.core.errors import StoryError
from story.transports.livekit.dev_server import free_ports
from story.transports.livekit.dispatch import dispatch
from story.transports.livekit.orders import Order
from story.transports.livekit.server_access import LiveKitServer, ServerError, check
from story.transports.parting import LAST_WORDS
from tests.transports.livekit.caller import Caller, calling
from tests.transports.livekit.running import (
    EMULATED,
    SECRET,
    STACKS,
    ServerProcess,
    StoryRun,
    livekit_server,
    worker,
)

pytestmark = [pytest.mark.livekit, pytest.mark.slow]
long = pytest.mark.long


async def begun(caller: Caller) -> str:
    """The id of the call, once the caller has been greeted."""
    await caller.until_asked(1)
    return str(caller.of("call_started")[0]["call"])


async def started(caller: Caller) -> str:
    """Its id, as soon as there is one."""
    await caller.until(lambda: caller.of("call_started"))
    return str(caller.of("call_started")[0]["call"])


async def until_sent(server: LiveKitServer, room: str, agent: str) -> None:
    """Send the agent into the room; anew where its workers had not yet done with other calls."""
    for last in (False, False, True):
        try:
            await dispatch(server, room, agent, Order(wait=True).as_metadata())
        except StoryError:
            if last:
                raise
        else:
            return


@pytest.mark.parametrize("wrong, told", [
    ({"key": "nobody"}, "does not know LIVEKIT_API_KEY"),
    ({"secret": "no secret of this server, but a long one"}, "LIVEKIT_API_SECRET is not the secret of that key"),
])  # fmt: skip
def test_a_wrong_key_and_a_wrong_secret_are_told_apart(
    server: LiveKitServer, tmp_path: Path, wrong: dict[str, str], told: str
) -> None:
    named = {"key": server.key, "secret": server.secret, **wrong}
    run = StoryRun(LiveKitServer(server.url, **named), tmp_path, *EMULATED, *STACKS)
    assert run.ended() == 2
    assert run.process.stderr is not None
    said = run.process.stderr.read()
    assert told in said and len(said.splitlines()) == 1 and server.secret not in said
    run.close()


def test_a_worker_that_waits_is_there_once_its_server_is(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    run = StoryRun(server.named, tmp_path, *EMULATED, *STACKS, "--wait")
    try:
        assert "no LiveKit server answers" in run.until("waiting")["why"]
        server.start()
        run.until("registered")
        run.terminate()
        assert run.ended() == 0
    finally:
        run.close()
        server.kill()


def test_a_server_of_its_own_comes_and_goes_with_the_worker(tmp_path: Path) -> None:
    port = free_ports()
    named = LiveKitServer(f"ws://127.0.0.1:{port}", "devkey", SECRET)
    run = StoryRun(named, tmp_path, *EMULATED, *STACKS, "--dev-server", "--dev-port", str(port))
    try:
        run.until("registered")
        asyncio.run(check(named))
        run.terminate()
        assert run.ended() == 0
    finally:
        run.close()
    with pytest.raises(ServerError, match="no LiveKit server answers"):
        asyncio.run(check(named))


@long
async def test_who_is_sent_and_who_is_not(server: LiveKitServer, run: StoryRun, room: str) -> None:
    arrival = await dispatch(server, room, "story", Order(wait=True).as_metadata())
    async with calling(server, room, agent=None) as caller:
        assert caller.agent is not None and caller.agent.identity == arrival.identity
        await caller.until(lambda: caller.heard)
    with pytest.raises(StoryError, match="none is registered as 'nobody', or all of them are full"):
        await dispatch(server, f"{room}-2", "nobody", "")
    with pytest.raises(StoryError, match="the worker refuses: unknown chain 'fairy'"):
        await dispatch(server, f"{room}-3", "story", '{"chain": "fairy"}')


@long
async def test_sigterm_lets_a_call_end_and_a_second_one_says_goodbye(
    server: LiveKitServer, tmp_path: Path, room: str
) -> None:
    with worker(server, tmp_path, "--agent-name", room) as run:
        async with calling(server, room, agent=room) as caller:
            call = await begun(caller)
            run.terminate()
            await asyncio.to_thread(run.until, "draining", calls=1)
            run.terminate()
            await asyncio.to_thread(run.until, "call_ended", call=call, reason="shutdown")
            assert run.of("agent_turn")[-1]["text"] == LAST_WORDS
            assert await asyncio.to_thread(run.ended) == 0


@long
async def test_sigterm_in_a_call_that_goes_on_while_new_ones_come_to_the_other_worker(
    server: LiveKitServer, tmp_path: Path, room: str
) -> None:
    with worker(server, tmp_path / "a", "--agent-name", room) as first:
        async with calling(server, f"{room}-1", agent=room) as one:
            call = await begun(one)
            await one.think()
            with worker(server, tmp_path / "b", "--agent-name", room) as second:
                first.terminate()
                await asyncio.to_thread(first.until, "draining", calls=1)
                for number in (2, 3, 4):
                    async with calling(server, f"{room}-{number}", f"caller{number}", agent=room) as other:
                        await asyncio.to_thread(second.until, "call_started", call=await begun(other))
                await one.finish()
                assert await asyncio.to_thread(first.ended) == 0
    assert first.of("call_ended")[0]["call"] == call


@long
async def test_a_worker_that_is_killed_takes_no_other_call_with_it(
    server: LiveKitServer, tmp_path: Path, room: str
) -> None:
    with (
        worker(server, tmp_path / "a", "--agent-name", room) as first,
        worker(server, tmp_path / "b", "--agent-name", room) as second,
    ):
        async with calling(server, room, "held", agent=room) as held:
            call = await begun(held)
            killed, left = (first, second) if first.of("call_started") else (second, first)
            killed.process.send_signal(signal.SIGKILL)
            killed.ended()
            for number in range(3):
                async with calling(server, f"{room}-{number}", f"caller{number}", agent=room) as caller:
                    await asyncio.to_thread(left.until, "call_started", call=await started(caller))
            assert held.disconnected is None and killed.of("call_started")[0]["call"] == call


@long
async def test_a_full_worker_leaves_calls_to_another_and_takes_them_again_later(
    server: LiveKitServer, tmp_path: Path, room: str
) -> None:
    options = ("--agent-name", room, "--max-calls", "1")
    with worker(server, tmp_path / "a", *options) as first, worker(server, tmp_path / "b", *options) as second:
        async with (
            calling(server, f"{room}-1", "one", agent=room) as one,
            calling(server, f"{room}-2", "two", agent=room) as two,
        ):
            calls = {await begun(one), await begun(two)}
            held = [{said["call"] for said in run.of("call_started")} for run in (first, second)]
            assert [len(calls & mine) for mine in held] == [1, 1]
            with pytest.raises(StoryError, match="all of them are full"):
                await dispatch(server, f"{room}-3", room, "")
        await until_sent(server, f"{room}-4", room)
        async with calling(server, f"{room}-4", "four", agent=None) as four:
            await begun(four)


@long
async def test_a_call_in_a_process_of_its_own(server: LiveKitServer, tmp_path: Path, room: str) -> None:
    with worker(server, tmp_path, "--agent-name", room, "--jobs", "process") as run:
        async with calling(server, room, agent=room) as caller:
            call = await begun(caller)
            await caller.finish()
            assert (await asyncio.to_thread(run.until, "call_ended", call=call))["data"]["name"] == "Maria"
        run.terminate()
        assert await asyncio.to_thread(run.ended) == 0


@long
async def test_a_server_that_restarts_in_mid_call(tmp_path: Path, room: str) -> None:
    server = ServerProcess(tmp_path)
    server.start()
    try:
        with worker(server.named, tmp_path) as run:
            async with calling(server.named, room) as caller:
                call = await begun(caller)
                server.kill()
                await asyncio.to_thread(server.start)
                await asyncio.to_thread(run.until, "registered", count=2)
                await caller.until(lambda: caller.agent is not None)
                await caller.say("maria/turn1.wav")
                await caller.until(lambda: caller.of("handoff"))
                assert caller.of("user_turn")[0]["text"] == "Hi there! My name is Maria, and I live in Lisbon."
                assert {event["call"] for event in caller.events} == {call}
                turns = len(caller.of("agent_turn"))
                heard = len(caller.heard)
                await caller.until_asked(turns + 1)
                assert len(caller.heard) > heard
                async with calling(server.named, f"{room}-2", "another") as another:
                    await begun(another)
    finally:
        server.kill()


@contextmanager
def redis() -> Iterator[str]:
    """Debian's redis-server on a port of its own; its address."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert any("Ready to accept connections" in line for line in process.stdout)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@long
async def test_calls_spread_over_two_servers_that_share_a_redis(tmp_path: Path, room: str) -> None:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is missing: make test-tools, or apt-get install redis-server")
    with redis() as address:
        more = f"redis: {{address: {address}}}\n"
        with (
            livekit_server(tmp_path, more=more) as here,
            livekit_server(tmp_path, more=more) as there,
            worker(here, tmp_path / "a") as first,
        ):
            async with calling(there, room, "elsewhere") as caller:  # the only worker is at the other server
                await asyncio.to_thread(first.until, "call_started", call=await started(caller))
            with worker(there, tmp_path / "b") as second:
                callers = [Caller(server, f"{room}-{n}", f"caller{n}") for n, server in enumerate((here, there) * 3)]
                try:
                    for caller in callers:
                        await caller.join()
                        await started(caller)
                    assert len(second.of("call_started")) > 0 and len(first.of("call_started")) > 1
                finally:
                    await asyncio.gather(*(caller.leave() for caller in callers))
