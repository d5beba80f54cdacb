"""How listings look on a terminal. Widths follow the terminal; 80 columns are enough for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from story.describe import Key, ModelInfo, PluginInfo, ProviderInfo, StackInfo

if TYPE_CHECKING:
    from story.doctor import Diagnosis

GOOD, ODD, BAD, FAINT = "green", "yellow", "red", "dim"
WIDEST = 40
"""Columns; half of the 80 that are enough for every table."""
NARROW = 60
"""Columns; where there are fewer, a row is written below its name instead of beside it."""


def console() -> Console:
    """Standard output. What it prints came from users and plugins, so nothing in it is markup."""
    return Console(markup=False, emoji=False, highlight=False)


def table(*headers: str) -> Table:
    """A table without lines; a column takes the width that its longest word needs, and wraps."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        made.add_column(header, overflow="fold")
    return made


def _print(out: Console, rows: Table) -> None:
    """The table, or its rows one below another where a terminal is too narrow for columns."""
    if out.width >= NARROW:
        out.print(rows)
        return
    cells = [list(column.cells) for column in rows.columns]
    for name, *rest in zip(*cells, strict=True):
        out.print(name, style="bold")
        for column, cell in zip(rows.columns[1:], rest, strict=True):
            header = f"{str(column.header).lower()}: " if column.header and str(cell) else ""
            text = cell if isinstance(cell, Text) else str(cell)
            out.print(Padding(Text.assemble((header, FAINT), text), (0, 0, 0, 2)))


def plugins(found: Sequence[PluginInfo], *, tracebacks: bool) -> None:
    out = console()
    rows = table("PLUGIN", "FROM", "STATUS", "OFFERS")
    for plugin in found:
        version = f"{plugin.distribution} {plugin.version or ''}".strip() if plugin.distribution else "-"
        style = {"loaded": GOOD, "skipped": FAINT}.get(plugin.status, BAD)
        status = Text(plugin.status, style=style)
        if plugin.slow:
            status.append(", slow", style=ODD)
        rows.add_row(plugin.name, version, status, _offers(plugin))
    _print(out, rows)
    for plugin in found:
        for fault in plugin.faults:
            out.print(Text.assemble((f"\n{plugin.name}: ", "bold"), (fault, BAD)))
        if tracebacks:
            for trace in plugin.tracebacks:
                out.print(Padding(Text(trace.rstrip(), style=FAINT), (0, 0, 0, 2)))
        if plugin.slow:
            out.print(
                Text(f"\n{plugin.name} imports livekit while it loads, which makes every command slow.", style=ODD)
            )
    if not tracebacks and any(plugin.tracebacks for plugin in found):
        out.print(Text("\n`story plugins --traceback` shows where it went wrong.", style=FAINT))


def _offers(plugin: PluginInfo) -> str:
    if plugin.skipped:
        return plugin.skipped
    kinds = {hook.removeprefix("story_"): names for hook, names in plugin.contributes.items()}
    listed = ("aliases", "stacks", "personas")
    roles = [kind for kind in kinds if kind not in listed]
    counted = [f"{len(kinds[kind])} {kind if len(kinds[kind]) > 1 else _one(kind)}" for kind in listed if kind in kinds]
    return ", ".join([*(role.replace("_", " ") for role in roles), *counted]) or "-"


def _one(kind: str) -> str:
    return "alias" if kind == "aliases" else kind.removesuffix("s")


def providers(found: Sequence[ProviderInfo]) -> None:
    rows = table("PROVIDER", "ROLES", "KEY", "PACKAGE")
    for provider in found:
        roles = ", ".join(offer.role.replace("_", " ") for offer in provider.offers)
        rows.add_row(provider.name, roles, _keys(provider.keys), _installed(provider))
    _print(console(), rows)


def provider(found: ProviderInfo) -> None:
    out = console()
    out.print(Text(found.name, style="bold"))
    out.print(_facts({"key": _keys(found.keys), "package": _packages(found)}))
    for offer in found.offers:
        out.print(Text(f"\n{offer.role.replace('_', ' ')}", style="bold"))
        facts = _models_by_family(offer.models, offer.default_model)
        if offer.voices or offer.default_voice:
            facts["voices"] = _with_default(offer.voices, offer.default_voice)
        if offer.aliases:
            # without spaces, so that no line breaks within one
            names = (f"{name}={ref}" if name != ref else name for name, ref in offer.aliases.items())
            facts["aliases"] = Text(", ".join(names))
        out.print(_facts(facts))


def _facts(facts: Mapping[str, Text]) -> Table:
    """What is known, each under its name."""
    rows = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    rows.add_column(style=FAINT, min_width=9, no_wrap=True)
    rows.add_column(overflow="fold")
    for name, text in facts.items():
        rows.add_row(f"  {name}", text)
    return rows


