"""What a page is made of: tables, sections, and what folds away."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def html(text: str) -> Html:
    """Any text, as HTML."""
    return text if isinstance(text, Html) else Html(escape(text))


def table(name: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """A table; the first cell of a row is its name, if it has one."""
    head = "".join(f"<th scope=col>{html(header)}</th>" for header in headers)
    body = "".join(
        f"<tr>{_name(first)}{''.join(f'<td>{html(cell)}</td>' for cell in rest)}</tr>" for first, *rest in rows
    )
    return wide(name, f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _name(cell: str) -> str:
    return f"<th scope=row>{html(cell)}</th>" if cell else "<td></td>"


def spec(stack: str) -> Html:
    """A stack, broken into lines between its parts only."""
    return Html("<wbr>".join(f'<span class="part">{html(part)}</span>' for part in re.split(r"(?<=[^+])(?=\+)", stack)))


def wide(name: str, body: str) -> Html:
    """What may be wider than the page, and is moved by itself then, with the keyboard, too."""
    return Html(f'<div class="wide" role="group" tabindex="0" aria-label="{escape(name)}">{body}</div>')


def folded(summary: str, body: str) -> Html:
    """What is there once somebody wants it, and in print."""
    return Html(f"<details><summary>{html(summary)}</summary>{body}</details>")


def data(name: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """The data of a chart."""
    return folded("Data", table(name, headers, rows))


def section(title: str, body: str, name: str = "", kind: str = "") -> Html:
    """A section with its heading. name: for links to it."""
    marks = f' id="{name}"' if name else ""
    marks += f' class="{kind}"' if kind else ""
    return Html(f"<section{marks}><h2>{html(title)}</h2>{body}</section>")


def listed(items: Sequence[str]) -> Html:
    """A list; nothing where it is empty."""
    return Html(f"<ul>{''.join(f'<li>{html(item)}</li>' for item in items)}</ul>" if items else "")


def paragraph(text: str, kind: str = "") -> Html:
    """A paragraph."""
    return Html(f"<p{f' class={kind}' if kind else ''}>{html(text)}</p>")
