"""The report of a run as one HTML file: charts, each with its table, in light and dark, without any request."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from story.bench.charts import Dot, pareto, ranges, scatter, stacked
from story.bench.heat import maps, overview
from story.bench.markup import Html, data, html, listed, paragraph, section, spec, table
from story.bench.one_stack import of_stack, range_of
from story.bench.statistics import SHARES
from story.bench.store import RECORDINGS, Result
from story.bench.summary import STAGES, StackFigures, latencies, quickest_first
from story.bench.terminal import dollars, milliseconds, per_cent
from story.bench.transports.choice import how_held
from story.core.errors import ConfigError

_STYLE = Path(__file__).with_name("page.css")
_STAGE_NAMES = {
    "stt": "stt: words",
    "turn": "turn: waiting for its end",
    "llm": "llm: first token",
    "tts": "tts: first sound",
    "realtime": "realtime: first sound",
    "line": "line: way to the ear",
}
_NOTE = (
    "p50, p95: ms from the caller's last sound to the agent's first; handoff: the same, to the next persona; "
    "falls silent: ms from a caller who breaks in to silence. Of the last two the median."
)


def write_page(
    path: Path,
    about: dict[str, Any],
    figures: Sequence[StackFigures],
    results: Sequence[Result],
    folder: Path,
    *,
    apart: int = 0,
) -> None:
    """Write the report. folder: that of the run, with its recordings. apart: how many harder calls are not in it.
    Raises ConfigError where `path` can't be written."""
    try:
        path.write_text(page(about, figures, results, _recordings(folder, path), apart=apart), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror or error}") from None


def _recordings(folder: Path, page: Path) -> str | None:
    """The recordings of a run as seen from a page; None where it has none."""
    there = (folder / RECORDINGS).resolve()
    if not there.is_dir():
        return None
    try:
        return quote(Path(os.path.relpath(there, page.resolve().parent)).as_posix())
    except ValueError:  # another drive
        return there.as_uri()


