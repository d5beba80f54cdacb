"""Charts as SVG, drawn with the colours of the page around them: no script, no font, no request."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 760
_LABELS = 250
"""For the names at the left of bars."""
_ROW = 26
_HEIGHT = 320
_EDGE = 48


@dataclass(frozen=True)
class Dot:
    """A point of a scatter chart, with a number that the table beside it explains. best: nobody is better in both."""

    number: int
    name: str
    x: float
    y: float
    best: bool = False


def _ticks(most: float, count: int = 5) -> list[float]:
    """Round numbers from 0 to at least `most`."""
    if most <= 0:
        return [0.0, 1.0]
    raw = most / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    return [step * index for index in range(math.ceil(most / step - 1e-9) + 1)]


def _number(value: float) -> str:
    return f"{value:.4g}"


def stacked(rows: Sequence[tuple[str, Mapping[str, float]]], parts: Sequence[str], *, title: str, unit: str) -> str:
    """A bar a row, made of its parts one after the other."""
    ticks = _ticks(max((sum(values.values()) for _, values in rows), default=0.0))
    scale = (WIDTH - _LABELS - 60) / ticks[-1]
    height = len(rows) * _ROW + 60
    body = [_grid(ticks, scale, height - 40, unit)]
    for index, (name, values) in enumerate(rows):
        y, x = index * _ROW + 8, float(_LABELS)
        body.append(_label(name, y))
        for part in parts:
            width = values.get(part, 0.0) * scale
            if width > 0:
                about = f"{name}: {part} {_number(values[part])} {unit}"
                place = f'x="{x:.1f}" y="{y}" width="{max(0.5, width - 1):.1f}" height="{_ROW - 8}"'
                body.append(f'<rect class="c{parts.index(part)}" {place}><title>{escape(about)}</title></rect>')
                x += width
        body.append(f'<text class="v" x="{x + 5:.1f}" y="{y + 13}">{_number(sum(values.values()))}</text>')
    legend = "".join(f'<span><i class="c{n}"></i>{escape(part)}</span>' for n, part in enumerate(parts))
    return _svg(body, height, title) + f'<p class="legend">{legend}</p>'


def ranges(rows: Sequence[tuple[str, Sequence[float], Mapping[str, float]]], *, title: str, unit: str) -> str:
    """A row of all values as strokes, with a mark at each of the named ones."""
    ticks = _ticks(max((max(values) for _, values, _ in rows if values), default=0.0))
    scale = (WIDTH - _LABELS - 60) / ticks[-1]
    height = len(rows) * _ROW + 60
    body = [_grid(ticks, scale, height - 40, unit)]
    for index, (name, values, named) in enumerate(rows):
        y = index * _ROW + 8
        body.append(_label(name, y))
        for value in values:
            x = _LABELS + max(0.0, value) * scale
            body.append(f'<line class="tick" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 2}" y2="{y + 16}"/>')
        for number, (what, value) in enumerate(named.items()):
            x = _LABELS + max(0.0, value) * scale
            about = escape(f"{name}: {what} {_number(value)} {unit}")
            body.append(f'<circle class="c{number}" cx="{x:.1f}" cy="{y + 9}" r="5"><title>{about}</title></circle>')
    names = list(rows[0][2]) if rows else []
    legend = "".join(f'<span><i class="c{n} round"></i>{escape(name)}</span>' for n, name in enumerate(names))
    return _svg(body, height, title) + f'<p class="legend">{legend}<span>strokes: single answers</span></p>'


def scatter(dots: Sequence[Dot], *, title: str, x: str, y: str) -> str:
    """Dots by two figures of which less is better, and the line of those that nobody beats in both."""
    across, up = _ticks(max((dot.x for dot in dots), default=0.0)), _ticks(max((dot.y for dot in dots), default=0.0))
    width, height = WIDTH - 2 * _EDGE - 20, _HEIGHT - 2 * _EDGE

    def place(dot_x: float, dot_y: float) -> tuple[float, float]:
        return _EDGE + 20 + dot_x / across[-1] * width, _HEIGHT - _EDGE - dot_y / up[-1] * height

    body: list[str] = []
    for value in across:
        at, _ = place(value, 0)
        body.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{_EDGE}" y2="{_HEIGHT - _EDGE}"/>')
        body.append(f'<text class="a" x="{at:.1f}" y="{_HEIGHT - _EDGE + 16}">{_number(value)}</text>')
    for value in up:
        _, at = place(0, value)
        body.append(f'<line class="grid" x1="{_EDGE + 20}" x2="{WIDTH - _EDGE}" y1="{at:.1f}" y2="{at:.1f}"/>')
        body.append(f'<text class="e" x="{_EDGE + 14}" y="{at + 4:.1f}">{_number(value)}</text>')
    front = sorted((dot for dot in dots if dot.best), key=lambda dot: dot.x)
    if len(front) > 1:
        points = " ".join(f"{at:.1f},{to:.1f}" for at, to in (place(dot.x, dot.y) for dot in front))
        body.append(f'<polyline class="front" points="{points}"/>')
    for dot in dots:
        at, to = place(dot.x, dot.y)
        about = escape(f"{dot.name}: {_number(dot.x)}, {_number(dot.y)}")
        kind = "c0" if dot.best else "other"
        body.append(f'<circle class="{kind}" cx="{at:.1f}" cy="{to:.1f}" r="6"><title>{about}</title></circle>')
        body.append(f'<text class="v" x="{at + 8:.1f}" y="{to - 6:.1f}">{dot.number}</text>')
    body.append(f'<text class="a" x="{WIDTH / 2}" y="{_HEIGHT - 8}">{escape(x)}</text>')
    body.append(f'<text class="s" x="4" y="{_EDGE - 18}">{escape(y)}</text>')
    return _svg(body, _HEIGHT, title)


def pareto(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Of each point whether no other is as good in both figures and better in one; less is better."""
    return [not any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in points) for one in points]


def _grid(ticks: Sequence[float], scale: float, height: float, unit: str) -> str:
    lines = []
    for value in ticks:
        x = _LABELS + value * scale
        lines.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>')
        lines.append(f'<text class="a" x="{x:.1f}" y="{height + 16}">{_number(value)}</text>')
    lines.append(f'<text class="a" x="{_LABELS + ticks[-1] * scale:.1f}" y="{height + 32}">{escape(unit)}</text>')
    return "".join(lines)


def _label(name: str, y: float) -> str:
    short = name if len(name) <= 38 else name[:37] + "…"
    return f'<text class="e" x="{_LABELS - 8}" y="{y + 13}">{escape(short)}<title>{escape(name)}</title></text>'


def _svg(body: Sequence[str], height: float, title: str) -> str:
    head = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
    return f"{head}<title>{escape(title)}</title>{''.join(body)}</svg>"
