"""`story run`: what its options mean."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from story import calls, emulating, starting, working
from story.core.errors import ConfigError
from story.core.registry import DEFAULT_CHAIN
from story.orders import Orders
from story.plain import PlainCommand
from story.wanted import Wanted

if TYPE_CHECKING:
    from story.serving_log import Log
    from story.transports.web.serve import Service, Serving

DEFAULT_PORT = 8765
DEFAULT_MAX_CALLS = 10
DEFAULT_MAX_DURATION = 1800.0
TRANSPORTS = ("auto", "web", "livekit")

Host = Annotated[
    str, typer.Option("--host", help="The address to listen on. Any but loopback needs the token that is printed.")
]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one.")]
Open = Annotated[bool, typer.Option("--open", help="Open the page in your browser.")]
MaxCalls = Annotated[
    int | None,
    typer.Option("--max-calls", min=1, max=10_000, help="How many calls at once. [10; --jobs process: 5 a core]"),
]
Stun = Annotated[list[str] | None, typer.Option("--stun", metavar="HOST:PORT", help="A STUN server. Repeatable.")]
Turn = Annotated[
    list[str] | None, typer.Option("--turn", metavar="USER:PASSWORD@HOST:PORT", help="A TURN server. Repeatable.")
]
IceAddress = Annotated[
    list[str] | None,
    typer.Option("--ice-address", metavar="ADDRESS", help="Where callers' sound may come in; all by default."),
]
TransportName = Annotated[
    str, typer.Option("--transport", metavar="auto|web|livekit", help="How callers come in; auto: what is set up.")
]
TlsCert = Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain, PEM.")]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its private key, PEM.")]


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    app.command(cls=PlainCommand)(run)


def run(
    ctx: typer.Context,
    *,
    host: Host = "127.0.0.1",
    port: Port = DEFAULT_PORT,
    open_page: Open = False,
    chain: calls.ChainName = DEFAULT_CHAIN,
    intro_stack: calls.IntroStack = None,
    story_stack: calls.StoryStack = None,
    stack: calls.Stacks = None,
    env_file: calls.EnvFile = None,
    max_calls: MaxCalls = None,
    max_duration: calls.MaxDuration = None,
    record: calls.Records = None,
    transport: TransportName = "auto",
    stun: Stun = None,
    turn: Turn = None,
    ice_address: IceAddress = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    agent_name: working.AgentName = working.DEFAULT_AGENT_NAME,
    jobs: working.Jobs = "thread",
    drain_timeout: working.DrainTimeout = DEFAULT_MAX_DURATION,
    health_port: working.HealthPort = working.DEFAULT_HEALTH_PORT,
    prometheus_port: working.PrometheusPort = None,
    allow_stacks: working.AllowStacks = None,
    page: working.Page = True,
    wait: working.Wait = False,
    use_dev_server: working.DevServer = False,
    dev_port: working.DevPort = working.DEFAULT_DEV_PORT,
    emulate: emulating.Emulate = False,
    brain: emulating.Brain = None,
    heard: emulating.Heard = None,
    speech: emulating.Speech = None,
    profile: emulating.Profile = None,
    fault: emulating.Fault = None,
    seed: emulating.Seed = None,
    as_json: Annotated[bool, typer.Option("--json", help="Log in JSON, one object a line.")] = False,
    yes: calls.Yes = False,
) -> None:
    """Serve calls: on a page of its own, or where LIVEKIT_URL is set in rooms of LiveKit."""
    began = time.monotonic()
    starting.hasten()
    from story.core.records import check_folder
    from story.logs import logged
    from story.serving_log import Log
    from story.transports.web.ice import Ice, ice_servers
    from story.transports.web.serve import Serving
    from story.workspace import usable

    if transport not in TRANSPORTS:
        raise typer.BadParameter(f"--transport {transport!r}: one of {', '.join(TRANSPORTS)}")
    if jobs not in working.JOBS:
        raise typer.BadParameter(f"--jobs {jobs!r}: one of {', '.join(working.JOBS)}")
    if not host.strip():
        raise typer.BadParameter("--host is empty: 0.0.0.0 listens on every address of this machine")
    stacks = calls.stacks_of(stack, intro=intro_stack, story=story_stack)
    stand_ins = calls.stand_ins_of(
        emulate, brain=brain, heard=heard, speech=speech, profile=profile, faults=fault, seed=seed
    )
    space = usable(ctx.obj, env_file)
    in_rooms, livekit = working.where(transport, space.settings, use_dev_server)
    wanted = Wanted.of(space, chain, stacks, stand_ins)
    settings, plugins = wanted.settings, wanted.plugins
    records = record or settings.call.records
    if records is not None:
        check_folder(records)
    longest = max_duration or settings.call.max_duration or DEFAULT_MAX_DURATION
    notice = "The vendors are emulated on this machine." if wanted.emulation else None
    log, secured = Log(as_json), _tls(tls_cert, tls_key)
    if in_rooms:
        _check_for_rooms(stun=stun, turn=turn, ice_address=ice_address, open_page=open_page, page=page)
        plan = wanted.plan()
        job = working.Job(
            server=livekit,
            dev_port=dev_port,
            wait=wait,
            agent_name=agent_name,
            plan=plan,
            chain=chain,
            stacks=stacks,
            plugins=plugins,
            settings=settings,
            env_file=env_file,
            allow_stacks=allow_stacks,
            max_calls=max_calls or working.calls_at_once(jobs),
            max_duration=longest,
            records=records,
            jobs=jobs,
            drain_timeout=drain_timeout,
            host=host,
            port=port,
            page=page,
            open_page=_open if open_page else None,
            tls=secured,
            health_port=health_port,
            prometheus_port=prometheus_port,
            notice=notice,
        )
        if livekit is not None and not wait:  # before a gigabyte of weights is fetched
            asyncio.run(working.check(livekit))
        wanted.fetch(plan, yes=yes)
        with settings.exported(), logged(settings):
            starting.run(_work(job, wanted, log, began))
        return
    serving = Serving(
        chain=chain,
        plugins=plugins,
        host=host,
        port=port,
        max_calls=max_calls or DEFAULT_MAX_CALLS,
        max_duration=longest,
        records=records,
        ice=Ice(ice_servers(stun or (), turn or ()), tuple(ice_address or ())),
        tls=secured,
        notice=notice,
        emulated=wanted.emulation is not None,
    )
    with settings.exported(), logged(settings):
        while not starting.run(_serve(serving, wanted, log, began, open_page=open_page)):
            wanted.fetch(wanted.plan(), yes=yes)


def _check_for_rooms(
    *,
    stun: list[str] | None,
    turn: list[str] | None,
    ice_address: list[str] | None,
    open_page: bool,
    page: bool,
) -> None:
    """Raises ConfigError where an option would do nothing."""
    named = {"--stun": stun, "--turn": turn, "--ice-address": ice_address}
    if of_no_use := [name for name, given in named.items() if given]:
        raise ConfigError(
            f"{', '.join(of_no_use)}: the way of the sound into rooms is their LiveKit server's to say; leave it out, "
            "or --transport web"
        )
    if open_page and not page:
        raise ConfigError("--open opens the page: leave it out, or --no-page")


async def _work(job: working.Job, wanted: Wanted, log: Log, began: float) -> None:
    async with wanted.reached() as settings:
        await working.work(replace(job, settings=settings), log, began)


async def _serve(serving: Serving, wanted: Wanted, log: Log, began: float, *, open_page: bool) -> bool:
    """Serve until told to stop; False where something has to be fetched before that, about which the user is asked."""
    from story.transports.web.serve import Service

    orders = Orders()
    service = Service(serving, log.event)
    with orders.by_signal():
        await service.start()  # first of all: the page is there while the rest is imported
        async with AsyncExitStack() as closing:
            closing.push_async_callback(service.aclose)
            plan = await asyncio.to_thread(wanted.plan_if_here)
            if plan is None:
                return False
            async with wanted.reached() as settings, closing.pop_all():  # its goodbyes need the vendors
                service.open(plan, settings)
                log.serving(service, serving, plan)
                if open_page:
                    _open(service.server.url_here)
                await _until_stopped(service, log, began, orders)
    return True


async def _until_stopped(service: Service, log: Log, began: float, orders: Orders) -> None:
    loading = asyncio.create_task(service.load())
    stopping = asyncio.create_task(orders.stop.wait())
    await asyncio.wait([loading, stopping], return_when=asyncio.FIRST_COMPLETED)
    if loading.done():
        loading.result()
        starting.settle()
        log.ready(time.monotonic() - began)
    await stopping
    log.stopping(service.house.active)
    loading.cancel()
    await asyncio.wait([loading])


def _open(url: str) -> None:
    """Open the page in the user's browser; some browsers return only when they are closed."""
    import webbrowser

    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None and key is None:
        return None
    if cert is None:
        raise typer.BadParameter("--tls-key is of no use without --tls-cert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except OSError as error:  # SSLError is one
        what = error.strerror or "no certificate with its key, in PEM"
        raise ConfigError(f"can't use the certificate {cert}{f' with {key}' if key else ''}: {what}") from None
    return context


def _no_password() -> str:
    """Instead of OpenSSL's own question on the terminal, which nobody may be there to answer."""
    return ""
