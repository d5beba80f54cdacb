"""What a call costs: its usage at the prices of a table, each with its date and source, or of `voice-prices`."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from story.core.registry import PRICED, ModelPrice, Role
from story.core.resolved import ResolvedStack
from story.core.toml import TomlFile, read_toml

UNITS: Mapping[str, tuple[tuple[str, ...], float]] = {
    "input_mtok": (("input_tokens",), 1e6),
    "output_mtok": (("output_tokens",), 1e6),
    "audio_minute": (("audio_duration",), 60.0),
    "kchars": (("characters_count",), 1e3),
    "session_minute": (("session_duration",), 60.0),
}
"""Unit of a price -> the counts of a call's usage that it is for, and how many of them one price buys."""
_ABOUT = ("source", "date")
_ON_DEVICE = frozenset(("local", "silero"))
"""Providers whose models run on this machine."""


@dataclass(frozen=True)
class Price:
    """Dollars by unit. source, date: where it is published and when that was looked at; assumed: one is missing."""

    units: Mapping[str, float]
    source: str = ""
    date: str = ""

    @property
    def assumed(self) -> bool:
        return not (self.source and self.date)

    def of(self, usage: Mapping[str, Any]) -> float:
        """Dollars for what was used."""
        return sum(
            dollars * sum(float(usage.get(count, 0)) for count in UNITS[unit][0]) / UNITS[unit][1]
            for unit, dollars in self.units.items()
        )


@dataclass(frozen=True)
class Cost:
    """Dollars by "persona role"; missing: the models without any price; assumed: those whose price has no source.
    prices: "provider role model" -> what was reckoned with."""

    by: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    prices: Mapping[str, Price] = field(default_factory=dict)

    @property
    def total(self) -> float | None:
        return None if self.missing else sum(self.by.values())


@dataclass(frozen=True)
class Prices:
    """entries: (provider, role, model or "*") -> price, those of the user. brought: those of plugins. The first win
    over the second, and these over `voice-prices`."""

    entries: Mapping[tuple[str, str, str], Price] = field(default_factory=dict)
    brought: Mapping[tuple[str, str, str], Price] = field(default_factory=dict)

    def cost(self, usage: Mapping[str, Any], stacks: Mapping[str, ResolvedStack]) -> Cost:
        """usage: as `call_ended` tells it. stacks: persona -> its stack, which says whose a model is."""
        by: dict[str, float] = {}
        missing: dict[str, None] = {}
        assumed: dict[str, None] = {}
        prices: dict[str, Price] = {}
        for persona, role, model, used in _used(usage):
            provider, named = _whose(role, model, stacks.get(persona) or next(iter(stacks.values())))
            found = self._price(provider, role, named, used)
            if found is None:
                missing[f"{provider}/{named}"] = None
                continue
            dollars, price = found
            if price is not None:
                prices[f"{provider} {role} {named}"] = price
                if price.assumed:
                    assumed[f"{provider}/{named}"] = None
            key = f"{persona} {role}"
            by[key] = by.get(key, 0.0) + dollars
        return Cost({name: round(dollars, 6) for name, dollars in by.items()}, tuple(missing), tuple(assumed), prices)

    def _price(
        self, provider: str, role: str, model: str, used: Mapping[str, Any]
    ) -> tuple[float, Price | None] | None:
        """Dollars, and by which price, where it costs anything; None: there is none."""
        for known in (self.entries, self.brought):
            for place in ((provider, role, model), (provider, role, "*")):
                if place in known:
                    return known[place].of(used), known[place]
        if provider in _ON_DEVICE:
            return 0.0, None
        return _published(provider, role, model, used)


