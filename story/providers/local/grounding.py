"""What a caller said, as spans of their own words: an argument of a tool may be nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:['’\-.@&/][^\W_]+)*", re.UNICODE)
_BREAK = re.compile(r"[.?!;:…\n]")
# Points after these belong to the word: a span may go on behind them.
_POINTED = frozenset(["st", "mt", "ft", "dr", "mr", "mrs", "ms", "prof", "no"])
_EMPTY_WORDS = frozenset(
    # Pronouns, fillers and answers: a value made of these alone is nothing that anybody wanted to know.
    [
        "i",
        "me",
        "my",
        "mine",
        "we",
        "us",
        "our",
        "you",
        "your",
        "it",
        "its",
        "he",
        "him",
        "his",
        "she",
        "her",
        "they",
        "them",
        "their",
        "this",
        "that",
        "these",
        "those",
        "here",
        "there",
        "who",
        "what",
        "where",
        "when",
        "why",
        "how",
        "which",
        "whose",
        "a",
        "an",
        "the",
        "uh",
        "um",
        "er",
        "erm",
        "hmm",
        "mm",
        "mhm",
        "hm",
        "ah",
        "oh",
        "eh",
        "well",
        "so",
        "like",
        "just",
        "and",
        "or",
        "but",
        "to",
        "of",
        "in",
        "at",
        "on",
        "from",
        "for",
        "with",
        "by",
        "as",
        "is",
        "am",
        "are",
        "was",
        "were",
        "be",
        "been",
        "do",
        "does",
        "did",
        "yes",
        "yeah",
        "yep",
        "no",
        "nope",
        "not",
        "ok",
        "okay",
        "sure",
        "please",
        "thanks",
        "thank",
        "hi",
        "hello",
        "hey",
        "user",
        "caller",
        "null",
        "none",
        "unknown",
        "nothing",
        "something",
        "anything",
        "someone",
        "everyone",
        "sorry",
        "wait",
        "stop",
        "right",
        "name",
        "called",
        "call",
    ]
)
LONGEST = 10
"""Words a value may have."""


@dataclass(frozen=True)
class Word:
    """One word as it was said, and whether a span may go on from the word before (`gap` stands between them)."""

    text: str
    gap: str
    joined: bool


def words(said: str) -> list[Word]:
    """The words of `said` in order."""
    found: list[Word] = []
    end = 0
    for match in _WORD.finditer(said):
        between = said[end : match.start()]
        pointed = bool(found) and between.strip() == "." and found[-1].text.lower() in _POINTED
        joined = bool(found) and (pointed or not _BREAK.search(between))
        gap = ", " if "," in between else ". " if pointed else " "
        found.append(Word(match.group(), gap, joined))
        end = match.end()
    return found


def normal(text: str) -> str:
    """`text` for comparison: lower case, words alone."""
    return " ".join(word.text.lower().replace("’", "'") for word in words(text))


def occurs(value: str, said: str) -> bool:
    """Whether `value` is a stretch of `said`; case and punctuation don't count."""
    wanted = normal(value)
    return bool(wanted) and f" {wanted} " in f" {normal(said)} "


def is_said(value: str, said: str) -> bool:
    """Whether `value` is a stretch of `said`, and more than pronouns and fillers."""
    wanted = normal(value).split()
    return len(wanted) <= LONGEST and any(word not in _EMPTY_WORDS for word in wanted) and occurs(value, said)


def span_rules(said: str, prefix: str) -> str:
    """GBNF rules for "any stretch of `said`, word for word", named `prefix`; "" if it holds no word.

    A stretch may begin at any word that means something and ends within its sentence. A word may gain or
    lose its capital, as typists leave them out and a sentence begins with one.
    """
    said_words = words(said)
    rules: list[str] = []
    starts: list[str] = []
    for index, word in enumerate(said_words):
        after = said_words[index + 1] if index + 1 < len(said_words) else None
        more = f" ({json.dumps(after.gap)} {prefix}{index + 1})?" if after is not None and after.joined else ""
        rules.append(f"{prefix}{index} ::= {_either_case(word.text)}{more}")
        starts.append(f"{prefix}{index}")
    if not starts:
        return ""
    return "\n".join([f"{prefix} ::= {' | '.join(starts)}", *rules])


def _either_case(word: str) -> str:
    other = word.capitalize() if word.islower() else word.lower() if word.istitle() else word
    forms = dict.fromkeys((word, other))
    return f"({' | '.join(json.dumps(form, ensure_ascii=False) for form in forms)})"
