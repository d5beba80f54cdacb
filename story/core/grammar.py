"""The text of a stack: what the user writes, as a tree that prints back to an equal one.

    stack  = part *("+" part)
    part   = [role "="] choice
    choice = ref *("," ref)
    ref    = provider ["/" model] [":" variant] | alias [":" variant] | named stack

Spaces around any of these mean nothing. The last `:` starts the variant, then the first `/` ends the provider. Any of
a ref's pieces may stand in double quotes, where `+ , = :` and spaces are ordinary characters and a backslash keeps the
next one from being special: `"openrouter/meta-llama/x:free":voice`. Only `/` still divides: no provider has one.
Nothing here knows which providers exist; that is `resolve.resolve`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from story.core.errors import StackError
from story.core.nearest import did_you_mean
from story.core.registry import Role

_SPECIAL = frozenset('+,=:"\\')


@dataclass(frozen=True)
class Ref:
    """One model as it is written. `name` is a provider where there is a model, else a provider, alias or stack.

    start, end: where it stands in the spec (characters); they don't count when refs are compared.
    """

    name: str
    model: str | None = None
    variant: str | None = None
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    def __str__(self) -> str:
        head = self.name if self.model is None else f"{self.name}/{self.model}"
        return _quoted(head) if self.variant is None else f"{_quoted(head)}:{_quoted(self.variant)}"


@dataclass(frozen=True)
class Part:
    """Models to try in order, for `role` where one is named."""

    refs: tuple[Ref, ...]
    role: Role | None = None
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    def __str__(self) -> str:
        choice = ",".join(str(ref) for ref in self.refs)
        return choice if self.role is None else f"{self.role}={choice}"


@dataclass(frozen=True)
class Spec:
    """A whole stack as it is written. `text` is that writing, for errors; it doesn't count in comparisons."""

    parts: tuple[Part, ...]
    text: str = field(default="", compare=False)

    def __str__(self) -> str:
        return "+".join(str(part) for part in self.parts)

    @property
    def single(self) -> Ref | None:
        """The ref of a spec that is nothing but one ref."""
        if len(self.parts) == 1 and self.parts[0].role is None and len(self.parts[0].refs) == 1:
            return self.parts[0].refs[0]
        return None


def parse(text: str) -> Spec:
    """Read a stack spec.

    Raises:
        StackError: pointing at the character where it stops being one.
    """
    chars = list(_chars(text))
    if not any(not char.blank for char in chars):
        raise StackError("the stack is empty; name a stack, a provider or models, as in deepgram+gpt4o-mini", spec=text)
    parts = tuple(_part(text, piece) for piece in _split(text, chars, "+", "part"))
    return Spec(parts=parts, text=text)


@dataclass(frozen=True)
class _Char:
    """A character and where its writing starts and ends; one in quotes or after a backslash is never special."""

    value: str
    start: int
    end: int
    literal: bool

    @property
    def blank(self) -> bool:
        return not self.literal and self.value.isspace()

    def is_(self, special: str) -> bool:
        return not self.literal and self.value == special


def _chars(text: str) -> Iterator[_Char]:
    """The characters of a spec. Quotes themselves come as special characters, so that `""` is not nothing."""
    opened: int | None = None
    position = 0
    while position < len(text):
        char = text[position]
        if char == '"':
            yield _Char('"', position, position + 1, literal=False)
            opened = position if opened is None else None
            position += 1
        elif opened is not None and char == "\\":
            if position + 1 == len(text):
                break
            yield _Char(text[position + 1], position, position + 2, literal=True)
            position += 2
        else:
            yield _Char(char, position, position + 1, literal=opened is not None)
            position += 1
    if opened is not None:
        raise StackError("a quote is opened but never closed", spec=text, start=opened)


def _split(text: str, chars: Sequence[_Char], separator: str, what: str) -> Iterator[list[_Char]]:
    """The pieces between unquoted separators, without the blanks around them; an empty one is an error."""
    piece: list[_Char] = []
    last: _Char | None = None
    for char in chars:
        if char.is_(separator):
            yield _stripped(text, piece, char, what)
            piece, last = [], char
        else:
            piece.append(char)
    yield _stripped(text, piece, last, what)


def _stripped(text: str, piece: list[_Char], beside: _Char | None, what: str) -> list[_Char]:
    """A piece without the blanks around it. beside: the separator to point at where nothing is left."""
    while piece and piece[0].blank:
        piece.pop(0)
    while piece and piece[-1].blank:
        piece.pop()
    if not piece:
        start, end = (beside.start, beside.end) if beside else (0, len(text))
        raise StackError(f"an empty {what}", spec=text, start=start, end=end)
    return piece


def _part(text: str, chars: list[_Char]) -> Part:
    role: Role | None = None
    start, end = chars[0].start, chars[-1].end
    equals = _first(chars, lambda char: char.is_("="))
    if equals is not None:
        role = _role(text, chars[:equals], chars[equals])
        after = chars[equals]
        chars = chars[equals + 1 :]
        if not any(not char.blank for char in chars):
            raise StackError(f"nothing follows {role}=", spec=text, start=start, end=after.end)
        if (second := _first(chars, lambda char: char.is_("="))) is not None:
            where = chars[second]
            raise StackError('a second "="; quote a name that has one', spec=text, start=where.start, end=where.end)
    refs = tuple(_ref(text, piece) for piece in _split(text, chars, ",", "choice"))
    return Part(refs=refs, role=role, start=start, end=end)


def _role(text: str, chars: list[_Char], equals: _Char) -> Role:
    name = "".join(char.value for char in chars).strip()
    try:
        return Role(name)
    except ValueError:
        start, end = (chars[0].start, chars[-1].end) if chars else (equals.start, equals.end)
        hint = did_you_mean(name, Role, otherwise=f"; one of {', '.join(Role)}")
        message = f"unknown role {name!r}{hint}" if name else 'no role before "="'
        raise StackError(message, spec=text, start=start, end=end) from None


def _ref(text: str, chars: list[_Char]) -> Ref:
    start, end = chars[0].start, chars[-1].end
    colon = _first(list(reversed(chars)), lambda char: char.is_(":"))
    head, variant = chars, None
    if colon is not None:
        at = len(chars) - 1 - colon
        head, tail = chars[:at], chars[at + 1 :]
        variant = _text(tail)
        if not variant:
            raise StackError('no voice or variant after ":"', spec=text, start=chars[at].start, end=end)
        if not _text(head):
            raise StackError('no model before ":"', spec=text, start=start, end=chars[at].end)
    name, slash, model = _text(head).partition("/")
    if not name:
        message = 'no provider before "/"' if slash else "an empty name"
        raise StackError(message, spec=text, start=start, end=end)
    if slash and not model:
        raise StackError(f'no model after "{name}/"', spec=text, start=start, end=end)
    return Ref(name=name, model=model if slash else None, variant=variant, start=start, end=end)


def _text(chars: Sequence[_Char]) -> str:
    return "".join(char.value for char in chars if not char.is_('"'))


def _first(chars: Sequence[_Char], wanted: Callable[[_Char], bool]) -> int | None:
    return next((index for index, char in enumerate(chars) if wanted(char)), None)


def _quoted(text: str) -> str:
    if not (_SPECIAL & set(text) or any(char.isspace() for char in text)):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