def _used(usage: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """persona, role, model and counts."""
    for persona, models in usage.items():
        for used in models:
            role = str(used.get("type", "")).removesuffix("_usage")
            if role in ("stt", "llm", "tts"):
                yield persona, role, str(used.get("model", "")), used


def _whose(role: str, model: str, stack: ResolvedStack) -> tuple[str, str]:
    """provider and model, by the names of the stack: livekit's plugins name a provider by its address."""
    wanted = [Role.REALTIME, Role.LLM] if role == "llm" else [Role(role)]
    refs = [ref for ref in stack.refs if ref.role in wanted]
    if not refs:  # what writes down the caller's words beside a realtime model
        return next((ref.provider for ref in stack.refs if ref.role is Role.REALTIME), "unknown"), model
    for ref in refs:
        if ref.model.rpartition("/")[2] == model:
            return ref.provider, model
    return refs[0].provider, refs[0].model.rpartition("/")[2]


def _published(provider: str, role: str, model: str, used: Mapping[str, Any]) -> tuple[float, Price] | None:
    """Dollars by `voice-prices`, and its price, in its own units; None: it has none. Without the date when it was last
    looked at a price is assumed."""
    from voice_prices import Usage, calc_price

    match role:
        case "stt":
            seconds = used.get("audio_duration") or used.get("input_audio_tokens", 0) / _TOKENS_A_SECOND
            usage = Usage(audio_input_seconds=Decimal(str(seconds)))
        case "tts" if not used.get("input_tokens"):
            usage = Usage(characters=int(used.get("characters_count", 0)))
        case _:
            counts = {ours: int(used.get(theirs, 0)) or None for ours, theirs in _TOKENS.items()}
            usage = Usage(**counts)  # type: ignore[arg-type]
    try:
        found = calc_price(usage, model, provider_id=provider)
    except LookupError:
        return None
    if found.unpriced_usage:
        return None
    units = {f.name: getattr(found.model_price, f.name) for f in fields(found.model_price)}
    units = {name: getattr(dollars, "base", dollars) for name, dollars in units.items()}  # the first of several tiers
    provenance = found.model.provenance
    verified = provenance.last_verified if provenance is not None else None
    source = found.model.pricing_source_url or next(iter(found.provider.pricing_urls or ()), "voice-prices")
    price = Price(
        {name: float(dollars) for name, dollars in units.items() if isinstance(dollars, Decimal)},
        source,
        verified.isoformat() if verified is not None else "",
    )
    return float(found.total_price), price


_TOKENS_A_SECOND = 10
"""Of a caller's sound, as OpenAI counts them (a token every 100 ms)."""
_TOKENS = {
    "input_tokens": "input_tokens",
    "cache_read_tokens": "input_cached_tokens",
    "output_tokens": "output_tokens",
    "input_audio_tokens": "input_audio_tokens",
    "cache_audio_read_tokens": "input_cached_audio_tokens",
    "output_audio_tokens": "output_audio_tokens",
}


def load_prices(paths: Sequence[Path], brought: Sequence[ModelPrice] = ()) -> Prices:
    """The prices of TOML files, of which later ones win, and those that plugins brought.

    Raises:
        ConfigError: with file, line and key.
    """
    entries: dict[tuple[str, str, str], Price] = {}
    for path in paths:
        toml = read_toml(path)
        for provider, roles in toml.data.items():
            for role, models in _table(toml, (provider,), roles).items():
                if role not in PRICED:
                    raise toml.error((provider, role), "is no role: stt, llm, tts or realtime")
                for model, price in _table(toml, (provider, role), models).items():
                    entries[provider, _counted_as(role), model] = _read(toml, (provider, role, model), price)
    return Prices(entries, {(one.provider, _counted_as(one.role), one.model): _brought(one) for one in brought})


def _counted_as(role: str) -> str:
    """The role under which livekit counts what a model uses."""
    return "llm" if role == "realtime" else role


def _brought(price: ModelPrice) -> Price:
    return Price(price.units, price.source, price.date.isoformat() if price.date else "")


def _read(toml: TomlFile, keys: tuple[str, ...], value: object) -> Price:
    units: dict[str, float] = {}
    about = {"source": "", "date": ""}
    for name, given in _table(toml, keys, value).items():
        if name in _ABOUT:
            about[name] = given.isoformat() if isinstance(given, datetime.date) else str(given)
        elif name not in UNITS:
            raise toml.error((*keys, name), f"is no unit: one of {', '.join(UNITS)}, or source, date")
        elif isinstance(given, bool) or not isinstance(given, int | float) or given < 0:
            raise toml.error((*keys, name), "is a number of dollars")
        else:
            units[name] = float(given)
    if not units:
        raise toml.error(keys, f"has no price: one of {', '.join(UNITS)}")
    return Price(units, about["source"], about["date"])


def _table(toml: TomlFile, keys: tuple[str, ...], value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise toml.error(keys, "is a table")
    return value
