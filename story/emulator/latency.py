"""How long each vendor takes to answer: distributions by vendor, role, model and stage, drawn with a seed.

A latency is a deadline that starts with the last byte (or the last sound) of what is answered. Synthesis and encoding
happen within it and do not come on top.
"""

from __future__ import annotations

import datetime
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from story.core.errors import ConfigError
from story.core.nearest import did_you_mean
from story.core.toml import TomlFile, read_toml

BUILT_IN = Path(__file__).parent / "profiles"
ROLES = ("stt", "llm", "tts", "realtime")
MOST_SERIES = 1_000
"""Of drawn values that are remembered: clients may name any model."""
_Z95 = 1.6448536269514722
"""The 95th percentile of the standard normal distribution."""


class Stage(StrEnum):
    """What of an answer takes time."""

    CONNECT = "connect"
    """From the request of a websocket to its handshake, seconds."""
    FIRST = "first"
    """From the end of what is answered to the first result: a recogniser's final words after the last sound, a
    language model's first token, a voice's first sound; seconds."""
    TOKEN = "token"
    """Between two tokens, seconds."""
    AUDIO = "audio"
    """Between two seconds of sound, seconds (1: in real time)."""


@dataclass(frozen=True)
class Source:
    """Where a figure is published."""

    address: str
    date: str
    quotation: str


@dataclass(frozen=True)
class Distribution:
    """A log-normal distribution with this median and 95th percentile (seconds). source: None where it is assumed."""

    median: float
    p95: float
    source: Source | None = None

    def draw(self, rng: random.Random) -> float:
        """One value; always the median where the two figures are equal."""
        if self.median <= 0 or self.p95 <= self.median:
            return self.median
        return self.median * math.exp(rng.gauss(0, math.log(self.p95 / self.median) / _Z95))


AT_ONCE = Distribution(0.0, 0.0)


@dataclass(frozen=True)
class Profile:
    """The latencies of all vendors. `entries`: ("deepgram", "stt", model, "aura-2-*" or "*") -> stage -> distribution.

    fixed: the figures are the profile's own and claim nothing about a vendor, so none of them counts as assumed.
    """

    name: str
    entries: Mapping[tuple[str, str, str], Mapping[Stage, Distribution]] = field(default_factory=dict)
    fixed: bool = False

    def find(self, vendor: str, role: str, model: str, stage: Stage) -> Distribution:
        """The most particular entry: this vendor's model, the models that begin so, this vendor, any vendor; else no
        time at all."""
        begun = [name for name in self._beginnings.get((vendor, role), ()) if model.startswith(name[:-1])]
        for place in ((vendor, role, model), *((vendor, role, name) for name in begun), ("*", role, "*")):
            found = self.entries.get(place, {}).get(stage)
            if found is not None:
                return found
        return AT_ONCE

    @cached_property
    def _beginnings(self) -> Mapping[tuple[str, str], list[str]]:
        """("deepgram", "tts") -> its models' names that end with a star, the longest first."""
        beginnings: dict[tuple[str, str], list[str]] = {}
        for vendor, role, model in sorted(self.entries, key=lambda place: -len(place[2])):
            if model.endswith("*"):
                beginnings.setdefault((vendor, role), []).append(model)
        return beginnings

    @property
    def assumed(self) -> tuple[str, ...]:
        """The figures that no source gives, as "vendor role model stage"."""
        if self.fixed:
            return ()
        return tuple(
            " ".join((*place, str(stage)))
            for place, stages in self.entries.items()
            for stage, distribution in stages.items()
            if distribution.source is None
        )


INSTANT = Profile("instant", fixed=True)


class Latencies:
    """Draws from a profile. The same seed gives each vendor, model and stage the same series of values."""

    def __init__(self, profile: Profile = INSTANT, *, seed: int = 0) -> None:
        self.profile = profile
        self.seed = seed
        self._generators: dict[tuple[str, str, str, Stage], random.Random] = {}

    def draw(self, vendor: str, role: str, model: str, stage: Stage) -> float:
        """Seconds. role: "stt", "llm", "tts" or "realtime"."""
        series = (vendor, role, model, stage)
        generator = self._generators.get(series)
        if generator is None:
            if len(self._generators) == MOST_SERIES:
                del self._generators[next(iter(self._generators))]
            generator = self._generators[series] = random.Random(f"{self.seed}/{'/'.join(series)}")
        return self.profile.find(vendor, role, model, stage).draw(generator)


