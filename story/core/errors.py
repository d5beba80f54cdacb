"""The errors a user of `story` can meet. Each message says what is wrong and what to do about it."""

from __future__ import annotations


class StoryError(Exception):
    """Base of every error that is the user's to mend. The command line prints it in one line and exits with 2."""


def printable(text: str) -> str:
    """`text` in one line that does nothing to a terminal: what is no character to be seen becomes a question mark."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "?" for char in text)


def _columns(text: str) -> int:
    """How wide `text` is on a terminal: East Asian characters take two columns, combining ones none."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "FW" else 1 for char in text)


class StackError(StoryError):
    """A stack that can't be read, resolved or built.

    `spec` is the text as the user wrote it; `start` and `end` are the offsets (in characters) of the part that
    is wrong. `str(error)` is the message alone, `error.pointed()` adds the spec with carets under that part.
    """

    def __init__(self, message: str, *, spec: str = "", start: int = 0, end: int | None = None) -> None:
        super().__init__(message)
        self.spec = spec
        self.start = start
        self.end = len(spec) if end is None else end

    def pointed(self) -> str:
        """The message, then the spec, then carets under the offending part."""
        message = printable(str(self))
        if not self.spec:
            return message
        before, part = (_columns(text) for text in (self.spec[: self.start], self.spec[self.start : self.end]))
        carets = " " * before + "^" * max(1, part)
        return f"{message}\n  {printable(self.spec)}\n  {carets}"


class ConfigError(StoryError):
    """A file of the user's (story.toml, a chain, an .env) that can't be used; names file, line and key."""


class MissingKeyError(StackError):
    """A provider's key is not in the environment."""


class MissingPackageError(StackError):
    """A provider's package is not installed; the message has the install command."""


class WeightsError(StoryError):
    """Weights of an on-device model are missing, damaged, or can't be fetched."""


class AudioError(StoryError):
    """A sound file or a sound device that can't be used."""


class RecordingError(AudioError):
    """A recording that can't be written: there is no room, or no permission."""


class CallError(StoryError):
    """A call that can't start."""
