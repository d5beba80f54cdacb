"""The figures of /metrics, as Prometheus reads them."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from story.core import events
from story.transports.web.metrics import Metrics

CALL = {"call": "call_1", "t": 1.0, "persona": "intro"}


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Name and label values -> value."""
    families = text_string_to_metric_families(metrics.text().decode())
    return {(one.name, tuple(one.labels.values())): one.value for family in families for one in family.samples}


def ended(reason: str) -> events.CallEnded:
    return events.CallEnded(**CALL, reason=reason, data={}, usage={}, duration=3.0)  # type: ignore[arg-type]


def turn(**metrics: float) -> events.AgentTurn:
    return events.AgentTurn(**CALL, text="Hello.", metrics=metrics)  # type: ignore[arg-type]


def fault(provider: str | None, where: str) -> events.CallFault:
    return events.CallFault(**CALL, where=where, provider=provider, message="no", recoverable=True)  # type: ignore[arg-type]


def test_what_calls_tell_is_counted() -> None:
    metrics = Metrics(lambda: 2)
    started = events.CallStarted(**CALL, chain="two", transport="web", stacks={}, version="1")  # type: ignore[arg-type]
    for event in (
        started,
        started,
        started,
        turn(),
        turn(response_latency=0.3, llm_ttft=0.1),
        turn(response_latency=0.8),
        turn(response_latency=60.0),
        fault("deepgram", "stt"),
        fault("deepgram", "stt"),
        fault("deepgram", "tts"),
        fault(None, "transport"),
        ended("finished"),
        ended("finished"),
        ended("lost"),
    ):
        metrics.observe(event)
    metrics.refused("full")
    found = samples(metrics)
    assert found["story_calls_active", ()] == 2
    assert found["story_calls_started_total", ()] == 3
    assert found["story_calls_ended_total", ("finished",)] == 2
    assert found["story_calls_ended_total", ("lost",)] == 1
    assert found["story_calls_refused_total", ("full",)] == 1
    assert found["story_errors_total", ("deepgram", "stt")] == 2
    assert found["story_errors_total", ("deepgram", "tts")] == 1
    assert found["story_errors_total", ("", "transport")] == 1
    latency = {labels[0]: value for (name, labels), value in found.items() if name.endswith("latency_seconds_bucket")}
    assert (latency["0.25"], latency["0.5"], latency["0.75"], latency["1.0"]) == (0, 1, 1, 2)
    assert (latency["10.0"], latency["+Inf"]) == (2, 3)
    assert found["story_turn_latency_seconds_count", ()] == 3
    assert found["story_turn_latency_seconds_sum", ()] == 0.3 + 0.8 + 60.0


def test_two_servers_in_one_process_count_for_themselves() -> None:
    one, other = Metrics(lambda: 0), Metrics(lambda: 0)
    one.observe(ended("finished"))
    assert ("story_calls_ended_total", ("finished",)) not in samples(other)
