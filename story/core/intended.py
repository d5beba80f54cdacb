"""What an agent was about to say, of which a caller who breaks in does not hear the end."""

from __future__ import annotations

from collections import deque

REMEMBERED = 4
"""Texts; replies are begun ahead of time, and thrown away where the caller goes on."""


class Intended:
    """What the model of an agent has written, text by text, whether it is said or not."""

    def __init__(self) -> None:
        self._texts: deque[list[str]] = deque(maxlen=REMEMBERED)

    def begin(self) -> list[str]:
        """A text begins: its parts go into this list as they are written."""
        text: list[str] = []
        self._texts.append(text)
        return text

    def unheard(self, heard: str) -> str:
        """How the newest text that begins with `heard` goes on, as far as it was written. "" where there is none.

        Spaces don't count: what was heard is put together from pieces.
        """
        letters = "".join(heard.split())
        for parts in reversed(self._texts):
            text = "".join(parts)
            if "".join(text.split()).startswith(letters):
                return " ".join(text[_place(text, len(letters)) :].split())
        return ""


def _place(text: str, count: int) -> int:
    """Where in `text` so many characters that are no spaces have passed."""
    for place, character in enumerate(text):
        if count == 0:
            return place
        count -= not character.isspace()
    return len(text)
