"""What a page says of one stack: its figures, what is odd about it, and its calls, to read and to listen to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import quote

from story.bench.markup import Html, folded, html, listed, paragraph, section, spec, table, wide
from story.bench.outcome import Outcome, TurnFigures
from story.bench.statistics import SHARES, Spread
from story.bench.store import Result
from story.bench.summary import STAGES, StackFigures
from story.bench.terminal import counted, dollars, milliseconds, per_cent, remarks, times

_HEADERS = ("call", "line", "what was said", "answer ms", "stages, ms", "notes")
_OTHERS: tuple[tuple[str, Callable[[StackFigures], str]], ...] = (
    ("word errors", lambda one: per_cent(one.wer)),
    ("calls with all names and places heard", lambda one: per_cent(one.names)),
    ("facts gathered right", lambda one: per_cent(one.facts)),
    ("calls with the right handoffs", lambda one: per_cent(one.handoffs)),
    ("voice not understood", lambda one: per_cent(one.intelligibility)),
    ("answers that began too early", lambda one: str(one.premature)),
    ("callers who broke in and were yielded to", lambda one: f"{one.yielded} of {one.broke_in}"),
    ('"mm-hm" that broke the agent off', lambda one: f"{one.false_yields} of {one.asides}"),
    ("words cut where the agent was broken off", lambda one: str(one.words_cut)),
    ("faults", lambda one: counted(one.faults) or "none"),
    ("faults that calls survived", lambda one: counted(one.retried) or "none"),
    ("times that another model took over", lambda one: str(one.fallbacks)),
    ("longest silence of both, s", lambda one: _seconds(one.dead_air)),
    ("both at once, s a call", lambda one: _seconds(one.talk_over)),
    ("cost of a call", lambda one: dollars(one.cost, assumed=one.assumed)),
    ("cost of a minute", lambda one: dollars(one.cost_a_minute, assumed=one.assumed)),
)


def of_stack(one: StackFigures, number: int, results: Sequence[Result], recordings: str | None) -> Html:
    """The section of a stack. results: its own. recordings: their folder, as the page has to name it; None: there are
    none."""
    title = f"{number}. {one.stack}"
    heading = Html(f"{number}. {spec(one.stack)}")
    body = listed(remarks(one))
    if one.calls:
        body = Html(body + _figures(one, title) + _calls(results, title, recordings))
    back = '<p class="back"><a href="#overview">All stacks</a></p>'
    return section(heading, body + back, f"s{number}", "stack")


def range_of(found: Spread, share: int) -> Html:
    """A percentile and its range, ms."""
    estimate = found.percentiles[share]
    low, high = milliseconds(estimate.low), milliseconds(estimate.high)
    return Html(f"{milliseconds(estimate.value)} <small>{low} to {high}</small>")


def _figures(one: StackFigures, title: str) -> Html:
    rows = [
        [name, str(found.count), *(range_of(found, share) for share in SHARES)]
        for name, found in times(one)
        if found is not None
    ]
    headers = ["ms (95 % range)", "seen", *(f"p{share}" for share in SHARES)]
    others = [[name, told] for name, figure in _OTHERS if (told := figure(one)) not in ("-", "0 of 0")]
    note = paragraph("* with a price that no source gives", "note") if one.assumed else ""
    return Html(
        (table(f"Times of {title}", headers, rows) if rows else "")
        + (table(f"Other figures of {title}", ["figure", "found"], others) if others else "")
        + _costs(one, title)
        + note
    )


def _costs(one: StackFigures, title: str) -> Html:
    """By persona and role, of a call."""
    if not one.cost_by:
        return Html("")
    personas = list(dict.fromkeys(key.rpartition(" ")[0] for key in one.cost_by))
    there = {key.rpartition(" ")[2] for key in one.cost_by}
    roles = sorted(there, key=lambda role: STAGES.index(role) if role in STAGES else len(STAGES))
    costs = [(persona, [one.cost_by.get(f"{persona} {role}") for role in roles]) for persona in personas]
    rows = [[persona or "-", *("-" if cost is None else f"${cost:.6f}" for cost in by)] for persona, by in costs]
    return table(f"Costs of {title}", ["$ a call", *roles], rows)


def _calls(results: Sequence[Result], title: str, recordings: str | None) -> Html:
    body = "".join(_call(result, recordings) for result in results)
    head = "".join(f"<th scope=col>{name}</th>" for name in _HEADERS)
    count = f"{len(results)} call{'' if len(results) == 1 else 's'}, turn by turn"
    return folded(count, wide(f"Calls of {title}", f"<table><thead><tr>{head}</tr></thead>{body}</table>"))


def _call(result: Result, recordings: str | None) -> str:
    """The rows of a call."""
    outcome = result.outcome
    name = html(f"{result.scenario} {result.repetition}")
    about = f"{name}<small>{'<br>'.join(map(html, _summary(outcome)))}</small>"
    if outcome.recording and recordings is not None:
        source = html(f"{recordings}/{quote(outcome.recording)}")
        about += f'<audio controls preload="none" aria-label="Recording of {name}" src="{source}"></audio>'
    lines = [_line(turn) for turn in outcome.turns]
    if outcome.opening:
        lines.insert(0, ["", Html(_said("agent", outcome.opening)), milliseconds(outcome.greeting), "", "greeting"])
    if outcome.reason or not lines:
        lines.append(["", outcome.reason, "", "", outcome.kind])
    rows = ["".join(f"<td>{html(cell)}</td>" for cell in line) for line in lines]
    first = f'<th scope=rowgroup rowspan="{len(rows)}">{about}</th>'
    return f"<tbody><tr>{first}{'</tr><tr>'.join(rows)}</tr></tbody>"


def _summary(outcome: Outcome) -> list[str]:
    """What came of a call."""
    found = [f"{outcome.status}, {outcome.duration:.1f} s" if outcome.duration else outcome.status]
    if outcome.words:
        found.append(f"{outcome.errors} of {outcome.words} words wrong")
    wrong = [name for name, right in outcome.facts.items() if not right]
    found += [f"wrong: {', '.join(wrong)}"] if wrong else []
    found += ["wrong handoffs"] if outcome.handoffs_right is False else []
    found += [dollars(outcome.cost, assumed=outcome.assumed)] if outcome.cost is not None else []
    return found


def _line(turn: TurnFigures) -> list[str]:
    """The cells of a line of the caller's."""
    words = _said("caller", turn.said)
    if turn.heard != turn.said:
        words += _said("heard as", turn.heard or "nothing")
    words += _said("agent", turn.reply)
    stages = ", ".join(f"{stage} {milliseconds(seconds)}" for stage, seconds in turn.stages.items() if seconds)
    notes = [text for text, there in (("handoff", turn.handoff), ("too early", turn.premature)) if there]
    if turn.barged:
        stopped = "not yielded to" if turn.stopped is None else f"silent after {milliseconds(turn.stopped)} ms"
        notes.append(f"broke in, {stopped}")
    return [str(turn.number), Html(words), milliseconds(turn.latency), stages, ", ".join(notes)]


def _said(who: str, words: str) -> str:
    return f"<p><b>{who}</b> {html(words)}</p>" if words else ""


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}"
