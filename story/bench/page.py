"""The report of a run as one HTML file: charts, each with its table, in light and dark, without any request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from story.bench.charts import Dot, pareto, ranges, scatter, stacked
from story.bench.statistics import Spread
from story.bench.store import RECORDINGS, Result
from story.bench.summary import STAGES, StackFigures
from story.bench.terminal import dollars, milliseconds, per_cent, remarks
from story.bench.transports.choice import how_held
from story.core.errors import ConfigError

_STYLE = Path(__file__).with_name("page.css")
_STAGE_NAMES = {
    "stt": "words",
    "turn": "wait for the end of the turn",
    "llm": "first token",
    "tts": "first sound",
    "realtime": "realtime model",
    "line": "way to the ear",
}


def write_page(path: Path, about: dict[str, Any], figures: Sequence[StackFigures], results: Sequence[Result]) -> None:
    """Write the report. Raises ConfigError where `path` can't be written."""
    try:
        path.write_text(page(about, figures, results), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror or error}") from None


def page(about: dict[str, Any], figures: Sequence[StackFigures], results: Sequence[Result]) -> str:
    """The whole file."""
    ordered = sorted(figures, key=lambda one: one.latency[50] if one.latency else float("inf"))
    numbers = {one.stack: number for number, one in enumerate(ordered, start=1)}
    how = how_held(about)
    held = f"<p>The calls were held {escape(how)}.</p>" if how else ""
    sections = [
        _overview(ordered, numbers),
        _tradeoffs(ordered, numbers),
        _stages(ordered),
        _distributions(ordered, results),
        *(_stack(one, numbers[one.stack], results) for one in ordered),
        _run(about),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>story bench</title><style>{_STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><main><h1>Which stack to pick</h1>{held}{''.join(sections)}</main></body></html>\n"
    )


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, html: bool = False) -> str:
    """A table; cells are text, unless they are HTML already."""
    head = "".join(f"<th scope=col>{escape(header)}</th>" for header in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell if html else escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _section(title: str, body: str, *, name: str = "") -> str:
    return f"<section{f' id={name}' if name else ''}><h2>{escape(title)}</h2>{body}</section>"


def _data(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The data of a chart."""
    return f"<details><summary>Data</summary>{table(headers, rows)}</details>"


def _share(found: Spread | None, share: int) -> str:
    return "-" if found is None else milliseconds(found[share])


def _overview(ordered: Sequence[StackFigures], numbers: dict[str, int]) -> str:
    """The matrix as a heat map: the better of a column, the lighter."""
    columns = [
        ("p50 ms", [_value(one.latency, 50) for one in ordered], milliseconds),
        ("p95 ms", [_value(one.latency, 95) for one in ordered], milliseconds),
        ("handoff ms", [_value(one.handoff, 50) for one in ordered], milliseconds),
        ("falls silent ms", [_value(one.barge_in, 50) for one in ordered], milliseconds),
        ("word errors", [one.wer for one in ordered], per_cent),
        *_not_understood(ordered),
        ("facts wrong", [None if one.facts is None else 1 - one.facts for one in ordered], per_cent),
        ("$ a minute", [one.cost_a_minute for one in ordered], dollars),
    ]
    rows = []
    for index, one in enumerate(ordered):
        cells = [f'<a href="#s{numbers[one.stack]}">{numbers[one.stack]}. {escape(one.stack)}</a>']
        cells.append("not built" if one.unbuilt else f"{one.ok} of {one.calls}")
        cells += [_heat(values[index], values, tell(values[index])) for _, values, tell in columns]
        rows.append(cells)
    return _section("Overview", table(["stack", "calls", *(name for name, _, _ in columns)], rows, html=True))


def _not_understood(
    ordered: Sequence[StackFigures],
) -> list[tuple[str, list[float | None], Callable[[float | None], str]]]:
    """A column for how well the voices are understood, where somebody has listened."""
    shares = [one.intelligibility for one in ordered]
    return [("not understood", shares, per_cent)] if any(share is not None for share in shares) else []


def _value(found: Spread | None, share: int) -> float | None:
    return None if found is None else found[share]


def _heat(value: float | None, column: Sequence[float | None], text: str) -> str:
    """A cell, marked from h0 (the best of its column) to h4."""
    there = [known for known in column if known is not None]
    if value is None:
        return f"<span>{escape(text)}</span>"
    low, high = min(there), max(there)
    level = 0 if high <= low else round(4 * (value - low) / (high - low))
    return f'<span class="h{level}">{escape(text)}</span>'


def _tradeoffs(ordered: Sequence[StackFigures], numbers: dict[str, int]) -> str:
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
            rows = [[str(d.number), d.name, f"{d.x:.0f}", f"{d.y:.4g}", "yes" if d.best else ""] for d in dots]
            chart = scatter(dots, title=title, x="p50 of the response latency, ms", y=label)
            charts.append(f"<h3>{title}</h3>{chart}" + _data(["", "stack", "p50 ms", label, "worth picking"], rows))
    note = "<p>On the line: nobody else is at least as good in both figures.</p>"
    return _section("Who is worth picking", note + "".join(charts)) if charts else ""


def _stages(ordered: Sequence[StackFigures]) -> str:
    """The mean latency, stage by stage."""
    parts = [_STAGE_NAMES[stage] for stage in STAGES]
    there = [one for one in ordered if one.stages]
    rows = [(one.stack, {_STAGE_NAMES[s]: t * 1000 for s, t in one.stages.items()}) for one in there]
    if not rows:
        return ""
    data = [[name, *(f"{values.get(part, 0):.0f}" for part in parts)] for name, values in rows]
    chart = stacked(rows, parts, title="Mean response latency by stage", unit="ms")
    return _section("Where the time goes", chart + _data(["stack", *parts], data))


def _distributions(ordered: Sequence[StackFigures], results: Sequence[Result]) -> str:
    """Every answer, and the percentiles."""
    there = [one for one in ordered if one.latency is not None]
    rows, data = [], []
    for one in there:
        assert one.latency is not None
        named = {f"p{share}": found.value * 1000 for share, found in one.latency.percentiles.items()}
        values = [
            turn.latency * 1000
            for result in results
            if result.stack == one.stack
            for turn in result.outcome.turns
            if turn.latency is not None and not turn.premature
        ]
        rows.append((one.stack, values, named))
        spans = (
            f"{e.value * 1000:.0f} ({e.low * 1000:.0f} to {e.high * 1000:.0f})"
            for e in one.latency.percentiles.values()
        )
        data.append([one.stack, str(one.latency.count), *spans])
    if not rows:
        return ""
    names = list(rows[0][2])
    chart = ranges(rows, title="Response latency of every answer", unit="ms")
    return _section(
        "How much it varies", chart + _data(["stack", "answers", *(f"{n} (95 % range)" for n in names)], data)
    )


def _stack(one: StackFigures, number: int, results: Sequence[Result]) -> str:
    """One stack: what is odd about it, and each of its calls, turn by turn."""
    odd = "".join(f"<li>{escape(line)}</li>" for line in remarks(one))
    rows: list[list[str]] = []
    for result in results:
        if result.stack != one.stack:
            continue
        outcome = result.outcome
        call = f"{result.scenario} {result.repetition}"
        if outcome.recording:
            source = escape(f"{RECORDINGS}/{outcome.recording}")
            call += f'<br><audio controls preload="none" src="{source}"></audio>'
        if not outcome.turns:
            rows.append([call, "", "", "", escape(outcome.reason)])
        for turn in outcome.turns:
            stages = ", ".join(f"{_STAGE_NAMES[s]} {t * 1000:.0f}" for s, t in turn.stages.items() if t)
            notes = [text for text, there in (("handoff", turn.handoff), ("too early", turn.premature)) if there]
            if turn.barged:
                notes.append(
                    "broke in, "
                    + ("not yielded to" if turn.stopped is None else f"silent after {milliseconds(turn.stopped)}")
                )
            rows.append([call, str(turn.number), milliseconds(turn.latency), stages, ", ".join(notes)])
            call = ""
    body = (f"<ul>{odd}</ul>" if odd else "") + table(["call", "line", "answer ms", "stages, ms", ""], rows, html=True)
    return _section(f"{number}. {one.stack}", body, name=f"s{number}")


def _run(about: dict[str, Any]) -> str:
    """How it was measured."""
    machine = about.get("machine", {})
    facts = [["started", str(about.get("started", ""))]]
    facts += [[name, str(value)] for name, value in machine.items() if name != "packages"]
    facts += [[name, str(value)] for name, value in machine.get("packages", {}).items()]
    facts += [[name, str(value)] for name, value in about.get("request", {}).items() if name != "stacks"]
    return _section("How this was measured", table(["", ""], facts))