def page(
    about: dict[str, Any],
    figures: Sequence[StackFigures],
    results: Sequence[Result],
    recordings: str | None = None,
    *,
    apart: int = 0,
) -> str:
    """The whole file. recordings: where those of the calls are, as a link. apart: as above."""
    ordered = quickest_first(figures)
    numbers = {one.stack: number for number, one in enumerate(ordered, start=1)}
    names = {stack: f"{number}. {stack}" for stack, number in numbers.items()}
    calls = {one.stack: [result for result in results if result.stack == one.stack] for one in ordered}
    sections = [
        _overview(ordered, numbers),
        _tradeoffs(ordered, numbers),
        _matrix(ordered, calls),
        _stages(ordered, names),
        _distributions(ordered, names, calls),
        *(of_stack(one, numbers[one.stack], calls[one.stack], recordings) for one in ordered),
        _prices(about.get("prices", {})),
        _run(about),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>story bench: which stack to pick</title><style>{_STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><main><h1>Which stack to pick</h1>{_held(about, apart)}{''.join(sections)}</main></body></html>\n"
    )


def _held(about: Mapping[str, Any], apart: int) -> Html:
    """How, and whether with vendors at all."""
    how, emulated = how_held(about), about.get("request", {}).get("emulate")
    lines = [f"The calls were held {how}."] if how else []
    if emulated is not None:
        profile = f" (profile {emulated['profile']})" if emulated.get("profile") else ""
        lines.append(f"The vendors were emulated{profile}: these figures say nothing of the real ones.")
    if apart:
        lines.append(f"{apart} harder calls are not in these figures: a page written with --by-scenario has them.")
    return Html("".join(map(paragraph, lines)))


def _link(stack: str, number: int) -> Html:
    return Html(f'<a href="#s{number}">{number}. {spec(stack)}</a>')


def _overview(ordered: Sequence[StackFigures], numbers: Mapping[str, int]) -> str:
    """The best in each figure, and all of them."""
    links = {stack: _link(stack, number) for stack, number in numbers.items()}
    star = " * with a price that no source gives." if any(one.assumed for one in ordered) else ""
    return section("Overview", _best(ordered, links) + overview(ordered, links) + paragraph(_NOTE + star), "overview")


def _best(ordered: Sequence[StackFigures], links: Mapping[str, Html]) -> str:
    """Who leads, of those whose calls all came to their end."""
    figures: tuple[tuple[str, Callable[[StackFigures], float | None], Callable[[StackFigures, float], str]], ...] = (
        (
            "Answers first",
            lambda one: one.latency[50] if one.latency else None,
            lambda one, value: f"{milliseconds(value)} ms at the median",
        ),
        ("Hears best", lambda one: one.wer, lambda one, value: f"{per_cent(value)} of the words wrong"),
        (
            "Costs least",
            lambda one: one.cost_a_minute,
            lambda one, value: f"{dollars(value, assumed=one.assumed)} a minute",
        ),
    )
    lines = []
    for what, figure, told in figures:
        there = [(value, one) for one in ordered if one.calls == one.ok and (value := figure(one)) is not None]
        if len(there) < 2:
            continue
        best = min(value for value, _ in there)
        leading = [one for value, one in there if value == best]
        if len(leading) == len(there):
            lines.append(html(f"{what}: all alike, {told(leading[0], best)}"))
        else:
            others = f", and {len(leading) - 1} more" if len(leading) > 1 else ""
            lines.append(Html(f"{what}: {links[leading[0].stack]}{others}, {html(told(leading[0], best))}"))
    return listed(lines)


def _tradeoffs(ordered: Sequence[StackFigures], numbers: Mapping[str, int]) -> str:
    """Latency against cost, and against accuracy."""
    charts = []
    figures: tuple[tuple[str, str, Callable[[StackFigures], float | None]], ...] = (
        ("Latency and cost", "$ a minute", lambda one: one.cost_a_minute),
        ("Latency and accuracy", "word errors, %", lambda one: None if one.wer is None else one.wer * 100),
    )
    for title, label, figure in figures:
        there = [
            (one, one.latency[50] * 1000, value)
            for one in ordered
            if one.latency and (value := figure(one)) is not None
        ]
        best = pareto([(x, y) for _, x, y in there])
        dots = [
            Dot(numbers[one.stack], one.stack, x, y, best=good) for (one, x, y), good in zip(there, best, strict=True)
        ]
        if dots:
            rows = [[f"{d.number}. {d.name}", f"{d.x:.0f}", f"{d.y:.4g}", "yes" if d.best else ""] for d in dots]
            chart = scatter(dots, title=title, x="p50 of the response latency, ms", y=label)
            picks = listed([_link(dot.name, dot.number) for dot in dots if dot.best])
            table = data(title, ["stack", "p50 ms", label, "worth picking"], rows)
            charts.append(f"<h3>{title}</h3>{chart}<p>Worth picking:</p>{picks}{table}")
    note = paragraph("Worth picking: nobody else is at least as good in both figures, and better in one.")
    return section("Who is worth picking", note + "".join(charts), "picks") if charts else ""


def _matrix(ordered: Sequence[StackFigures], calls: Mapping[str, Sequence[Result]]) -> str:
    """The matrix, or where scenarios are told apart, that of each."""
    by_scenario: dict[str, list[StackFigures]] = {}
    for one in ordered:
        scenario = next((call.scenario for call in calls[one.stack] if one.stack.endswith(f" ({call.scenario})")), "")
        named = replace(one, stack=one.stack.removesuffix(f" ({scenario})"))
        by_scenario.setdefault(scenario, []).append(named)
    found = "".join(maps(those, scenario) for scenario, those in sorted(by_scenario.items()))
    return section("The matrix", found, "matrix") if found else ""


def _stages(ordered: Sequence[StackFigures], names: Mapping[str, str]) -> str:
    """The mean latency, stage by stage."""
    there = [one for one in ordered if one.stages]
    if not there:
        return ""
    stages = [stage for stage in STAGES if any(stage in one.stages for one in there)]
    parts = [_STAGE_NAMES[stage] for stage in stages]
    rows = [(names[one.stack], {_STAGE_NAMES[s]: t * 1000 for s, t in one.stages.items()}) for one in there]
    told = [[name, *(f"{values.get(part, 0):.0f}" for part in parts)] for name, values in rows]
    title = "Mean response latency by stage"
    return section(
        "Where the time goes",
        stacked(rows, parts, title=title, unit="ms") + data(title, ["stack, ms", *parts], told),
        "stages",
    )


def _distributions(
    ordered: Sequence[StackFigures], names: Mapping[str, str], calls: Mapping[str, Sequence[Result]]
) -> str:
    """Every answer that the percentiles are of, and those."""
    rows, told = [], []
    for one in ordered:
        if one.latency is None:
            continue
        named = {f"p{share}": found.value * 1000 for share, found in one.latency.percentiles.items()}
        answers = latencies(result.outcome for result in calls[one.stack] if result.outcome.whole)
        rows.append((names[one.stack], [seconds * 1000 for call in answers for seconds in call], named))
        told.append([names[one.stack], str(one.latency.count), *(range_of(one.latency, share) for share in SHARES)])
    if not rows:
        return ""
    title = "Response latency of every answer"
    headers = ["stack, ms", "answers", *(f"p{share} and 95 % range" for share in SHARES)]
    return section(
        "How much it varies", ranges(rows, title=title, unit="ms") + data(title, headers, told), "distributions"
    )


def _prices(prices: Mapping[str, Mapping[str, Any]]) -> str:
    """What was reckoned with, and where that stands."""
    rows = []
    for name, price in prices.items():
        provider, role, model = name.split(" ", 2)
        source, date = str(price["source"]), str(price["date"])
        units = ", ".join(f"{dollars:g} {unit}" for unit, dollars in price["units"].items())
        linked = Html(f'<a href="{html(source)}">{html(source)}</a>') if source.startswith("https://") else source
        rows.append(
            [
                f"{provider}/{model}{'' if source and date else '*'}",
                role,
                units,
                linked or "-",
                Html(f"<time>{html(date or '-')}</time>"),
            ]
        )
    if not rows:
        return ""
    assumed = any(not (price["source"] and price["date"]) for price in prices.values())
    note = "* no source gives this price, or nobody says when it was looked at: it is assumed."
    headers = ["model", "role", "$", "source", "looked at"]
    return section("Prices", table("Prices", headers, rows) + (paragraph(note, "note") if assumed else ""), "prices")


def _run(about: Mapping[str, Any]) -> str:
    """How it was measured."""
    machine = about.get("machine", {})
    facts = {"started": about.get("started", ""), **machine, **machine.get("packages", {})}
    facts = {name: value for name, value in facts.items() if name != "packages"}
    asked = {name: value for name, value in about.get("request", {}).items() if name != "stacks"}
    resumed = {f"gone on with ({n})": machine for n, machine in enumerate(about.get("resumed", []), start=1)}
    rows = [
        [name, _told(value)] for name, value in {**facts, **resumed, **asked}.items() if value not in (None, "", [], {})
    ]
    return section("How this was measured", table("How this was measured", ["what", "value"], rows), "run")


def _told(value: Any) -> str:
    """A value of JSON, for people."""
    match value:
        case list():
            return ", ".join(map(_told, value))
        case dict():
            return ", ".join(f"{name} {_told(one)}" for name, one in value.items() if one not in (None, "", [], {}))
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value)
