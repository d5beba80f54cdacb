"""The constrained pass that decides a tool without arguments: the caller's own words must ask for it."""

from __future__ import annotations

from story.providers.local import grounding
from story.providers.local.prompt import clean
from story.providers.local.wanted import Wanted

_SYSTEM = (
    "You listen to phone calls. Decide whether the caller's line asks for the thing described. If it does, copy the "
    "words that ask for it. If it does not, or the caller wants something else or wants to go on, write -"
)
# (what is listened for, (what was said, what asks for it) ...): from other trades than any persona's.
_SHOTS = (
    (
        "When the caller wants to speak to a person, call this function to put the call through.",
        (
            ("Can I talk to somebody who works there?", "talk to somebody who works there"),
            ("Is it open on Sundays?", "-"),
            ("I had a real person last time and it was no better. What are the prices?", "-"),
            ("Put me through to the office, please.", "Put me through to the office"),
        ),
    ),
    (
        "When the caller has no more questions about the recipe, call this function to close the book.",
        (
            ("Okay, and how much flour do I need?", "-"),
            ("Great, that was everything. Have a nice day.", "that was everything"),
            ("Hold on, stop. Could I use honey instead?", "-"),
            ("Yes, go on.", "-"),
            ("I think I have it now, bye bye.", "I have it now, bye bye"),
            ("Let's stop here.", "Let's stop here"),
            ("Hm.", "-"),
        ),
    ),
)


def head(tool: Wanted) -> str:
    """The part of the pass's prompt that does not depend on the caller."""
    parts = [f"<|im_start|>system\n{_SYSTEM}<|im_end|>"]
    for thing, lines in _SHOTS:
        for said, words in lines:
            parts.append(f"\n<|im_start|>user\nThing: {thing}\n{_line(said)}{words}<|im_end|>")
    parts.append(f"\n<|im_start|>user\nThing: {clean(tool.description) or tool.tool.replace('_', ' ')}\n")
    return "".join(parts)


def _line(said: str) -> str:
    return f"Caller: {said}<|im_end|>\n<|im_start|>assistant\n"


def tail(said: str) -> str:
    return _line(clean(said).strip())


def grammar(said: str) -> str:
    """GBNF for the answer: a stretch of what was said, or "-"; "" if nothing was said."""
    spans = grounding.span_rules(said, "w")
    return f'root ::= "-" | w\n{spans}' if spans else ""


def read(answer: str, said: str) -> str | None:
    """The words of `said` that ask for the thing, None if there are none or the caller goes on behind them."""
    quote = answer.strip()
    if quote == "-" or not grounding.normal(quote):
        return None
    if f" {grounding.normal(quote)} " not in f" {grounding.normal(said)} ":
        return None
    return None if grounding.goes_on(said, quote) else quote
