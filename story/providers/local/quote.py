"""The constrained pass that decides a tool without arguments: the caller's own words must ask for it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from story.providers.local import grounding
from story.providers.local.prompt import clean
from story.providers.local.slots import flat
from story.providers.local.wanted import Wanted

CERTAIN = 0.5
"""The share of "yes" among the model's "yes" and "no" above which the caller asks for it: the likelier answer. A caller
who is taken to want no end says it again; one who is cut off can't, so nothing below that counts, although on the `dev`
lines of benchmarks/data/endings.toml 0.46 would miss fewer."""

_RULES = (
    "Phone calls, line by line. Does the caller's line ask for the function now? A question, a wish for something else "
    "or for a change, and an answer to go on with do not."
)
# Of other trades than a persona's.
_EXAMPLES = (
    (
        "transfer_call: When the caller wants to speak to a person, call this function to put the call through.",
        (
            ("Can I talk to somebody who works there?", "yes: talk to somebody who works there"),
            ("Is it open on Sundays?", "no"),
            ("I had a real person last time and it was no better.", "no"),
            ("Put me through to the office, please.", "yes: Put me through to the office"),
        ),
    ),
    (
        "close_recipe: When the recipe is finished (and the caller confirms that they need nothing more), call this "
        "function to close it.",
        (
            ("Okay, and how much flour do I need?", "no"),
            ("Great, that was everything. Have a nice day.", "yes: that was everything"),
            ("Hold on, stop. Could I use honey instead?", "no"),
            ("Somebody is at the door, I must leave.", "yes: I must leave"),
            ("Yes, go on.", "no"),
            ("No, I don't need anything else.", "yes: I don't need anything else"),
            ("The oven is hot, so close the door.", "no"),
            ("Close the recipe, please.", "yes: Close the recipe"),
            ("Mhm.", "no"),
            ("Ben said bye, so he is gone.", "no"),
            ("I have it now, bye bye.", "yes: I have it now, bye bye"),
            ("Let the butter melt in the pan.", "no"),
            ("You can close it now.", "yes: You can close it"),
            ("Maybe a cake with apples, please.", "no"),
            ("Nope, it's time to eat.", "yes: it's time to eat"),
            ("Next step, please.", "no"),
        ),
    ),
)
_IDLE = (
    "Hello?",
    "I like that.",
    "Sure, why not.",
    "What comes then?",
    "I want something different.",
    "Go ahead.",
)

# A turn of these alone answers the agent, and asks for nothing itself.
_ASSENT = frozenset(
    [
        "yes",
        "yeah",
        "yep",
        "yup",
        "no",
        "nope",
        "okay",
        "ok",
        "right",
        "sure",
        "alright",
        "fine",
        "good",
        "please",
        "thanks",
        "thank",
        "you",
        "mm",
        "hmm",
        "hm",
        "mhm",
        "uh",
        "huh",
        "um",
        "ah",
        "oh",
        "well",
        "so",
        "and",
    ]
)
# A wish for something else: whoever has one is not done.
_WISH = re.compile(
    r"\b(?:instead|can you|could you|could we|can there|could there|can the|could the|(?:tell|make|give|let) "
    r"(?:it|him|her|them|me)|i(?:'d| would) (?:rather|love|prefer))\b"
)
# What ends something is not asked for by wanting something, but for wanting an end.
_ENDING = re.compile(r"\b(?:end|ends|finish|finished|close|stop|over|done|goodbye|hang up|leave|quit)\b")
_MORE = re.compile(
    r"\bi(?:'d| would)? (?:want|need|choose|like|love|rather|prefer) "
    r"(?:to (?:hear|know|see|find)\b|(?!.*(?:end|stop|finish|clos|over|done|goodbye|hang|leav|quit|go\b)))"
    r"|\blet(?:'s| us) (?!.*(?:end|stop|finish|clos|over|done|goodbye|hang|leav|quit|bed|sleep|call it))"
)
_SENTENCE = re.compile(r"[^.?!]+[.?!]*")
# A question that begins like this is a request; any other wants to know something.
_REQUEST = re.compile(r"(?:please|so|well|okay|ok|and|hey|[,.\s])*\b(?:can|could|may|might|shall|should|will|would)\b")


def head(tool: Wanted) -> str:
    """The part of the pass's prompt that does not depend on the caller."""
    parts = [_RULES, "\n"]
    for thing, lines in _EXAMPLES:
        parts.append(f"\nFunction {thing}\n")
        parts += (f"{tail(said)} {answer}\n" for said, answer in lines)
    parts.append(f"\nFunction {clean(tool.tool)}: {clean(tool.description)}\n")
    parts += (f"{tail(said)} no\n" for said in _IDLE)
    return "".join(parts)


def tail(said: str) -> str:
    """The caller's line; what comes next is whether it asks for the thing."""
    return f"Caller: {flat(said)}\nAsks for it:"


def could_ask(said: str) -> bool:
    """Whether `said` has a word that could ask for anything; the model need not be asked otherwise."""
    return any(word not in _ASSENT for word in grounding.normal(said).replace("-", " ").split())


def asks(first: Mapping[str, float]) -> bool:
    """Whether the likeliest first tokens of the answer, by probability, say that the line asks for it."""
    odds = {"yes": 0.0, "no": 0.0}
    for token, probability in first.items():
        word = token.strip().lower()
        if word in odds:
            odds[word] += probability
    return odds["yes"] > CERTAIN * sum(odds.values())


TO_QUOTE = " yes:"
"""What follows `tail` where the words that ask are wanted."""


def grammar(said: str) -> str:
    """GBNF for a stretch of what was said."""
    return f'root ::= " " w "\\n"\n{grounding.span_rules(said, "w")}'


def read(tool: Wanted, words: str, said: str) -> str | None:
    """`words` if they occur in `said`, and the caller wants nothing else than what `tool` is for."""
    quote = words.strip()
    if not grounding.occurs(quote, said) or goes_on(said, quote):
        return None
    about = grounding.normal(f"{tool.tool.replace('_', ' ')} {tool.description}")
    wants_more = _ENDING.search(about) and any(_MORE.search(part) for part in re.split(r"[.?!]", said.lower()))
    return None if wants_more else quote


def wishes(said: str) -> bool:
    """Whether `said` wishes for something else than what there is."""
    return bool(_WISH.search(grounding.normal(said)))


def goes_on(said: str, quote: str) -> bool:
    """Whether `said`, besides `quote`, asks a question or wishes for something."""
    at = said.lower().find(quote.lower())
    for sentence in _SENTENCE.finditer(said):
        text = sentence.group().lower()
        holds = sentence.start() < at + len(quote) and at < sentence.end()
        if text.endswith("?") and not (holds and _REQUEST.match(text)):
            return True
        rest = text.replace(quote.lower(), " ") if holds else text
        if wishes(rest):
            return True
    return False
