"""Figures of a server's calls, in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from story.core import events

LATENCY_BUCKETS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)


class Metrics:
    """Counts what calls tell. active: how many there are now. registry: where the figures are kept."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, active: Callable[[], int], registry: CollectorRegistry | None = None) -> None:
        self._registry = registry = registry or CollectorRegistry()
        Gauge("story_calls_active", "Calls under way.", registry=registry).set_function(lambda: float(active()))
        self._started = Counter("story_calls_started", "Calls that began.", registry=registry)
        self._ended = Counter("story_calls_ended", "Calls that ended.", ["reason"], registry=registry)
        self._refused = Counter("story_calls_refused", "Calls that were not taken.", ["why"], registry=registry)
        self._latency = Histogram(
            "story_turn_latency_seconds",
            "From the caller's last sound to the agent's first.",
            registry=registry,
            buckets=LATENCY_BUCKETS,
        )
        self._errors = Counter("story_errors", "What went wrong.", ["provider", "where"], registry=registry)

    def observe(self, event: events.Event) -> None:
        """An observer of calls."""
        match event:
            case events.CallStarted():
                self._started.inc()
            case events.CallEnded():
                self._ended.labels(event.reason).inc()
            case events.AgentTurn():
                if (latency := event.metrics.get("response_latency")) is not None:
                    self._latency.observe(latency)
            case events.CallFault():
                self._errors.labels(event.provider or "", event.where).inc()

    def refused(self, why: str) -> None:
        """A call was not taken. why: one of a few words, since each makes a series of its own."""
        self._refused.labels(why).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)
