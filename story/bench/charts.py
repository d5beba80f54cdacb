"""Charts as SVG, drawn with the colours of the page around them: no script, no font, no request. What lies across is in
per cent of the width, so that letters stay as large on a telephone as they are elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from story.bench.markup import Html

_LEFT, _SPAN = 1.5, 88.0
"""Of rows, per cent: from where, and how far."""
_ROW, _BAR = 44, 16
"""A row has its name above its bar."""
_ACROSS_LEFT, _ACROSS_SPAN = 12.0, 82.0
"""The same of a scatter chart."""
_TOP, _HEIGHT = 34, 250
_PER_CENT = 7.0
"""Pixels, about: where numbers would lie on one another."""
_BESIDE = ((9, 4), (-9, 4), (0, -10), (0, 19), (9, -8), (-9, -8), (9, 16), (-9, 16))
"""Where the number of a dot may be; pixels."""
_MARKS = ("c0", "c3", "c2", "c4")


@dataclass(frozen=True)
class Dot:
    """A point of a scatter chart, with a number that the table beside it explains. best: nobody is better in both."""

    number: int
    name: str
    x: float
    y: float
    best: bool = False


def _ticks(least: float, most: float, count: int = 5) -> list[float]:
    """Round numbers from at most `least` to at least `most`."""
    if most <= least:
        least, most = (least * 0.8, most * 1.2) if most > 0 else (0.0, 1.0)
    raw = (most - least) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(least / step + 1e-9), math.ceil(most / step - 1e-9)
    return [step * index for index in range(first, last + 1)]


def _number(value: float) -> str:
    return f"{value:.4g}"


def stacked(rows: Sequence[tuple[str, Mapping[str, float]]], parts: Sequence[str], *, title: str, unit: str) -> Html:
    """A bar a row, made of its parts one after the other."""
    ticks = _ticks(0.0, max((sum(values.values()) for _, values in rows), default=0.0))
    body = [_grid(ticks, len(rows), unit)]
    for index, (name, values) in enumerate(rows):
        y, x = index * _ROW, 0.0
        body.append(_label(name, y))
        for part in parts:
            value = values.get(part, 0.0)
            if value > 0:
                about = escape(f"{name}: {part} {_number(value)} {unit}")
                place = f'x="{_across(x, ticks)}" y="{y + 20}" width="{value / ticks[-1] * _SPAN:.3f}%" height="{_BAR}"'
                body.append(f'<rect class="c{parts.index(part)}" {place}><title>{about}</title></rect>')
                x += value
        body.append(f'<text dx="6" x="{_across(x, ticks)}" y="{y + 33}">{_number(round(x))}</text>')
    legend = "".join(f'<span><i class="c{n}"></i>{escape(part)}</span>' for n, part in enumerate(parts))
    return _svg(body, len(rows) * _ROW + 40, title, legend)


def ranges(rows: Sequence[tuple[str, Sequence[float], Mapping[str, float]]], *, title: str, unit: str) -> Html:
    """A row of all values as strokes, with a mark at each of the named ones."""
    ticks = _ticks(0.0, max((max(values) for _, values, _ in rows if values), default=0.0))
    body = [_grid(ticks, len(rows), unit)]
    for index, (name, values, named) in enumerate(rows):
        y = index * _ROW
        body.append(_label(name, y))
        for value in values:
            x = _across(max(0.0, value), ticks)
            body.append(f'<line class="tick" x1="{x}" x2="{x}" y1="{y + 21}" y2="{y + 35}"/>')
        for kind, (what, value) in reversed(list(zip(_MARKS, named.items(), strict=False))):
            about = escape(f"{name}: {what} {_number(value)} {unit}")
            place = f'cx="{_across(max(0.0, value), ticks)}" cy="{y + 28}" r="5"'
            body.append(f'<circle class="{kind}" {place}><title>{about}</title></circle>')
    names = list(rows[0][2]) if rows else []
    legend = "".join(
        f'<span><i class="{kind} round"></i>{escape(name)}</span>' for kind, name in zip(_MARKS, names, strict=False)
    )
    return _svg(body, len(rows) * _ROW + 40, title, f"{legend}<span>strokes: single answers</span>")


def scatter(dots: Sequence[Dot], *, title: str, x: str, y: str) -> Html:
    """Dots by two figures of which less is better, and the line of those that nobody beats in both."""
    across = _ticks(min(dot.x for dot in dots), max(dot.x for dot in dots))
    up = _ticks(min(dot.y for dot in dots), max(dot.y for dot in dots))
    bottom = _TOP + _HEIGHT

    def place(dot_x: float, dot_y: float) -> tuple[float, float]:
        """Per cent across, pixels down."""
        share = (dot_x - across[0]) / (across[-1] - across[0])
        return _ACROSS_LEFT + share * _ACROSS_SPAN, bottom - (dot_y - up[0]) / (up[-1] - up[0]) * _HEIGHT

    body: list[str] = []
    for value in across:
        at, _ = place(value, up[0])
        body.append(f'<line class="grid" x1="{at:.2f}%" x2="{at:.2f}%" y1="{_TOP}" y2="{bottom}"/>')
        body.append(f'<text class="a" x="{at:.2f}%" y="{bottom + 18}">{_number(value)}</text>')
    for value in up:
        _, to = place(across[0], value)
        ends = f'x1="{_ACROSS_LEFT}%" x2="{_ACROSS_LEFT + _ACROSS_SPAN}%"'
        body.append(f'<line class="grid" {ends} y1="{to:.1f}" y2="{to:.1f}"/>')
        body.append(f'<text class="e" dx="-6" x="{_ACROSS_LEFT}%" y="{to + 4:.1f}">{_number(value)}</text>')
    front = sorted({(dot.x, dot.y) for dot in dots if dot.best})
    for one, other in pairwise(front):
        (x1, y1), (x2, y2) = place(*one), place(*other)
        body.append(f'<line class="front" x1="{x1:.2f}%" x2="{x2:.2f}%" y1="{y1:.1f}" y2="{y2:.1f}"/>')
    taken = [place(dot.x, dot.y) for dot in dots]
    for dot in sorted(dots, key=lambda dot: dot.best):
        at, to = place(dot.x, dot.y)
        about = escape(f"{dot.name}: {_number(dot.x)}, {_number(dot.y)}")
        kind = "c0" if dot.best else "other"
        body.append(f'<circle class="{kind}" cx="{at:.2f}%" cy="{to:.1f}" r="6"><title>{about}</title></circle>')
        dx, dy = _free(at, to, taken)
        taken.append((at + dx * 1.6 / _PER_CENT, to + dy - 4))
        anchor = " e" if dx < 0 else " a" if dx == 0 else ""
        body.append(f'<text class="n{anchor}" x="{at:.2f}%" dx="{dx}" y="{to + dy:.1f}">{dot.number}</text>')
    body.append(f'<text class="a" x="50%" y="{bottom + 38}">{escape(x)}</text>')
    body.append(f'<text class="s" x="0" y="14">{escape(y)}</text>')
    legend = '<span><i class="c0 round"></i>worth picking</span><span><i class="other round"></i>others</span>'
    return _svg(body, bottom + 48, title, legend)


def _free(at: float, to: float, taken: Sequence[tuple[float, float]]) -> tuple[int, int]:
    """Where beside a dot its number is farthest from all else."""

    def room(beside: tuple[int, int]) -> float:
        x, y = at + beside[0] * 1.6 / _PER_CENT, to + beside[1] - 4
        there = [math.hypot((x - other) * _PER_CENT, y - down) for other, down in taken]
        return min(13.0, *there)  # more than that is not better

    return max(_BESIDE, key=room)


def pareto(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Of each point whether no other is as good in both figures and better in one; less is better."""
    return [not any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in points) for one in points]


def _across(value: float, ticks: Sequence[float]) -> str:
    return f"{_LEFT + value / ticks[-1] * _SPAN:.3f}%"


def _grid(ticks: Sequence[float], rows: int, unit: str) -> str:
    lines, height = [], rows * _ROW
    for value in ticks:
        x = _across(value, ticks)
        lines.append(f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{height}"/>')
        told = f"{_number(value)} {unit}" if value == ticks[-1] else _number(value)
        lines.append(f'<text class="a" x="{x}" y="{height + 16}">{escape(told)}</text>')
    return "".join(lines)


def _label(name: str, y: float) -> str:
    return f'<text class="s" x="{_LEFT}%" y="{y + 14}">{escape(name)}</text>'


def _svg(body: Sequence[str], height: float, title: str, legend: str) -> Html:
    head = f'<svg width="100%" height="{height}" role="img" aria-label="{escape(title)}">'
    return Html(f'{head}{"".join(body)}</svg><p class="legend">{legend}</p>')
