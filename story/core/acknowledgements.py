"""Which words of a listener only say "go on"."""

from __future__ import annotations

import re

_HUM = re.compile(r"(m+|h+m+|m+h+m*|u+h+h*u+h+|a+h+a+|o+h+|a+h+|e+h+m+)")
_ENGLISH = """
    absolutely alright cool exactly fine good great indeed k nice ok okay really right sure true uhhuh wow
    yeah yep yes yup
"""
_OTHERS = """
    ach genau ja jaha jaja jep jo klar klopt natürlich oké precies schön stimmt
    bien oui ouais parfait voilà daccord
    ajá bueno certo claro già perfecto perfetto sim sí sì vale ya
    うん ええ はい なるほど 네 응 嗯 好 好的 对 是的
"""
_WORDS = frozenset((*_ENGLISH.split(), *_OTHERS.split()))
_PHRASES = frozenset({("all", "right"), ("got", "it"), ("i", "see"), ("of", "course"), ("va", "bene"), ("ach", "so")})
_LONGEST = 4
"""Words; who says more means more."""


def is_acknowledgement(text: str) -> bool:
    """Whether `text` is nothing but "mm-hm", "okay", "yeah, right": what a listener says without wanting the floor."""
    words = re.sub(r"[^\w\s]|_", "", text.casefold()).split()
    if not 0 < len(words) <= _LONGEST:
        return False
    place = 0
    while place < len(words):
        if words[place] in _WORDS or _HUM.fullmatch(words[place]):
            place += 1
        elif tuple(words[place : place + 2]) in _PHRASES:
            place += 2
        else:
            return False
    return True
