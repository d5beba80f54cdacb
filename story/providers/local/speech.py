"""Turns what the model writes into what a voice can say, while it is being written."""

from __future__ import annotations

import re
import unicodedata

_MARKUP = re.compile(r"[*_`#~|<>\\{}\[\]]+")
_BULLET = re.compile(r"^\s*(?:[-+•–—]|\d{1,2}[.)])\s+")
_ROLE = re.compile(r"^\s*(?:(?:assistant|agent|echo|storyteller|caller|user|system|ai)\s*:\s*)+", re.IGNORECASE)
_LEAK = re.compile(r"(?:^|\s)(?:user|caller|assistant|agent|human|system)\s*:", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)]*(?=\s|$)")
_ABBREVIATION = re.compile(r"(?:^|\s)(?:mr|mrs|ms|dr|st|mt|prof|jr|sr|vs)\.$", re.IGNORECASE)
_NOTE = re.compile(r"\[[^\]]*\]?|\([^)]*\)?")


def sayable(text: str) -> str:
    """`text` without markup, symbols and emojis; spaces at its ends stay."""
    text = _MARKUP.sub("", text.replace("’", "'"))
    return "".join(c for c in text if c in " \n$£€%+=°" or unicodedata.category(c)[0] in "LNPZM")


class Speech:
    """Text goes in as the model writes it; words that can be said come out, whole, and end with a sentence.

    `done` turns true where the reply should end: at the end of a sentence once `words` are said or `sentences` are
    complete, with `until_question` at a question in the second half of them, or where the model goes on in
    another voice.
    """

    def __init__(self, *, words: int, sentences: int, until_question: bool = True) -> None:
        self._words = words
        self._sentences = sentences
        self._until_question = until_question
        self._line = ""
        self._held = ""
        self.said = ""
        self.done = False

    @property
    def asks(self) -> bool:
        """Whether the last sentence said is a question."""
        return self.question(self.said)

    def push(self, text: str) -> str:
        """Add what was written; what can be said now ("" if nothing)."""
        if self.done:
            return ""
        self._held += text
        cut = max(self._held.rfind(" "), self._held.rfind("\n"))
        if cut < 0:
            return ""
        ready, self._held = self._held[: cut + 1], self._held[cut + 1 :]
        return self._say(ready)

    def finish(self) -> str:
        """What is left to say: nothing more will be written."""
        if self.done:
            return ""
        ready, self._held = self._held, ""
        out = self._say(ready)
        self.done = True
        return out

    def _say(self, text: str) -> str:
        out = ""
        for line in re.split(r"(?<=\n)", text):
            out += self._say_words(line)
            if self.done:
                break
            if line.endswith("\n"):
                self._line = ""
        return out

    def _say_words(self, text: str) -> str:
        before = self._line
        self._line += text
        if not before.strip():
            # At the very start the model names the one who speaks; later it would speak for somebody else.
            text = _BULLET.sub("", text if self.said.strip() else _ROLE.sub("", text))
        if leak := _LEAK.search(text):
            text = text[: leak.start()]
            self.done = True
        words = sayable(text).replace("\n", " ")
        words = re.sub(r"\s+", " ", words)
        if not self.said or self.said.endswith(" "):
            words = words.lstrip()
        for end in _SENTENCE_END.finditer(words):
            upto = self.said + words[: end.end()]
            if not _ABBREVIATION.search(upto) and self._enough(upto):
                words = words[: end.end()]
                self.done = True
                break
        self.said += words
        return words

    def _enough(self, said: str) -> bool:
        ends = [end for end in _SENTENCE_END.finditer(said) if not _ABBREVIATION.search(said[: end.end()])]
        answered = self._until_question and len(ends) > self._sentences // 2 and self.question(said)
        return answered or len(ends) >= self._sentences or len(said.split()) >= self._words

    @staticmethod
    def question(said: str) -> bool:
        """Whether `said` ends with a question."""
        return bool(re.search(r"\?[\"'”’)\s]*$", said))
