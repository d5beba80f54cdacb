"""Who used how much of which model: livekit counts by model, a call wants it by persona as well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakSet

from livekit.agents.metrics import AgentMetrics, ModelUsageCollector


@dataclass
class Usage:
    """Adds up the metrics that model objects report, under the persona that has the word.

    persona: says who that is now.
    """

    persona: Callable[[], str | None]
    listeners: list[Callable[[AgentMetrics], None]] = field(default_factory=list)
    """Get all that is reported, before it is counted."""
    _collectors: dict[str, ModelUsageCollector] = field(default_factory=dict)
    _followed: WeakSet[object] = field(default_factory=WeakSet)

    def follow(self, source: object) -> None:
        """Count what a model object reports, or the session of a realtime model; each counts once."""
        if source not in self._followed and callable(on := getattr(source, "on", None)):
            self._followed.add(source)
            on("metrics_collected", self.collect)

    def collect(self, metrics: AgentMetrics) -> None:
        """A listener for the `metrics_collected` event of a model object."""
        for listener in self.listeners:
            listener(metrics)
        self._collectors.setdefault(self.persona() or "", ModelUsageCollector()).collect(metrics)

    def as_dict(self) -> dict[str, object]:
        """persona -> [{type, provider, model, and every count that is not zero}]; seconds, tokens, characters."""
        return {
            persona: [
                {name: count for name, count in usage.model_dump().items() if count} for usage in collector.flatten()
            ]
            for persona, collector in self._collectors.items()
        }
