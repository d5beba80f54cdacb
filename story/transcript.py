"""A spoken call, written down on the terminal while it happens."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from story.core import events
from story.core.errors import printable
from story.core.personas import Chain

REASONS = {
    "finished": "the story is over",
    "caller_left": "the caller hung up",
    "caller_silent": "the caller said nothing more",
    "time_limit": "the time was up",
    "error": "something went wrong",
    "shutdown": "the program was stopped",
    "lost": "the connection was lost",
}


def told_end(event: events.CallEnded) -> str:
    """How a call ended, in a line."""
    gathered = ", ".join(f"{name}: {value}" for name, value in event.data.items())
    told = f"-- {REASONS.get(event.reason, event.reason)} after {event.duration:.0f} s"
    return f"{told} ({gathered})" if gathered else told


class Transcript:
    """An observer that prints the turns of a call, who speaks, the handoffs and how it ended."""

    def __init__(self, chain: Chain, console: Console | None = None) -> None:
        self._chain = chain
        self._console = console or Console(highlight=False)

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.UserTurn():
                self._line("[bold green]You[/] >", event.text)
            case events.AgentTurn():
                latency = event.metrics.get("response_latency")
                after = f" [dim]({latency:.2f} s)[/]" if latency else ""
                self._line(
                    f"[bold cyan]{escape(self._speaker(event.persona))}[/] >",
                    event.text,
                    (" [dim]--[/]" if event.interrupted else "") + after,
                )
            case events.Handoff():
                gap = f", {event.gap:.2f} s" if event.gap is not None else ""
                self._console.print(f"[dim]-- {escape(event.from_)} hands over to {escape(event.to)}{gap}[/]")
            case events.Fallback():
                self._console.print(
                    f"[yellow]-- {escape(event.role)}: {escape(event.from_)} failed, on with {escape(event.to)}[/]"
                )
            case events.CallFault():
                self._console.print(f"[yellow]-- {escape(event.where)}: {escape(printable(event.message))}[/]")
            case events.CallEnded():
                self._console.print(f"[dim]{escape(printable(told_end(event)))}[/]")

    def _speaker(self, persona: str | None) -> str:
        return f"{self._chain.personas[persona].name} ({persona})" if persona else "Agent"

    def _line(self, speaker: str, text: str, more: str = "") -> None:
        self._console.print(f"{speaker} {escape(printable(text))}{more}")
