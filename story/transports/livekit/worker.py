"""A worker: registered with a LiveKit server, which sends it into rooms."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import aiohttp
from livekit import api
from livekit.agents import AgentServer, JobExecutorType, JobRequest
from livekit.agents.ipc.job_executor import JobExecutor
from livekit.agents.job import RunningJobInfo

from story.core.errors import ConfigError
from story.core.registry import Role
from story.transports.livekit.attributes import NAME, PERSONA, STACK
from story.transports.livekit.job import Crew, hold_job, prepare_process, prepare_thread
from story.transports.livekit.orders import Model
from story.transports.livekit.room import DRAIN_TOPIC, END_TOPIC, FAREWELL_TOPIC
from story.transports.livekit.server_access import LiveKitServer
from story.transports.livekit.server_api import reach

logger = logging.getLogger("story.livekit")

FULL_LOAD = 0.6
"""The load that a full worker reports. A server (1.13.5) gives no job to a worker above 0.7, even if it is the only
one that says it has room."""
IDLE_JOBS = 2
"""Job processes or threads that wait for a job."""
FAREWELL_SECONDS = 4.0
"""How long the calls have for their goodbyes where the time to drain is over."""
END_SECONDS = 2.0
DRAIN_SECONDS = 5.0
"""After which the jobs are told again that no more calls are taken."""
API_SECONDS = 2.0
PRELOAD_VARIABLE = "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE"


@dataclass(frozen=True)
class Working:
    """How to work. jobs: "thread" or "process". host: of the health and Prometheus ports; None: no such port.

    drain_timeout: seconds that calls may still take once the worker is to stop.
    """

    server: LiveKitServer
    agent_name: str
    max_calls: int
    jobs: str
    drain_timeout: float
    host: str
    health_port: int
    prometheus_port: int | None


class Worker(AgentServer):
    """livekit's worker, with the calls it holds for its load.

    livekit (1.8.9) takes the machine's CPU for the load, and tells the server about a change every 2.5 s: meanwhile
    jobs come to a worker that is full. This one says so at once.
    """

    def __init__(self, working: Working, crew: Crew) -> None:
        threads = working.jobs == "thread"
        super().__init__(
            job_executor_type=JobExecutorType.THREAD if threads else JobExecutorType.PROCESS,
            setup_fnc=partial(prepare_thread, crew) if threads else partial(prepare_process, crew.recipe),
            load_fnc=self._load,
            load_threshold=FULL_LOAD,
            num_idle_processes=min(IDLE_JOBS, working.max_calls),
            max_retry=sys.maxsize,  # a server that has been there will be there again
            ws_url=working.server.url,
            api_key=working.server.key,
            api_secret=working.server.secret,
            http_proxy=working.server.proxy,
            host=working.host,
            port=working.health_port,
            prometheus_port=working.prometheus_port,
            preload_modules=["story.transports.livekit.job"],
        )
        self._working = working
        self._crew = crew
        self.registered = False
        """Whether a server has taken it on, and is there."""
        self.rtc_session(hold_job, agent_name=working.agent_name, on_request=self._accept)

    @property
    def _connection_failed(self) -> bool:
        """Why livekit's `GET /` answers 503. Its own (1.8.9) is true only once it has given up, which it never does."""
        return not self.registered

    @_connection_failed.setter
    def _connection_failed(self, _: bool) -> None:
        pass

    @property
    def allowed(self) -> frozenset[Model]:
        """Whose models its calls may use."""
        return self._crew.recipe.allowed

    @property
    def calls(self) -> int:
        """How many calls it holds."""
        return len(self._held)

    @property
    def _held(self) -> list[RunningJobInfo]:
        return self.active_jobs if hasattr(self, "_proc_pool") else []  # it has none before it runs

    async def serve(self, registered: Callable[[], None]) -> None:
        """Work until `aclose`. registered: called each time a server has taken it on.

        Raises:
            ConfigError: a port is taken.
        """

        def on_registered(*_: object) -> None:
            self.registered = True
            registered()

        self.on("worker_registered", on_registered)
        if not self._needs_turn_detector():
            os.environ.setdefault(PRELOAD_VARIABLE, "0")  # its weights take 250 MB
        try:
            await self.run()
        except OSError as error:
            ports = {"--health-port": self._working.health_port, "--prometheus-port": self._working.prometheus_port}
            where = " or ".join(f"{port} ({name})" for name, port in ports.items() if port)
            why = error.strerror or str(error)
            raise ConfigError(f"can't listen on {self._working.host} port {where}: {why}") from None

    async def say_farewell(self) -> None:
        """Have every call end with a goodbye, and those that take too long for it without."""
        for topic, seconds in ((FAREWELL_TOPIC, FAREWELL_SECONDS), (END_TOPIC, END_SECONDS)):
            await self.tell_jobs(topic)
            try:
                async with asyncio.timeout(seconds):
                    while jobs := [job for job in self._proc_pool.processes if job.running_job]:
                        await asyncio.gather(*(job.join() for job in jobs))
                return
            except TimeoutError:
                logger.warning("%d calls did not end in time", self.calls)

    async def tell_jobs(self, topic: str) -> None:
        """Send a word to the agent of every job, by way of its room: a job may be another process."""
        async with reach(self._working.server, seconds=API_SECONDS) as lk:
            for job in self._held:
                room, agents = job.job.room.name, [job.accept_arguments.identity]
                request = api.SendDataRequest(room=room, topic=topic, data=b"{}", destination_identities=agents)
                try:
                    await lk.room.send_data(request)
                except Exception as error:  # the room is gone, or the server is
                    logger.info("%s did not get to room %s: %s", topic, room, error)

    async def _accept(self, request: JobRequest) -> None:
        if any(held.job.room.name == request.room.name for held in self._held):
            # the room is made anew: its server was lost, and its caller is back there before the agent they have
            await request.reject()  # for all workers
            return
        plan = self._crew.plan
        first = plan.chain.start
        name = plan.chain.personas[first].name
        await request.accept(name=name, attributes={PERSONA: first, NAME: name, STACK: str(plan.stacks[first])})

    def _load(self) -> float:
        return FULL_LOAD * self.calls / self._working.max_calls

    def _get_effective_load(self) -> float:
        return FULL_LOAD * (self.calls + self._reserved_slots) / self._working.max_calls

    async def _run_ws(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        try:
            await super()._run_ws(ws)
        finally:
            self.registered = False

    async def _update_job_status(self, proc: JobExecutor) -> None:
        await super()._update_job_status(proc)
        await asyncio.sleep(0)  # till then a job launched just now has its reserved slot as well, and counts twice
        self._worker_load = self._load()
        await self._update_worker_status()

    def _needs_turn_detector(self) -> bool:
        return any(role is Role.TURN_DETECTOR for role, _ in self.allowed)


async def stop(worker: Worker, patience: float, hurry: asyncio.Event) -> None:
    """Take no more jobs, let the calls end, then end. The calls are told goodbye after `patience` seconds, or as soon
    as `hurry` is set."""
    draining = asyncio.create_task(worker.drain(timeout=None))
    hurrying = asyncio.create_task(hurry.wait())
    telling = asyncio.create_task(_tell_of_drain(worker))
    try:
        await asyncio.wait([draining, hurrying], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if not draining.done():
            await worker.say_farewell()
    finally:
        for task in (draining, hurrying, telling):
            task.cancel()
        await asyncio.wait([draining, hurrying, telling])
        await worker.aclose()


async def _tell_of_drain(worker: Worker) -> None:
    """Tell the jobs, and those again that were still on the way into their rooms."""
    while True:
        await worker.tell_jobs(DRAIN_TOPIC)
        await asyncio.sleep(DRAIN_SECONDS)
