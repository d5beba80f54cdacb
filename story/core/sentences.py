"""Whether the words of a caller are a whole sentence, or break off in the middle of one."""

from __future__ import annotations

import re
from enum import Enum

_STOPS = tuple(".?!。？！؟।")
_GOES_ON = re.compile(r"(\.\.+|[…,，、;:\-–—])$")
_QUOTES = "\"'”’»)]"
_MORE_TO_COME = """
    a an and because but every from i'll i'm i've if into my nor of or our than the their they're uh um er erm we'll
    we're we've whose you're your
"""
_NEVER_LAST = frozenset(_MORE_TO_COME.split())
"""English words that end no sentence, even where a recogniser sets a full stop."""
_WITHOUT_STOP = """
    about are as at be been by could for he he's i i'd in is it's like might must she she's should some that's there's
    they to very was we were when where which while who will with would you'd
"""
_SELDOM_LAST = frozenset(_WITHOUT_STOP.split())
"""English words that end a sentence only where there is a full stop."""


class Ending(Enum):
    """How the words said so far end."""

    FINISHED = "finished"
    UNCLEAR = "unclear"
    """They may be a whole sentence, but no punctuation says so."""
    UNFINISHED = "unfinished"


def ending(text: str) -> Ending:
    """How `text`, a transcript, ends: by its punctuation, and by its last word if that is an English one."""
    text = text.rstrip().rstrip(_QUOTES).rstrip()
    if not text:
        return Ending.UNCLEAR
    if _GOES_ON.search(text):
        return Ending.UNFINISHED
    stopped = text.endswith(_STOPS)
    last = re.sub(r"[^\w'’]", "", text.split()[-1]).replace("’", "'").casefold()
    if last in _NEVER_LAST and not text.endswith(("?", "!")):
        return Ending.UNFINISHED
    if stopped:
        return Ending.FINISHED
    return Ending.UNFINISHED if last in _SELDOM_LAST else Ending.UNCLEAR
