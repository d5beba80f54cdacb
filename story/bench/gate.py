"""Limits that a run has to keep, for CI."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from story.bench.statistics import Spread
from story.bench.summary import StackFigures
from story.bench.terminal import dollars, milliseconds, per_cent
from story.core.errors import ConfigError


@dataclass(frozen=True)
class Limit:
    """most: a figure may be no more than that (else: no less). told: how it reads."""

    what: str
    figure: Callable[[StackFigures], float | None]
    told: Callable[[float | None], str]
    most: bool = True


@dataclass(frozen=True)
class Verdict:
    stack: str
    what: str
    found: str
    limit: str
    most: bool
    passed: bool


def _share(spread: Callable[[StackFigures], Spread | None], share: int) -> Callable[[StackFigures], float | None]:
    return lambda one: found[share] if (found := spread(one)) is not None else None


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{milliseconds(seconds)} ms"


LIMITS: Mapping[str, Limit] = {
    **{
        f"p{share}": Limit(f"p{share} of the response latency", _share(lambda one: one.latency, share), _ms)
        for share in (50, 90, 95, 99)
    },
    "handoff": Limit("p95 of the handoff gap", _share(lambda one: one.handoff, 95), _ms),
    "barge_in": Limit("p95 of the time to fall silent", _share(lambda one: one.barge_in, 95), _ms),
    "wer": Limit("word error rate", lambda one: one.wer, per_cent),
    "intelligibility": Limit("words of the voice not understood", lambda one: one.intelligibility, per_cent),
    "failures": Limit("failed calls", lambda one: 1 - one.ok / one.calls if one.calls else None, per_cent),
    "facts": Limit("facts right", lambda one: one.facts, per_cent, most=False),
    "cost": Limit("cost a minute", lambda one: one.cost_a_minute, dollars),
}


def judge(found: Sequence[StackFigures], limits: Mapping[str, float]) -> list[Verdict]:
    """Each limit for each stack. A figure that was not seen fails, and so does a stack that could not be built.

    Raises:
        ConfigError: a limit on a cost that rests on a price which no source gives.
    """
    verdicts: list[Verdict] = []
    for one in found:
        if one.unbuilt:
            verdicts.append(Verdict(one.stack, "built", f"no ({one.unbuilt})", "yes", False, False))
            continue
        for name, value in limits.items():
            limit = LIMITS[name]
            if name == "cost" and one.assumed:
                raise ConfigError(f"{one.stack}: a price is assumed, and gates nothing: give it a source with --prices")
            seen = limit.figure(one)
            passed = seen is not None and (seen <= value if limit.most else seen >= value)
            verdicts.append(Verdict(one.stack, limit.what, limit.told(seen), limit.told(value), limit.most, passed))
    return verdicts


def quantity(text: str) -> float:
    """A limit as it is written: "1200ms", "1.2s", "5%", "0.05", "$0.02". Seconds, shares, dollars.

    Raises:
        ConfigError: it is none of these.
    """
    found = re.fullmatch(r"\$?(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|%)?", text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no limit: write 1200ms, 1.2s, 5% or 0.05")
    return float(found[1]) * {"ms": 0.001, "%": 0.01}.get(found[2] or "", 1.0)
