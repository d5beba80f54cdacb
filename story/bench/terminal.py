"""How the figures of a run look on a terminal; 80 columns are enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from story.bench.statistics import Spread
from story.bench.summary import StackFigures
from story.tables import BAD, FAINT, GOOD, ODD, console, table

if TYPE_CHECKING:
    from story.bench.calibration import Calibration
    from story.bench.compare import Change
    from story.bench.gate import Verdict

LONG = 30
"""Columns for a stack; a longer one is broken at its plus signs."""


def milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


def per_cent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate * 100:.3g}%"


def dollars(cost: float | None, *, assumed: bool = False) -> str:
    return "-" if cost is None else f"${cost:.4f}{'*' if assumed else ''}"


def figures(found: Sequence[StackFigures], held: str = "") -> None:
    """The table of a run, the quickest first, and what went wrong below it. held: how the calls were."""
    out = console()
    ordered = sorted(found, key=lambda one: one.latency[50] if one.latency else float("inf"))
    rows = table("STACK", "CALLS", "P50", "P95", "HAND", "STOP", "WER", "FACTS", "$/MIN")
    rows.padding = (0, 1, 0, 0)
    rows.columns[0].width = LONG
    for column in rows.columns[1:]:
        column.justify = "right"
        column.no_wrap = True
    for one in ordered:
        rows.add_row(*_row(one))
    out.print(rows)
    out.print(
        Text(
            "\np50, p95: ms from the caller's last sound to the agent's first; hand: the same over a handoff; stop: "
            "from a caller who breaks in to silence (p50); wer: word errors; facts gathered right."
            f"{_sentence(held)}",
            style=FAINT,
        )
    )
    for one in ordered:
        for line in remarks(one):
            out.print(Text.assemble((f"{one.stack}: ", "bold"), (line, ODD)))
    if any(one.assumed for one in ordered):
        out.print(Text("* with a price that no source gives", style=FAINT))


def _row(one: StackFigures) -> list[Text | str]:
    name = Text(_broken(one.stack))
    if one.unbuilt:
        return [name, Text("-", style=BAD), *["-"] * 7]
    calls = Text(f"{one.ok}/{one.calls}", style=GOOD if one.ok == one.calls else BAD)
    return [
        name,
        calls,
        _share(one.latency, 50),
        _share(one.latency, 95),
        _share(one.handoff, 50),
        _share(one.barge_in, 50),
        per_cent(one.wer),
        per_cent(one.facts),
        dollars(one.cost_a_minute, assumed=one.assumed),
    ]


def _broken(spec: str) -> str:
    """A spec in lines of at most LONG columns, broken at its plus signs."""
    lines = [""]
    for number, part in enumerate(spec.split("+")):
        piece = part if number == 0 else f"+{part}"
        if lines[-1] and len(lines[-1]) + len(piece) > LONG:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)


def _share(found: Spread | None, share: int) -> str:
    return "-" if found is None else milliseconds(found[share])


def remarks(one: StackFigures) -> list[str]:
    """What a table has no room for."""
    found = [f"can't be built: {one.unbuilt}"] if one.unbuilt else []
    if one.failures:
        kinds = ", ".join(f"{count} {kind}" for kind, count in one.failures.items())
        found.append(f"failed: {kinds} ({'; '.join(one.reasons)})")
    if one.retries:
        found.append(f"{one.retries} faults that the calls survived")
    if one.held_again:
        found.append(f"calls that failed were held again {one.held_again} times")
    if one.intelligibility is not None:
        found.append(f"{per_cent(one.intelligibility)} of the voice's words were not understood")
    if one.premature:
        found.append(f"{one.premature} answers began before the caller had ended")
    if one.unanswered:
        found.append(f"{one.unanswered} turns without an answer")
    if one.yielded < one.broke_in:
        found.append(f"yielded to {one.yielded} of {one.broke_in} callers who broke in")
    if one.false_yields:
        found.append(f'broke off for {one.false_yields} of {one.asides} "mm-hm"')
    if one.handoffs is not None and one.handoffs < 1:
        found.append(f"handoffs right in {per_cent(one.handoffs)} of the calls")
    if one.late:
        lag = milliseconds(one.lag)
        found.append(
            f"{one.late} calls were held while this machine was busy ({lag} ms late): their times are too long"
        )
    if one.unpriced:
        found.append(f"no price for {', '.join(one.unpriced)}: give one with --prices")
    return found


def spreads(found: Sequence[StackFigures], held: str = "") -> None:
    """The percentiles of the response latency with their ranges, and its stages. held: how the calls were."""
    out = console()
    rows = table("STACK", "N", "P50", "P90", "P95", "P99", "STAGES (MEAN)")
    rows.padding = (0, 1, 0, 0)
    rows.columns[0].width = 22
    for one in found:
        if one.latency is None:
            continue
        cells = [_range(one.latency, share) for share in one.latency.percentiles]
        stages = ", ".join(f"{name} {milliseconds(mean)}" for name, mean in one.stages.items())
        rows.add_row(one.stack.replace("+", " +"), str(one.latency.count), *cells, stages)
    out.print(rows)
    if held:
        out.print(Text(f"\nms.{_sentence(held)}", style=FAINT))


def _sentence(held: str) -> str:
    return f" The calls were held {held}." if held else ""


def _range(found: Spread, share: int) -> str:
    estimate = found.percentiles[share]
    return f"{milliseconds(estimate.value)}\n{milliseconds(estimate.low)}-{milliseconds(estimate.high)}"


def verdicts(found: Sequence[Verdict]) -> None:
    """What a gate found."""
    out = console()
    for one in found:
        mark = ("pass", GOOD) if one.passed else ("FAIL", BAD)
        bound = "at most" if one.most else "at least"
        out.print(Text.assemble(mark, f"  {one.stack}: {one.what} {one.found}, {bound} {one.limit}"))


def changes(found: Sequence[Change], before: str = "", after: str = "") -> None:
    """What differs between two runs. before, after: how their calls were held."""
    out = console()
    rows: Table = table("STACK", "FIGURE", "A", "B", "CHANGE", "95% RANGE", "P")
    rows.padding = (0, 1, 0, 0)
    for one in found:
        style = "" if not one.significant else BAD if one.worse else GOOD
        rows.add_row(
            one.stack.replace("+", " +"), one.figure, one.told(one.before), one.told(one.after),
            Text(one.told(one.change, signed=True), style=style), one.told_range(), f"{one.chance:.3f}",
        )  # fmt: skip
    out.print(rows)
    sure = sum(one.significant for one in found)
    out.print(
        Text(f"\n{sure} of {len(found)} differ for sure (p < 0.05, all of them looked at together).", style=FAINT)
    )
    if before and after and before != after:
        out.print(Text(f"The calls of A were held {before}, those of B {after}.", style=ODD))


def calibration(found: Calibration) -> None:
    """Injected latencies beside those that were found."""
    out = console()
    rows = table("STACK", "STAGE", "N", "INJECTED", "LOG", "FOUND", "PLUGIN", "MOST", "")
    rows.padding = (0, 1, 0, 0)
    for one in found.stages:
        words = (
            "found" if one.found and one.within else "OFF" if one.within else "PLUGIN" if one.found else "OFF, PLUGIN"
        )
        mark = Text(words, style=GOOD if words == "found" else BAD)
        most = one.before_most + one.after_most
        times = [milliseconds(seconds) for seconds in (one.given, one.log, one.measured, one.share, most)]
        rows.add_row(one.stack.replace("+", " +"), one.role, str(one.count), *times, mark)
    out.print(rows)
    note = "\nms, medians; found, without the plugin's share, has to be as injected within 5 % or 10 ms."
    if found.late:
        note += f"\n{found.late} calls were left out: this machine was busy."
    out.print(Text(note, style=FAINT))
