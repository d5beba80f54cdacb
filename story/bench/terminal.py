"""How the figures of a run look on a terminal; 80 columns are enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from story.bench.statistics import Spread
from story.bench.summary import StackFigures, quickest_first
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


def figures(found: Sequence[StackFigures], held: str = "", apart: int = 0) -> None:
    """The table of a run, the quickest first, and what went wrong below it. held: how the calls were. apart: how many
    harder calls are not in it."""
    out = console()
    ordered = quickest_first(found)
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
    if apart:
        out.print(Text(f"{apart} harder calls are not in these figures: --by-scenario has them", style=FAINT))


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
    found += _trouble(one)
    if one.intelligibility is not None:
        found.append(f"{per_cent(one.intelligibility)} of the voice's words were not understood")
    if one.premature:
        found.append(f"{one.premature} answers began before the caller had ended")
    if one.unanswered:
        found.append(f"{one.unanswered} turns without an answer")
    if one.yielded < one.broke_in:
        found.append(f"yielded to {one.yielded} of {one.broke_in} callers who broke in")
    if one.false_yields:
        found.append(f'gave up the floor for {one.false_yields} of {one.asides} "mm-hm"')
    if one.words_cut:
        found.append(f"{one.words_cut} words cut where the agent was interrupted {one.interruptions} times")
    if one.handoffs is not None and one.handoffs < 1:
        early = f"; {one.early_handoffs} came too early" if one.early_handoffs else ""
        found.append(f"handoffs right in {per_cent(one.handoffs)} of the calls{early}")
    if one.late:
        lag = milliseconds(one.lag)
        found.append(
            f"{one.late} calls were held while this machine was busy ({lag} ms late): their times are too long"
        )
    if one.unpriced:
        found.append(f"no price for {', '.join(one.unpriced)}: give one with --prices")
    return found


def _trouble(one: StackFigures) -> list[str]:
    """What failed, for good or for a while."""
    found: list[str] = []
    if one.failures:
        found.append(f"failed: {counted(one.failures)} ({'; '.join(one.reasons)})")
    if one.retries:
        kinds = f" ({counted(one.retried)})" if one.retried else ""
        found.append(f"{one.retries} faults that the calls survived{kinds}")
    if one.fallbacks:
        found.append(f"went on with another model {one.fallbacks} times")
    if one.held_again:
        found.append(f"calls that failed were held again {one.held_again} times")
    return found


def spreads(
    found: Sequence[StackFigures], held: str = "", prices: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Of each stack the percentiles of all that takes time with their ranges, and what else there is to tell. held: how
    the calls were. prices: what was reckoned with, as a run keeps it."""
    out = console()
    for one in found:
        out.print(Text(one.stack, style="bold"))
        rows = table("MS", "N", "P50", "P90", "P95", "P99")
        rows.padding = (0, 1, 0, 0)
        for column in rows.columns[1:]:
            column.justify = "right"
        for name, seen in times(one):
            if seen is not None:
                cells = [_range(seen, share) for share in seen.percentiles]
                rows.add_row(name, str(seen.count), *cells)
        if rows.row_count:
            out.print(rows)
        for line in [*details(one), *remarks(one)]:
            out.print(Text(line))
        out.print()
    out.print(Text(f"ms; below each percentile its 95 % range.{_sentence(held)}", style=FAINT))
    for name, price in (prices or {}).items():
        units = ", ".join(f"{unit} ${dollars:g}" for unit, dollars in price["units"].items())
        out.print(
            Text(f"{name}: {units} ({price['source'] or 'no source'}, {price['date'] or 'no date'})", style=FAINT)
        )


def times(one: StackFigures) -> list[tuple[str, Spread | None]]:
    """All that takes time, by the name of it."""
    return [
        ("response", one.latency), ("first word", one.first_word), ("handoff", one.handoff),
        ("falls silent", one.barge_in), ('gap at "mm-hm"', one.aside_gap), ("greeting", one.greeting),
        ("final words", one.final), ("end of turn", one.turn), ("llm", one.llm), ("tts", one.tts),
        ("realtime", one.realtime), ("line", one.line), ("whole call", one.duration),
    ]  # fmt: skip


def details(one: StackFigures) -> list[str]:
    """Figures without percentiles, some to a line."""
    stages = ", ".join(f"{name} {milliseconds(mean)}" for name, mean in one.stages.items())
    right = [("names heard", one.names), ("facts right", one.facts), ("handoffs right", one.handoffs)]
    wrong = [("word errors", one.wer), ("voice not understood", one.intelligibility)]
    rates = ", ".join(f"{name} {per_cent(rate)}" for name, rate in [*wrong, *right] if rate is not None)
    found = [f"stages (means): {stages}"] if stages else []
    found += [rates] if rates else []
    if one.duration is not None and one.dead_air is not None and one.talk_over is not None:
        found.append(f"dead air {one.dead_air:.1f} s at most, talk-over {one.talk_over:.2f} s a call")
    if one.faults or one.fallbacks:
        found.append(f"faults: {counted(one.faults) or 'none'}; fallbacks: {one.fallbacks}")
    if one.cost_by:
        a_call = dollars(one.cost, assumed=one.assumed)
        split = ", ".join(f"{name} {dollars(cost)}" for name, cost in one.cost_by.items())
        found.append(f"a call {a_call}, a minute {dollars(one.cost_a_minute, assumed=one.assumed)}: {split}")
    return found


def counted(counts: Mapping[str, int]) -> str:
    """How often each of these was there, in words; empty where nothing was."""
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


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
    for gone in found.missing:
        mark = Text("MISSING", style=BAD)
        rows.add_row(gone.stack.replace("+", " +"), gone.role, str(gone.count), *["-"] * 5, mark)
    out.print(rows)
    note = "\nms, medians; found, without the plugin's share, has to be as injected within 5 % or 10 ms."
    if found.missing:
        note += "\nMISSING: so many turns had the stage, and the vendors' log has it in none of them."
    if found.late:
        note += f"\n{found.late} calls were left out: this machine was busy."
    out.print(Text(note, style=FAINT))
