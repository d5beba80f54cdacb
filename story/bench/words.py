"""Words as they are spoken, and how far what was heard is from what was said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WHOLE = {
    "won't": "will not", "can't": "cannot", "cannot": "cannot", "let's": "let us", "ok": "okay", "gonna": "going to",
    "wanna": "want to", "mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint",
}  # fmt: skip
_IS = frozenset(("it", "that", "what", "there", "here", "he", "she", "who", "where", "how"))
"""After these, 's is short for "is"; after a name it may be a genitive, which is left as it is."""
_ENDINGS = (("n't", " not"), ("'m", " am"), ("'re", " are"), ("'ve", " have"), ("'ll", " will"), ("'d", " would"))
_FILLERS = frozenset(("uh", "um", "uhm", "er", "erm", "hm", "hmm", "mm", "mhm", "mm-hm"))


def words(text: str) -> list[str]:
    """The words of an English text as they are spoken: no case, no punctuation, no fillers; numbers and what is
    written short are written out. Recognisers differ in all of these, and none of it is an error of hearing."""
    found: list[str] = []
    for word in re.findall(r"[\w']+", text.lower().replace("’", "'").replace("-", " ")):
        found += _spoken(word.strip("'_"))
    return found


def _spoken(word: str) -> list[str]:
    if word in _FILLERS or not word:
        return []
    if word.isdecimal():
        return _number(int(word)) if len(word) <= 4 else [_digit(digit) for digit in word]
    if word in _WHOLE:
        return _WHOLE[word].split()
    if word.endswith("'s") and word[:-2] in _IS:
        return [word[:-2], "is"]
    for ending, long in _ENDINGS:
        if word.endswith(ending):
            return (word.removesuffix(ending) + long).split()
    return [word]


def _digit(digit: str) -> str:
    return _ONES[int(digit)]


def _number(number: int) -> list[str]:
    if number < 20:
        return [_ONES[number]]
    if number < 100:
        return [_TENS[number // 10 - 2], *(_number(number % 10) if number % 10 else [])]
    size, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    return [*_number(number // size), name, *(_number(number % size) if number % size else [])]


@dataclass(frozen=True)
class WordErrors:
    """What a recogniser made of `said` words."""

    said: int
    substituted: int
    left_out: int
    added: int

    @property
    def errors(self) -> int:
        return self.substituted + self.left_out + self.added

    @property
    def rate(self) -> float:
        """Errors a word; above 1 where much was added."""
        return self.errors / self.said if self.said else 0.0


def word_errors(said: str, heard: str) -> WordErrors:
    """The fewest changes that make the words of `heard` of those of `said`."""
    import jiwer

    reference, hypothesis = words(said), words(heard)
    if not reference or not hypothesis:
        return WordErrors(len(reference), 0, len(reference), len(hypothesis))
    found = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    return WordErrors(len(reference), found.substitutions, found.deletions, found.insertions)


def missing(wanted: Iterable[str], heard: str) -> list[str]:
    """Those of `wanted`, names and places, whose words are not in `heard`, in their order."""
    there = f" {' '.join(words(heard))} "
    return [name for name in wanted if f" {' '.join(words(name))} " not in there]


def there(wanted: Iterable[str], heard: str) -> list[str]:
    """Those of `wanted` that are not `missing`."""
    return [name for name in wanted if not missing([name], heard)]


def same(one: object, other: object) -> bool:
    """Whether two facts are the same words."""
    return words(str(one)) == words(str(other))
