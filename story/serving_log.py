"""What the user of `story run` sees of it."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import typer

from story.core.errors import printable

if TYPE_CHECKING:
    from story.core.events import Event
    from story.core.plan import Plan
    from story.transports.web.serve import Service, Serving


class Log:
    """What the user of `story run` sees of it."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json

    def serving(self, service: Service, serving: Serving, plan: Plan) -> None:
        url = service.server.url
        if self._as_json:
            stacks = {key: str(stack) for key, stack in plan.stacks.items()}
            self._json({"type": "serving", "url": url, "chain": plan.name, "stacks": stacks, "why": plan.why})
        else:
            typer.echo(f"story is at {url}")
            if service.server.url_here != url:
                typer.echo(f"On this machine: {service.server.url_here}")
            typer.echo()
            for line in about(plan, serving.notice):
                typer.echo(f"  {line}")
            typer.echo("\nLoading the models...  (Ctrl-C stops)")
        if service.server.exposed and serving.tls is None:
            typer.echo(
                "Without TLS browsers give no microphone to pages of other machines, and the token can be read on"
                " the way: add --tls-cert and --tls-key, or put a server that has them in front.",
                err=True,
            )

    def ready(self, seconds: float) -> None:
        if self._as_json:
            self._json({"type": "ready", "seconds": round(seconds, 3)})
        else:
            typer.echo(f"Ready for calls after {seconds:.1f} s.")

    def stopping(self, active: int) -> None:
        if self._as_json:
            self._json({"type": "stopping", "calls": active})
        elif active:
            typer.echo(f"Stopping: saying goodbye in {active} call{'s' if active > 1 else ''}.")

    def waiting(self, why: str) -> None:
        """There is no LiveKit server yet."""
        if self._as_json:
            self._json({"type": "waiting", "why": why})
        else:
            typer.echo(f"Waiting: {why}", err=True)

    def dev_server(self, url: str, key: str, secret: str | None) -> None:
        """There is a server of our own. secret: None where the user knows it."""
        if self._as_json:
            told: dict[str, object] = {"type": "dev_server", "url": url, "key": key}
            self._json(told if secret is None else {**told, "secret": secret})
        elif secret is not None:
            typer.echo(f"export LIVEKIT_URL={url} LIVEKIT_API_KEY={key} LIVEKIT_API_SECRET={secret}\n")

    def working(self, plan: Plan, url: str, agent: str, notice: str | None) -> None:
        """There is one, and what a worker for it needs is about to be loaded."""
        if self._as_json:
            told: dict[str, object] = {"type": "working", "url": url, "agent": agent, "chain": plan.name}
            told |= {"stacks": {key: str(stack) for key, stack in plan.stacks.items()}, "why": plan.why}
            self._json(told)
            return
        rooms = f"as the agent {agent}" if agent else "in every room"
        typer.echo(f"story works for {url} {rooms}\n")
        for line in about(plan, notice):
            typer.echo(f"  {line}")
        typer.echo("\nLoading the models...  (Ctrl-C stops)")

    def page(self, url: str) -> None:
        """There is a page that leads into its rooms."""
        if self._as_json:
            self._json({"type": "page", "url": url})
        else:
            typer.echo(f"The page is at {url}")

    def no_page(self, agent: str, *, wanted: bool) -> None:
        """There is none; callers come by other ways. wanted: whether it was to be opened."""
        if wanted:
            typer.echo("--open: there is no page here, see docs/operations.md", err=True)
        if not self._as_json:
            from story.rooms import token_command
            from story.transports.livekit.tokens import PLAYGROUND

            typer.echo(f"To try it: {token_command(agent)}, for {PLAYGROUND}")

    def registered(self, seconds: float) -> None:
        """The server has taken the worker on."""
        if self._as_json:
            self._json({"type": "registered", "seconds": round(seconds, 3)})
        else:
            typer.echo(f"Registered after {seconds:.1f} s: ready for calls.")

    def draining(self, active: int) -> None:
        """The worker takes no more calls, and waits for the end of those it has."""
        if self._as_json:
            self._json({"type": "draining", "calls": active})
        elif active:
            calls = f"{active} call{'s' if active > 1 else ''}"
            typer.echo(f"Taking no more calls, waiting for the end of {calls}. Again: say goodbye now.")

    def event(self, event: Event) -> None:
        if self._as_json:
            if event.recorded:
                self._json(event.as_dict())
        elif told := _told(event):
            typer.echo(f"{time.strftime('%H:%M:%S')} {event.call} {printable(told)}")

    @staticmethod
    def _json(message: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def _told(event: Event) -> str | None:
    from story.core import events
    from story.transcript import told_end

    match event:
        case events.CallStarted():
            return "began"
        case events.Handoff():
            return f"{event.from_} hands over to {event.to}"
        case events.Fallback():
            return f"{event.role}: {event.from_} failed, on with {event.to}"
        case events.CallFault():
            return f"{event.where}: {event.message}"
        case events.CallEnded():
            return told_end(event).removeprefix("-- ")
    return None


def about(plan: Plan, notice: str | None) -> list[str]:
    """Chain, stacks and why these, a line each."""
    width = max(len(key) for key in ("chain", *plan.stacks))
    lines = [f"{'chain':<{width}}  {plan.name}"]
    for key, stack in plan.stacks.items():
        lines.append(f"{key:<{width}}  {stack.text or stack}")
    if plan.why:
        lines.append(plan.why)
    return [*lines, *plan.warnings, *([notice] if notice else [])]
