"""Profiles: what is drawn from them, what is wrong with a bad one, what is assumed."""

from __future__ import annotations

import math
import random
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from story.core.errors import ConfigError
from story.emulator.latency import (
    BUILT_IN,
    MOST_SERIES,
    ROLES,
    Distribution,
    Latencies,
    Profile,
    Stage,
    load_profile,
)


def test_the_baseline_is_what_it_says() -> None:
    latencies = Latencies(load_profile("baseline"))
    drawn = {role: latencies.draw("openai", role, "any", Stage.FIRST) for role in ("stt", "llm", "tts", "realtime")}
    assert drawn == {"stt": 0.25, "llm": 0.35, "tts": 0.09, "realtime": 0.3}
    assert latencies.draw("openai", "realtime", "any", Stage.CONNECT) == 0.25
    assert latencies.draw("deepgram", "tts", "any", Stage.AUDIO) == 0.0
    assert latencies.profile.assumed == ()


def test_draws_have_the_median_and_the_95th_percentile() -> None:
    profile = Profile("p", {("*", "llm", "*"): {Stage.FIRST: Distribution(0.4, 1.0)}})
    latencies = Latencies(profile, seed=1)
    drawn = sorted(latencies.draw("openai", "llm", "m", Stage.FIRST) for _ in range(4000))
    assert statistics.median(drawn) == pytest.approx(0.4, rel=0.05)
    assert drawn[3800] == pytest.approx(1.0, rel=0.08)


def test_the_same_seed_is_the_same_series_whatever_else_is_drawn() -> None:
    profile = load_profile("typical")
    one, other = Latencies(profile, seed=7), Latencies(profile, seed=7)
    series = [one.draw("openai", "llm", "gpt-4o-mini", Stage.FIRST) for _ in range(5)]
    mixed = []
    for _ in range(5):
        other.draw("deepgram", "stt", "nova-3", Stage.FIRST)
        mixed.append(other.draw("openai", "llm", "gpt-4o-mini", Stage.FIRST))
    assert series == mixed
    assert series != [Latencies(profile, seed=8).draw("openai", "llm", "gpt-4o-mini", Stage.FIRST)] * 5


def test_every_published_figure_has_its_source() -> None:
    for path in BUILT_IN.glob("*.toml"):
        profile = load_profile(path.stem)
        for stages in profile.entries.values():
            for figure in stages.values():
                if figure.source is not None:
                    assert figure.source.address.startswith("https://") and len(figure.source.quotation) > 10


def test_typical_has_a_figure_for_every_vendor_and_says_which_are_assumed() -> None:
    profile = load_profile("typical")
    for vendor, roles in {"openai": ROLES, "deepgram": ("stt", "tts"), "cartesia": ("stt", "tts")}.items():
        for role in roles:
            assert 0 < profile.find(vendor, role, "anything", Stage.FIRST).median < 2
    figures = sum(len(stages) for stages in profile.entries.values())
    published = [
        figure for stages in profile.entries.values() for figure in stages.values() if figure.source is not None
    ]
    assert len(published) >= 8 and len(profile.assumed) == figures - len(published)
    assert "cartesia tts * first" in profile.assumed
    flash = profile.find("elevenlabs", "tts", "eleven_flash_v2_5", Stage.FIRST)
    assert flash.source is not None and flash.draw(random.Random(1)) == 0.075
    assert profile.find("elevenlabs", "tts", "eleven_flash_v2_5", Stage.CONNECT).source is None


def test_clients_that_name_any_model_leave_no_more_behind() -> None:
    latencies = Latencies(load_profile("typical"))
    for number in range(2 * MOST_SERIES):
        latencies.draw("openai", "llm", f"model-{number}", Stage.FIRST)
    assert len(latencies._generators) == MOST_SERIES


@given(
    median=st.floats(0, 3600, allow_nan=False),
    spread=st.floats(1, 100, allow_nan=False),
    seed=st.integers(0, 100),
)
def test_a_draw_is_never_negative_and_never_endless(median: float, spread: float, seed: int) -> None:
    drawn = Distribution(median, median * spread).draw(random.Random(seed))
    assert 0 <= drawn < math.inf
    assert drawn == median or (median > 0 and spread > 1)


def test_a_toml_date_is_a_date(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    told = 'first = {median = 1, source = "https://x", date = 2026-11-20, quotation = "one second"}'
    path.write_text(f"[openai.llm.m]\n{told}")
    source = load_profile(str(path)).find("openai", "llm", "m", Stage.FIRST).source
    assert source is not None and source.date == "2026-11-20"


@given(st.text(max_size=40) | st.text(min_size=250, max_size=400))
def test_any_name_is_a_profile_or_a_clear_error(name: str) -> None:
    try:
        load_profile(name)
    except ConfigError:
        pass
    else:
        assert name in ("instant", "baseline", "typical")


def test_the_most_particular_entry_counts() -> None:
    entries = {
        ("*", "llm", "*"): {Stage.FIRST: Distribution(1, 1)},
        ("openai", "llm", "*"): {Stage.FIRST: Distribution(2, 2)},
        ("openai", "llm", "m"): {Stage.FIRST: Distribution(3, 3)},
        ("openai", "llm", "m-*"): {Stage.FIRST: Distribution(4, 4)},
        ("openai", "llm", "m-mini-*"): {Stage.FIRST: Distribution(5, 5)},
    }
    profile = Profile("p", entries)
    asked = (("x", "m"), ("openai", "n"), ("openai", "m"), ("openai", "m-2"), ("openai", "m-mini-2"))
    assert [profile.find(vendor, "llm", model, Stage.FIRST).median for vendor, model in asked] == [1, 2, 3, 4, 5]
    assert profile.find("openai", "tts", "m", Stage.FIRST).median == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [", "x.toml:1"),
        ("[openai.llmm.m]", "unknown role 'llmm' (did you mean llm?)"),
        ("[openai.llm.m]\nfrist = 1", "unknown stage 'frist' (did you mean first?)"),
        ("[openai.llm.m]\nfirst = -1", "is a number of seconds"),
        ("[openai.llm.m]\nfirst = true", "is a number of seconds"),
        ("[openai.llm.m]\nfirst = {p95 = 1}", "median: is missing"),
        ("[openai.llm.m]\nfirst = {median = 2, p95 = 1}", "less than the median"),
        ('[openai.llm.m]\nfirst = {median = 2, source = "https://x"}', "date: is missing"),
        ("[openai.llm.m]\nfirst = {medain = 2}", "unknown key 'medain' (did you mean median?)"),
        ("fixed = 1", "is true or false"),
    ],
)
def test_a_bad_profile_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as told:
        load_profile(str(path))
    assert message in str(told.value) and str(path) in str(told.value)


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown profile 'typcal' \(did you mean typical\?\)"):
        load_profile("typcal")