def _models_by_family(models: Sequence[str], default: str) -> dict[str, Text]:
    """ "models", then those of each family ("responses/gpt-5") under the family's name, which is said only once."""
    plain = [name for name in models if "/" not in name or name == default]
    families: dict[str, list[str]] = {}
    for name in models:
        family, slash, rest = name.partition("/")
        if slash and name != default:
            families.setdefault(f"{family}/", []).append(rest)
    return {"models": _with_default(plain, default), **{name: Text(", ".join(rest)) for name, rest in families.items()}}


def _with_default(names: Iterable[str], default: str | None) -> Text:
    """The default first."""
    rest = [name for name in names if name != default]
    if default is None:
        return Text(", ".join(rest))
    return Text.assemble((default, GOOD), " (default)", "".join(f", {name}" for name in rest))


def _installed(found: ProviderInfo) -> Text:
    missing = [name for name, installed in found.packages.items() if not installed]
    return Text("\n".join(["not installed:", *missing]), style=BAD) if missing else Text("installed", style=GOOD)


def _packages(found: ProviderInfo) -> Text:
    if not found.packages:
        return Text("-", style=FAINT)
    states = [
        Text(name) if installed else Text(f"{name} (not installed)", style=BAD)
        for name, installed in found.packages.items()
    ]
    return Text("\n").join(states)


def _keys(keys: Sequence[Key]) -> Text:
    if not keys:
        return Text("none needed", style=FAINT)
    return Text("\n").join(Text.assemble(key.name, " ", _present(key)) for key in keys)


def _present(key: Key) -> tuple[str, str]:
    return ("set", GOOD) if key.present else ("missing", BAD)


def stacks(found: Sequence[StackInfo]) -> None:
    rows = table("STACK", "MODELS", "FROM", "READY")
    rows.columns[1].width = _width(line for stack in found for line in _models(stack).splitlines())
    rows.padding = (0, 1, 0, 0)  # so that 80 columns hold four names side by side
    for stack in found:
        rows.add_row(stack.name, _models(stack), stack.source, _ready(stack))
    for column in (rows.columns[0], rows.columns[2], rows.columns[3]):
        column.min_width = _width(word for cell in column.cells for word in str(cell).split())
    _print(console(), rows)


def _width(names: Iterable[str]) -> int:
    """Room for the longest name that half a narrow terminal can hold: the other columns wrap at their spaces."""
    return max((len(name) for name in names if len(name) <= WIDEST), default=8)


def _models(stack: StackInfo) -> str:
    return "\n".join(f"{role.role}={','.join(model.ref for model in role.models)}" for role in stack.roles)


def _ready(stack: StackInfo) -> Text:
    """ "yes", or what is missing."""
    if stack.ready:
        return Text("yes", style=GOOD)
    return Text("\n".join([stack.error] if stack.error else [f"needs {what}" for what in stack.missing]), style=ODD)


def stack(found: StackInfo) -> None:
    out = console()
    rows = table("ROLE", "MODEL", "CHOSEN BY", "KEY")
    rows.columns[1].width = _width(_called(model) for role in found.roles for model in role.models)
    for role in found.roles:
        for number, model in enumerate(role.models):
            name, origin = (role.role.replace("_", " "), role.origin) if number == 0 else ("  then", "")
            rows.add_row(name, _model(model), origin, _keys(model.keys))
    _print(out, rows)
    for origin, source in dict.fromkeys((role.origin, role.source) for role in found.roles if role.source):
        out.print(Text.assemble(f"\n{origin[0].upper()}{origin[1:]}: ", source))
    out.print()
    for warning in found.warnings:
        out.print(Text.assemble(("warning: ", ODD), warning))
    for missing in found.missing:
        out.print(Text.assemble(("missing: ", BAD), missing))
    if found.ready:
        out.print(Text("This stack can run here.", style=GOOD))
    elif any(not key.present for role in found.roles for model in role.models for key in model.keys):
        out.print("Keys are read from the environment and from .env (see .env.example).")


def _called(model: ModelInfo) -> str:
    return f"{model.provider}/{model.model}" + (f":{model.variant}" if model.variant else "")


def _model(model: ModelInfo) -> Text:
    text = Text(_called(model))
    if model.alias:
        text.append(f"\n({model.alias})", style=FAINT)
    if model.options:
        text.append(f"\nwith {', '.join(model.options)}", style=FAINT)
    return text


def diagnosis(found: Diagnosis) -> None:
    out = console()
    rows = table("CHECK", "", "FOUND")
    for check in found.checks:
        style = {"ok": GOOD, "note": ODD}.get(check.state, BAD)
        rows.add_row(check.about, Text(check.state, style=style), check.found)
    _print(out, rows)
    out.print()
    rows = table("STACK", "READY")
    for stack in found.stacks:
        rows.add_row(stack.name, _ready(stack))
    _print(out, rows)
    if any(check.about == "settings" for check in found.checks):
        out.print(Text("\nNothing can run before the settings can be read.", style=BAD))
    elif not found.able:
        out.print(Text("\nNo built-in stack can run here yet: mend what is missing for one of them.", style=BAD))