def load_profile(name: str) -> Profile:
    """A built-in profile ("instant", "baseline", "typical") or one in a TOML file.

    The file has a table for each vendor, role and model, `"*"` for any and `"aura-2-*"` for those that begin so, and in
    it the stages in seconds:

        [deepgram.stt.nova-3]
        first = { median = 0.25, p95 = 0.4, source = "https://...", date = "2026-11-20", quotation = "..." }
        connect = 0.1                         # always; a figure without a source is assumed

    Raises:
        ConfigError: there is no such profile, or it can't be read; with file, line and key.
    """
    if name == INSTANT.name:
        return INSTANT
    path = BUILT_IN / f"{name}.toml"
    if not _is_file(path):
        path = Path(name)
        if not (name.endswith(".toml") or _is_file(path)):
            known = [INSTANT.name, *sorted(found.stem for found in BUILT_IN.glob("*.toml"))]
            hint = did_you_mean(name, known, otherwise=f"; there are {', '.join(known)}, or give a TOML file")
            raise ConfigError(f"unknown profile {name!r}{hint}")
    return _read(read_toml(path))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no name that a file could have
        return False


def _read(toml: TomlFile) -> Profile:
    entries: dict[tuple[str, str, str], dict[Stage, Distribution]] = {}
    fixed = toml.data.get("fixed", False)
    if not isinstance(fixed, bool):
        raise toml.error(("fixed",), "is true or false")
    for vendor, roles in toml.data.items():
        if vendor == "fixed":
            continue
        for role, models in _table(toml, (vendor,), roles).items():
            if role not in ROLES:
                hint = did_you_mean(role, ROLES, otherwise=f"; one of {', '.join(ROLES)}")
                raise toml.error((vendor, role), f"unknown role {role!r}{hint}")
            for model, stages in _table(toml, (vendor, role), models).items():
                keys = (vendor, role, model)
                entries[keys] = {
                    _stage(toml, keys, stage): _distribution(toml, (*keys, stage), value)
                    for stage, value in _table(toml, keys, stages).items()
                }
    return Profile(toml.path.stem, entries, fixed)


def _stage(toml: TomlFile, keys: tuple[str, ...], name: str) -> Stage:
    if name not in set(Stage):
        hint = did_you_mean(name, tuple(Stage), otherwise=f"; one of {', '.join(Stage)}")
        raise toml.error((*keys, name), f"unknown stage {name!r}{hint}")
    return Stage(name)


def _distribution(toml: TomlFile, keys: tuple[str, ...], value: object) -> Distribution:
    if not isinstance(value, dict):
        seconds = _seconds(toml, keys, value)
        return Distribution(seconds, seconds)
    known = ("median", "p95", "source", "date", "quotation")
    for name in value:
        if name not in known:
            raise toml.error((*keys, name), f"unknown key {name!r}{did_you_mean(name, known, otherwise='')}")
    if "median" not in value:
        raise toml.error((*keys, "median"), "is missing; it is a number of seconds")
    median = _seconds(toml, (*keys, "median"), value["median"])
    p95 = _seconds(toml, (*keys, "p95"), value.get("p95", median))
    if p95 < median:
        raise toml.error((*keys, "p95"), "is less than the median")
    told = {name: value.get(name) for name in known[2:]}
    if isinstance(told["date"], datetime.date):  # TOML has dates of its own
        told["date"] = told["date"].isoformat()
    if any(text is not None for text in told.values()):
        for name, text in told.items():
            if not (isinstance(text, str) and text):
                raise toml.error((*keys, name), "is missing; a published figure has source, date and quotation")
        return Distribution(median, p95, Source(str(told["source"]), str(told["date"]), str(told["quotation"])))
    return Distribution(median, p95)


def _seconds(toml: TomlFile, keys: tuple[str, ...], value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 3600:
        raise toml.error(keys, "is a number of seconds from 0 to 3600, or a table with median and p95")
    return float(value)


def _table(toml: TomlFile, keys: tuple[str, ...], value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise toml.error(keys, "is a table")
    return value
