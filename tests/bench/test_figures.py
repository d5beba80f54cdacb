"""Percentiles, ranges, differences, prices and charts: figures that are known beforehand."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest

from story.bench.charts import pareto
from story.bench.ear import Heard, Said
from story.bench.gate import quantity
from story.bench.marks import Asked, Marks, parts
from story.bench.prices import Price, load_prices
from story.bench.statistics import difference, holm, spread
from story.core.errors import ConfigError
from story.core.plugins import load_plugins
from story.core.registry import ModelPrice, Role
from story.core.resolve import resolve
from story.core.settings import Settings


def test_percentiles_and_ranges() -> None:
    found = spread([[0.1 * n for n in range(1, 11)], [], [1.1]])
    assert found is not None and (found.count, found.calls) == (11, 2)
    assert found[50] == pytest.approx(0.6) and found[95] == pytest.approx(1.05)
    assert all(one.low <= one.value <= one.high for one in found.percentiles.values())
    assert spread([]) is None and spread([[]]) is None


def test_the_range_has_the_real_median_in_it_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(60):
        found = spread(rng.normal(1.0, 0.2, (20, 4)).tolist(), seed=seed)
        assert found is not None
        hits += found.percentiles[50].low <= 1.0 <= found.percentiles[50].high
    assert hits >= 52


def test_a_difference_is_told_from_chance() -> None:
    rng = np.random.default_rng(2)
    one, alike, slower = (rng.normal(mean, 0.1, (20, 3)).tolist() for mean in (1.0, 1.0, 1.2))
    same, changed = difference(one, alike), difference(one, slower)
    assert same is not None and same.chance > 0.05
    assert changed is not None and changed.chance < 0.01 and changed.change.low > 0.1
    assert difference(one, []) is None


def test_many_differences_are_looked_at_together() -> None:
    assert holm([0.01, 0.04, 0.03]) == [0.03, 0.06, 0.06]
    assert holm([]) == []


def test_who_is_worth_picking() -> None:
    assert pareto([(1, 3), (2, 2), (3, 1), (3, 3), (2, 2)]) == [True, True, True, False, True]


@pytest.mark.parametrize(("text", "value"), [("1200ms", 1.2), ("1.2 s", 1.2), ("5%", 0.05), ("$0.02", 0.02), ("0", 0)])
def test_limits(text: str, value: float) -> None:
    assert quantity(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "soon", "-1s", "5 apples", "1e3"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(ConfigError):
        quantity(text)


def test_stages_add_up_and_are_of_what_led_to_the_answer() -> None:
    marks = Marks()
    marks.finals = [8.0, 10.3]
    marks.asked = [
        Asked("llm", 10.05, 10.5),
        Asked("llm", 10.32, 10.67),
        Asked("tts", 10.7, 10.8),
        Asked("llm", 11.0, 11.3),
    ]
    found = parts(Heard(Said(1, 7.0, 9.0), answer=9.85), marks, began=1.0)
    assert found is not None and found.llm == Asked("llm", 10.32, 10.67)
    assert found.final == pytest.approx(0.3)
    stages = found.stages.as_dict()
    assert stages == {"stt": 0.3, "turn": 0.05, "llm": 0.35, "tts": 0.1, "realtime": 0.0, "line": 0.05}
    assert parts(Heard(Said(1, 7.0, 9.0), answer=8.0, premature=True), marks, began=1.0) is None


USAGE = {
    "intro": [
        {"type": "stt_usage", "provider": "Deepgram", "model": "nova-3", "audio_duration": 60.0},
        {"type": "llm_usage", "provider": "127.0.0.1:1", "model": "gpt-4o-mini", "input_tokens": 1_000_000},
        {"type": "tts_usage", "provider": "Cartesia", "model": "sonic-3", "characters_count": 1000},
    ]
}


@pytest.fixture(scope="module")
def stacks() -> dict:
    registry = load_plugins(Settings(env={"STORY_LOAD_PLUGINS": ""})).registry
    return {"intro": resolve("deepgram+gpt4o-mini+cartesia", registry)}


def test_what_a_call_costs(stacks: dict) -> None:
    cost = load_prices([]).cost(USAGE, stacks)
    assert cost.by["intro llm"] == pytest.approx(0.15)
    assert 0.001 < cost.by["intro stt"] < 0.05 and 0.01 < cost.by["intro tts"] < 0.2
    assert cost.total == pytest.approx(sum(cost.by.values())) and cost.missing == ()


def test_the_prices_that_were_reckoned_with_are_told(stacks: dict, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('[deepgram.stt."*"]\naudio_minute = 0.5\nsource = "our contract"\ndate = 2026-11-01\n')
    prices = load_prices([path]).cost(USAGE, stacks).prices
    assert set(prices) == {"deepgram stt nova-3", "openai llm gpt-4o-mini", "cartesia tts sonic-3"}
    assert prices["deepgram stt nova-3"] == Price({"audio_minute": 0.5}, "our contract", "2026-11-01")
    published = prices["openai llm gpt-4o-mini"]
    assert published.units["input_mtok"] == 0.15 and published.source.startswith("https://") and published.date
    assert not published.assumed


def test_prices_of_ones_own_win(stacks: dict, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(
        '[deepgram.stt."*"]\naudio_minute = 0.5\nsource = "our contract"\ndate = 2026-11-01\n'
        "[cartesia.tts.sonic-3]\nkchars = 2\n"
    )
    cost = load_prices([path]).cost(USAGE, stacks)
    assert (cost.by["intro stt"], cost.by["intro tts"]) == (0.5, 2.0)
    assert cost.assumed == ("cartesia/sonic-3",), "a price without source and date"


def test_prices_of_plugins_win_over_the_catalogue_and_the_users_over_them(stacks: dict, tmp_path: Path) -> None:
    day = datetime.date(2026, 11, 1)
    brought = [
        ModelPrice("cartesia", Role.TTS, "*", {"kchars": 3.0}, source="their page", date=day),
        ModelPrice("deepgram", Role.STT, "nova-3", {"audio_minute": 0.25}, source="their page", date=day),
        ModelPrice("openai", Role.LLM, "gpt-4o-mini", {"input_mtok": 7.0}, source="their page"),
    ]
    path = tmp_path / "prices.toml"
    path.write_text('[deepgram.stt."*"]\naudio_minute = 0.5\nsource = "our contract"\ndate = 2026-11-01\n')
    cost = load_prices([path], brought).cost(USAGE, stacks)
    assert cost.by == {"intro stt": 0.5, "intro llm": 7.0, "intro tts": 3.0}
    assert cost.assumed == ("openai/gpt-4o-mini",), "a price without a date"
    assert load_prices([], brought).cost(USAGE, stacks).by["intro stt"] == 0.25


def test_a_model_without_a_price_has_no_cost(stacks: dict) -> None:
    usage = {"intro": [{"type": "llm_usage", "model": "gpt-4o-mini", "input_tokens": 1}]}
    unknown = {"intro": [{"type": "stt_usage", "model": "none-such", "audio_duration": 1.0}]}
    registry = load_plugins(Settings(env={"STORY_LOAD_PLUGINS": ""})).registry
    own = {"intro": resolve("deepgram/none-such+gpt4o-mini+cartesia", registry)}
    assert load_prices([]).cost(usage, stacks).total is not None
    cost = load_prices([]).cost(unknown, own)
    assert cost.total is None and cost.missing == ("deepgram/none-such",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[deepgram.stt.nova-3]\nminute = 1", r"p.toml:2: deepgram.stt.nova-3.minute: is no unit"),
        ("[deepgram.sst.nova-3]\naudio_minute = 1", "is no role"),
        ("[deepgram.stt.nova-3]\naudio_minute = -1", "is a number of dollars"),
        ('[deepgram.stt.nova-3]\nsource = "x"', "has no price"),
        ("deepgram = 1", "deepgram: is a table"),
    ],
)
def test_a_file_of_prices_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_prices([path])
