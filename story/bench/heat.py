"""The figures of a run as heat maps: a row a stack, and the matrix itself, a role against another."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from story.bench.markup import Html, html, table, wide
from story.bench.statistics import Spread
from story.bench.summary import StackFigures
from story.bench.terminal import dollars, milliseconds, per_cent

ROLES = ("stt", "llm", "tts")
_KEY = Html(
    '<p class="key">Colours, of each column or map alone: <span class="h0">best</span> <span class="h1"></span> '
    '<span class="h2"></span> <span class="h3"></span> <span class="h4">worst</span></p>'
)


@dataclass(frozen=True)
class Column:
    """A figure of which less is better. title: of its map, if it has one. matters: what is so much worse than the best,
    and by a fifth, has the last colour, if nothing else is worse."""

    name: str
    value: Callable[[StackFigures], float | None]
    told: Callable[[StackFigures, float | None], str]
    matters: float = 0.0
    title: str = ""


def _share(spread: Callable[[StackFigures], Spread | None], share: int) -> Callable[[StackFigures], float | None]:
    return lambda one: None if (found := spread(one)) is None else found[share]


def _ms(one: StackFigures, value: float | None) -> str:
    return milliseconds(value)


def _rate(one: StackFigures, value: float | None) -> str:
    return per_cent(value)


def _wrong(right: float | None) -> float | None:
    return None if right is None else 1 - right


def _held(one: StackFigures, value: float | None) -> str:
    return "not built" if one.unbuilt else f"{one.ok} of {one.calls}"


COLUMNS = (
    Column("calls", lambda one: 1 - one.ok / one.calls if one.calls else None, _held),
    Column("p50 ms", _share(lambda one: one.latency, 50), _ms, 0.2, "Response latency, p50, ms"),
    Column("p95 ms", _share(lambda one: one.latency, 95), _ms, 0.2, "Response latency, p95, ms"),
    Column("handoff ms", _share(lambda one: one.handoff, 50), _ms, 0.2),
    Column("falls silent ms", _share(lambda one: one.barge_in, 50), _ms, 0.2),
    Column("word errors", lambda one: one.wer, _rate, 0.04, "Word errors"),
    Column("not understood", lambda one: one.intelligibility, _rate, 0.04),
    Column("facts wrong", lambda one: _wrong(one.facts), _rate, 0.04),
    Column(
        "$ a minute",
        lambda one: one.cost_a_minute,
        lambda one, value: dollars(value, assumed=one.assumed),
        title="Cost of a minute",
    ),
)


def overview(ordered: Sequence[StackFigures], names: Mapping[str, Html]) -> Html:
    """A row a stack. names: of the stacks, as they are shown."""
    columns = [column for column in COLUMNS if any(column.value(one) is not None for one in ordered)]
    rows = []
    for one in ordered:
        rows.append([names[one.stack], *(_cell(column, one, ordered) for column in columns)])
    return Html(table("Overview", ["stack", *(column.name for column in columns)], rows) + _KEY)


def maps(ordered: Sequence[StackFigures], scenario: str = "") -> Html:
    """Of the products of the matrix a map a figure: the first role that varies down, the second across, the third in
    groups. Nothing where less than two vary. scenario: the only one that they are of."""
    there = {choices: one for one in ordered if (choices := choices_of(one.stack))}
    varying = [n for n in range(len(ROLES)) if len({choices[n] for choices in there}) > 1]
    if len(varying) < 2:
        return Html("")
    found = [
        f"<h3>{html(f'{scenario}: {column.title}' if scenario else column.title)}</h3>{_map(column, there, varying)}"
        for column in COLUMNS
        if column.title and any(column.value(one) is not None for one in there.values())
    ]
    return Html("".join(found) + _KEY) if found else Html("")


def choices_of(stack: str) -> tuple[str, ...]:
    """The choices of a product of the matrix ("stt=a+llm=b+tts=c") by role; empty for other stacks."""
    parts = [part.partition("=") for part in re.findall(r'(?:"[^"]*"|[^+"])+', stack)]
    choices = {role: choice for role, _, choice in parts}
    return tuple(choices.get(role, "") for role in ROLES) if set(choices) <= set(ROLES) else ()


def _map(column: Column, there: Mapping[tuple[str, ...], StackFigures], varying: Sequence[int]) -> Html:
    down, across, *third = varying
    groups = [{third[0]: choice} for choice in _seen(there, third[0])] if third else [{}]
    columns, every = _seen(there, across), list(there.values())
    top = "".join(
        f'<th scope=colgroup colspan="{len(columns)}">{ROLES[role]} {html(choice)}</th>'
        for group in groups
        for role, choice in group.items()
    )
    head = "".join(f"<th scope=col>{html(choice)}</th>" for _ in groups for choice in columns)
    body = []
    for choice in _seen(there, down):
        wanted = [{down: choice, across: other, **group} for group in groups for other in columns]
        found = [_that_has(there, choices) for choices in wanted]
        cells = "".join(f"<td>{'' if one is None else _cell(column, one, every)}</td>" for one in found)
        body.append(f"<tr><th scope=row>{html(choice)}</th>{cells}</tr>")
    corner = f"<th scope=col>{ROLES[down]} / {ROLES[across]}</th>"
    heads = (f"<tr><td></td>{top}</tr>" if top else "") + f"<tr>{corner}{head}</tr>"
    return wide(column.title, f'<table class="map"><thead>{heads}</thead><tbody>{"".join(body)}</tbody></table>')


def _that_has(there: Mapping[tuple[str, ...], StackFigures], wanted: Mapping[int, str]) -> StackFigures | None:
    return next((one for has, one in there.items() if all(has[n] == choice for n, choice in wanted.items())), None)


def _seen(there: Mapping[tuple[str, ...], StackFigures], role: int) -> list[str]:
    """The choices for a role, as they first come."""
    return list(dict.fromkeys(choices[role] for choices in there))


def _cell(column: Column, one: StackFigures, among: Sequence[StackFigures]) -> Html:
    """A figure, marked from h0 (the best among those) to h4."""
    value = column.value(one)
    text = html(column.told(one, value))
    if value is None:
        return Html(f"<span>{text}</span>")
    known = [other for stack in among if (other := column.value(stack)) is not None]
    best = min(known)
    span = max(max(known) - best, column.matters, best / 5)
    level = round(4 * (value - best) / span) if span else 0
    return Html(f'<span class="h{level}">{text}</span>')
