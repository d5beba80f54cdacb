"""The page of a run, as text."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from story.bench.heat import choices_of
from tests.bench.kept_run import HARDER, LOST, SOURCE, kept_run
from tests.bench.running import story


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kept_run(tmp_path_factory.mktemp("pages") / "run of today")


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return report(run, run / "report.html")


def report(run: Path, path: Path, *options: str) -> str:
    assert story("report", str(run), "--html", str(path), *options) == 0
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("place", ["report.html", "run of today/report.html", "else where/pages/report.html"])
def test_recordings_are_found_from_wherever_the_page_is(run: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent)
    path = Path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    sources = re.findall('<audio[^>]* src="([^"]*)"', report(Path(run.name), path))
    assert len(sources) == 36 and not any(" " in source or "#" in source for source in sources)
    assert all((path.parent / unquote(source)).is_file() for source in sources)


def test_every_chart_has_its_data(page: str) -> None:
    assert page.count("<svg") == page.count("<summary>Data</summary>") == 4


def test_only_answers_that_count_are_drawn(page: str) -> None:
    chart = page[page.index("Response latency of every answer") :]
    assert chart[: chart.index("</svg>")].count('class="tick"') == 9 * 4 * 3
    assert f"{LOST * 1000:.0f}" not in page[: page.index('id="s1"')]


def test_what_was_said(page: str) -> None:
    assert "<b>caller</b> Wait, can there be a &lt;bear&gt; in it?" in page
    assert "<b>heard as</b> Wait, can there be a &lt;beer&gt; in it?" in page
    assert "<b>agent</b> Nice to meet you, Maria!" in page and "<b>agent</b> Hello! I&#x27;m Echo." in page
    assert "<b>heard as</b> Hi," not in page, "it was heard rightly"


def test_emulated_vendors_are_told(page: str) -> None:
    assert "The vendors were emulated (profile typical)" in page[: page.index('id="overview"')]


def test_what_came_of_a_call(page: str) -> None:
    assert "<small>ok, 60.0 s<br>0 of 18 words wrong<br>$0.0300</small>" in page
    assert "<small>failed</small>" in page and "status 500" in page


def test_an_assumed_price_has_a_star(page: str) -> None:
    overview = page[page.index('id="overview"') : page.index('id="picks"')]
    rows = [row for row in overview.split("<tr>")[1:] if re.search(r"\$[\d.]+", row)]
    assert len(rows) == 9
    assert all(bool(re.search(r"\$[\d.]+\*<", row)) == ("tts=elevenlabs" in row) for row in rows)
    assert "* with a price that no source gives" in overview


def test_prices_have_their_source_and_date(page: str) -> None:
    prices = page[page.index('id="prices"') : page.index('id="run"')]
    assert (
        f'<td>0.0043 audio_minute</td><td><a href="{SOURCE}">{SOURCE}</a></td><td><time>2026-11-01</time></td>'
        in prices
    )
    assert "elevenlabs/**</th>" in prices and "deepgram/nova-3</th>" in prices


def test_costs_by_persona_and_role(page: str) -> None:
    stack = page[page.index('id="s1"') : page.index('id="s2"')]
    assert "<th scope=row>intro</th><td>$0.010000</td><td>-</td>" in stack
    assert "<th scope=row>story</th><td>-</td><td>$0.020000</td>" in stack


def test_a_map_of_the_matrix(page: str) -> None:
    matrix = page[page.index('id="matrix"') : page.index('id="stages"')]
    assert matrix.count('<table class="map">') == 4, "p50, p95, word errors, cost"
    first = matrix[: matrix.index("</table>")]
    assert re.findall('colspan="2">(.*?)<', first) == ["tts cartesia", "tts elevenlabs"]
    assert "<th scope=col>stt / llm</th>" in first and first.count("<th scope=row>") == 2
    assert len(re.findall(r'<td><span class="h\d">\d+</span></td>', first)) == 8


def test_harder_calls_are_apart(run: Path, page: str) -> None:
    assert "8 harder calls are not in these figures" in page and HARDER not in page
    by_scenario = report(run, run / "scenarios.html", "--by-scenario")
    matrix = by_scenario[by_scenario.index('id="matrix"') : by_scenario.index('id="stages"')]
    assert "harder calls are not" not in by_scenario
    assert matrix.count('<table class="map">') == 8 and f"<h3>{HARDER}: Word errors</h3>" in matrix
    assert re.findall('colspan="2">(.*?)<', matrix)[:2] == ["tts cartesia", "tts elevenlabs"]
    assert len(re.findall("<audio", by_scenario)) == 44


@pytest.mark.parametrize(
    ("stack", "choices"),
    [
        ("stt=a/b:c+llm=d,e+tts=f", ("a/b:c", "d,e", "f")),
        ('stt="a+b=c"+tts=f', ('"a+b=c"', "", "f")),
        ("a+llm=b", ()),
        ("realtime=a", ()),
        ("local", ()),
    ],
)
def test_products(stack: str, choices: tuple[str, ...]) -> None:
    assert choices_of(stack) == choices
