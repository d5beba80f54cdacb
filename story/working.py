"""`story run` where LiveKit's settings are there: a worker that its server sends into rooms."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from story import starting
from story.core.errors import ConfigError
from story.orders import Orders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from story.core.events import Event
    from story.core.plan import Plan
    from story.core.plugins import Plugins
    from story.core.settings import Settings
    from story.serving_log import Log
    from story.transports.livekit.page import RoomPage
    from story.transports.livekit.server_access import LiveKitServer
    from story.transports.livekit.worker import Worker

JOBS = ("thread", "process")
DEFAULT_AGENT_NAME = "story"
CALLS_A_CORE = 5
"""That one core holds without being late; measured (docs/operations.md)."""
CALLS_IN_THREADS = 10
"""In one process, whose threads share one interpreter: what is native in a call runs on other cores."""
DEFAULT_HEALTH_PORT = 8081
DEFAULT_DEV_PORT = 7880

AgentName = Annotated[
    str, typer.Option("--agent-name", metavar="NAME", help="LiveKit: what it is sent for by; empty: into every room.")
]
Jobs = Annotated[str, typer.Option("--jobs", metavar="thread|process", help="LiveKit: what each call runs in.")]
DrainTimeout = Annotated[
    float,
    typer.Option("--drain-timeout", metavar="SECONDS", min=0, help="LiveKit: how long calls go on after SIGTERM."),
]
HealthPort = Annotated[int, typer.Option("--health-port", min=0, max=65535, help="LiveKit: of GET / and /worker.")]
PrometheusPort = Annotated[
    int | None, typer.Option("--prometheus-port", min=0, max=65535, help="LiveKit: of GET /metrics; none by default.")
]
AllowStacks = Annotated[
    list[str] | None,
    typer.Option("--allow-stacks", metavar="SPEC", help="LiveKit: a stack that a job may ask for. Repeatable."),
]
Wait = Annotated[bool, typer.Option("--wait", help="LiveKit: keep trying until the server is there.")]
Page = Annotated[bool, typer.Option("--page/--no-page", help="LiveKit: whether to serve the page, at --port.")]
DevServer = Annotated[bool, typer.Option("--dev-server", help="LiveKit: start a server on this machine, for itself.")]
DevPort = Annotated[int, typer.Option("--dev-port", min=1, max=65533, help="Of --dev-server; it takes two more.")]


@dataclass(frozen=True)
class Job:
    """What the user wants of a worker. stacks: persona -> spec, as given. settings: as the calls are to see them.

    server: None where it is to be started on this machine, at dev_port. wait: keep trying until the server is there.
    open_page: opens the page, where the user wants that.
    """

    server: LiveKitServer | None
    dev_port: int
    wait: bool
    agent_name: str
    plan: Plan
    chain: str
    stacks: Mapping[str, str]
    plugins: Plugins
    settings: Settings
    env_file: Path | None
    allow_stacks: Sequence[str] | None
    max_calls: int
    max_duration: float
    records: Path | None
    jobs: str
    drain_timeout: float
    host: str
    port: int
    page: bool
    open_page: Callable[[str], None] | None
    tls: ssl.SSLContext | None
    health_port: int
    prometheus_port: int | None
    notice: str | None = None


def calls_at_once(jobs: str) -> int:
    """How many calls a worker takes on this machine where nobody has said."""
    return CALLS_IN_THREADS if jobs == "thread" else CALLS_A_CORE * (os.cpu_count() or 1)


def where(transport: str, settings: Settings, use_dev_server: bool) -> tuple[bool, LiveKitServer | None]:
    """Whether callers come in by rooms, and by those of which server; None for one of our own.

    Raises:
        ConfigError: the server that the user has set can't be one, or is missing.
    """
    from story.transports.livekit.server_access import required_server, server_of

    if use_dev_server:
        if transport == "web":
            raise ConfigError("--dev-server is for calls in rooms: leave it out, or --transport web")
        return True, None
    if transport == "web":
        return False, None
    server = required_server(settings) if transport == "livekit" else server_of(settings)
    return server is not None, server


async def check(server: LiveKitServer) -> None:
    """Ask the server whether it takes us on. Raises ServerError, which says why it does not."""
    from story.transports.livekit import server_access

    await server_access.check(server)


async def work(job: Job, log: Log, began: float) -> None:
    """Work until the process is told to stop."""
    orders = Orders()
    with orders.by_signal():
        async with _server(job, log) as server:
            if await _reached(server, job, log, orders.stop):
                await _work(job, server, log, began, orders)


@asynccontextmanager
async def _server(job: Job, log: Log) -> AsyncIterator[LiveKitServer]:
    if job.server is not None:
        yield job.server
        return
    from story.transports.livekit.dev_server import DEV_KEY, dev_server
    from story.transports.livekit.server_access import KEY, SECRET

    key, secret = job.settings.key(KEY) or DEV_KEY, job.settings.key(SECRET) or ""
    async with dev_server(job.dev_port, key=key, secret=secret) as server:
        log.dev_server(server.url, server.key, None if secret else server.secret)
        yield server


async def _reached(server: LiveKitServer, job: Job, log: Log, stop: asyncio.Event) -> bool:
    """Whether the server takes us on; False where we are told to stop before it does."""
    from story.transports.livekit.server_access import RETRY_SECONDS, ServerError

    told = ""
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            try:
                await check(server)
            except ServerError as error:
                if not job.wait:
                    raise
                if told != (told := str(error)):
                    log.waiting(told)
                await asyncio.wait([stopping], timeout=RETRY_SECONDS)
            else:
                return True
    finally:
        stopping.cancel()
    return False


async def _work(job: Job, server: LiveKitServer, log: Log, began: float, orders: Orders) -> None:
    settings = server.settings(job.settings)
    log.working(job.plan, server.url, job.agent_name, job.notice)
    from prometheus_client import REGISTRY

    from story.transports.livekit.page import has_client
    from story.transports.livekit.worker import stop as stop_worker
    from story.transports.web.metrics import Metrics

    worker = await _worker(job, server, settings)
    starting.settle()
    page = _page(job, server, settings, worker) if job.page and job.agent_name and has_client() else None

    def registered() -> None:
        log.registered(time.monotonic() - began)

    metrics = Metrics(lambda: worker.calls, REGISTRY)

    def observe(event: Event) -> None:
        metrics.observe(event)
        log.event(event)

    if orders.stop.is_set():
        return
    with told(observe), settings.exported():
        async with _served(page, job, log):
            serving = asyncio.create_task(worker.serve(registered))
            stopping = asyncio.create_task(orders.stop.wait())
            await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
        if not serving.done():
            log.draining(worker.calls)
            await stop_worker(worker, job.drain_timeout, orders.hurry)
        await serving


def _page(job: Job, server: LiveKitServer, settings: Settings, worker: Worker) -> RoomPage:
    from story.transports.livekit.page import RoomPage, allowed_offers
    from story.transports.web.offers import offers_of
    from story.transports.web.page_server import State

    registry = job.plugins.registry
    offers = offers_of(job.plan, registry, settings)
    offers = allowed_offers(offers, worker.allowed, registry, job.plan.chain.default_stack)

    def state() -> State:
        emulated = job.notice is not None
        return State(worker.registered, worker.registered, None, job.notice, emulated, job.max_duration)

    return RoomPage(server, job.agent_name, offers, host=job.host, port=job.port, tls=job.tls, state=state)


@asynccontextmanager
async def _served(page: RoomPage | None, job: Job, log: Log) -> AsyncIterator[None]:
    """Within the block there is the page, where there can be one."""
    if page is None:
        log.no_page(job.agent_name, wanted=job.open_page is not None)
        yield
        return
    await page.start()
    try:
        log.page(page.url)
        if job.open_page is not None:
            job.open_page(page.url_here)
        yield
    finally:
        await page.aclose()


async def _worker(job: Job, server: LiveKitServer, settings: Settings) -> Worker:
    from story.transports.livekit.job import Crew, Recipe
    from story.transports.livekit.loading import allowed_stacks, load
    from story.transports.livekit.orders import models_of
    from story.transports.livekit.worker import Worker, Working

    allowed = allowed_stacks(job.plan, job.allow_stacks, job.plugins.registry, settings)
    await load(job.plan, allowed, job.plugins, settings)
    recipe = Recipe(
        chain=job.chain,
        stacks=dict(job.stacks),
        env_file=job.env_file,
        env=dict(settings.env),
        providers={name: dict(options) for name, options in settings.overrides.items()},
        allowed=models_of(allowed),
        max_duration=job.max_duration,
        records=job.records,
    )
    working = Working(
        server=server,
        agent_name=job.agent_name,
        max_calls=job.max_calls,
        jobs=job.jobs,
        drain_timeout=job.drain_timeout,
        host=job.host,
        health_port=job.health_port,
        prometheus_port=job.prometheus_port,
    )
    return Worker(working, Crew(recipe, job.plan, job.plugins, settings))


@contextmanager
def told(observer: Callable[[Event], None]) -> Iterator[None]:
    """Within the block `observer` gets the events of the worker's calls, on any thread."""
    from story.transports.livekit.job import EVENTS

    handler = _Events(observer)
    EVENTS.addHandler(handler)
    before, EVENTS.propagate = EVENTS.propagate, False
    EVENTS.setLevel(logging.INFO)
    try:
        yield
    finally:
        EVENTS.propagate = before
        EVENTS.removeHandler(handler)


class _Events(logging.Handler):
    def __init__(self, observer: Callable[[Event], None]) -> None:
        super().__init__()
        self._observer = observer

    def emit(self, record: logging.LogRecord) -> None:
        self._observer(record.story_event)  # type: ignore[attr-defined]
