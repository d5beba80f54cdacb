"""What a page may say in a call. It comes from outside, so all of it is checked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

MAX_TEXT = 2000
"""Characters of a typed turn."""
MAX_MESSAGE = 16_384
"""Characters of a message, JSON and all."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Say(_Message):
    """The caller's turn, typed."""

    type: Literal["say"]
    text: Annotated[str, Field(max_length=MAX_TEXT)]

    @property
    def words(self) -> str:
        """The text as one line, without what a terminal or a log would take for a command."""
        return " ".join("".join(c if c.isprintable() else " " for c in self.text).split())


class Typing(_Message):
    """The caller is typing, or has stopped."""

    type: Literal["typing"]
    active: bool


class Mute(_Message):
    type: Literal["mute"]
    muted: bool


class Interrupt(_Message):
    """The agent is to stop speaking."""

    type: Literal["interrupt"]


class HangUp(_Message):
    type: Literal["hang_up"]


class Ping(_Message):
    type: Literal["ping"]
    id: int


class Start(_Message):
    """The first message on a socket: a new call. stacks: persona -> spec."""

    type: Literal["start"]
    stacks: dict[str, str] = {}


class Resume(_Message):
    """The first message on a socket: a call whose connection was lost."""

    type: Literal["resume"]
    call: str
    secret: Annotated[str, Field(repr=False)]


Message = Say | Typing | Mute | Interrupt | HangUp | Ping
First = Start | Resume

_MESSAGE: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="type")])
_FIRST: TypeAdapter[First] = TypeAdapter(Annotated[First, Field(discriminator="type")])


def read_message(text: str) -> Message | None:
    """A message of a call under way; None for what is none."""
    if len(text) > MAX_MESSAGE:
        return None
    try:
        return _MESSAGE.validate_json(text)
    except ValidationError:
        return None


def read_first(text: str) -> First | None:
    """The message that a socket begins with; None for what is none."""
    if len(text) > MAX_MESSAGE:
        return None
    try:
        return _FIRST.validate_json(text)
    except ValidationError:
        return None
