"""Cuts text that is still being written into stretches that can be spoken."""

from __future__ import annotations

import re

_SENTENCE = re.compile(r"([.!?…]+[\"'”’)\]]*)\s+(?=(\S))|\n+")
_CLAUSE = re.compile(r"[,;:—]\s+")
_NO_END = re.compile(r"(?:^|\s)[\"'“‘(]*(?:Mr|Mrs|Ms|Dr|Prof|St|Mt|Jr|Sr|vs|etc|e\.g|i\.e|No|[A-HJ-Z])\.$")
_FIRST_CLAUSE_WORDS = 5
_EAGER_WORDS = 3
_LONGEST = 220


class Clauses:
    """Text goes in as it comes; sentences come out as soon as they are complete.

    The very first stretch may be a clause of at least five words, as the caller waits for it in silence: on a slow
    machine a long opening sentence takes a second to write. Nothing is longer than some 220 characters.
    """

    def __init__(self, *, eager: bool = False) -> None:
        """eager: for a slow voice: a first clause of three words, even where its sentence is complete."""
        self._eager = eager
        self._text = ""
        self._begun = False

    def push(self, text: str) -> list[str]:
        """Add `text`; what can be spoken now."""
        self._text += text
        ready: list[str] = []
        while (end := self._next_end()) is not None:
            self._take(end, ready)
        return ready

    def finish(self) -> list[str]:
        """What is left: nothing more will come."""
        ready = self.push("")
        self._take(len(self._text), ready)
        return ready

    def _take(self, end: int, ready: list[str]) -> None:
        stretch, self._text = self._text[:end].strip(), self._text[end:]
        if stretch:
            self._begun = True
            ready.append(stretch)

    def _next_end(self) -> int | None:
        sentence, clause = self._sentence_end(), None if self._begun else self._first_clause_end()
        if self._eager and sentence is not None and clause is not None:
            return min(sentence, clause)
        if sentence is not None or clause is not None:
            return sentence if sentence is not None else clause
        if len(self._text) <= _LONGEST:
            return None
        ends = [match.end() for match in _CLAUSE.finditer(self._text, 0, _LONGEST)]
        return ends[-1] if ends else self._text.rfind(" ", 0, _LONGEST) + 1 or _LONGEST

    def _sentence_end(self) -> int | None:
        for match in _SENTENCE.finditer(self._text):
            follower = match.group(2)
            if follower is None or not (follower.islower() or _NO_END.search(self._text[: match.end(1)])):
                return match.end()
        return None

    def _first_clause_end(self) -> int | None:
        fewest = _EAGER_WORDS if self._eager else _FIRST_CLAUSE_WORDS
        for match in _CLAUSE.finditer(self._text):
            if len(self._text[: match.end()].split()) >= fewest:
                return match.end()
        return None
