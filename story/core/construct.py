"""Turn what a stack says about a model into a call of its constructor.

A provider hands over its vendor's class and the options of the stack; the signature of the class says which options
there are and what they take. So every option of a livekit plugin can be set in story.toml and none is listed here.
"""

from __future__ import annotations

import importlib
import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin

from story.core.errors import StackError, StoryError
from story.core.nearest import did_you_mean

if TYPE_CHECKING:
    from pydantic import ValidationError

    from story.core.registry import ModelOptions

Made = TypeVar("Made")

# Objects that belong to a running event loop, and livekit's marker for "left out": no file can hold them.
_LIVE = frozenset({"aiohttp.client.ClientSession"})
_LEFT_OUT = frozenset({"livekit.agents.types.NotGiven"})
# What to make where a constructor asks for an abstract class.
_CONCRETE = {
    "livekit.agents.tokenize.tokenizer.WordTokenizer": "livekit.agents.tokenize.basic:WordTokenizer",
    "livekit.agents.tokenize.tokenizer.SentenceTokenizer": "livekit.agents.tokenize.basic:SentenceTokenizer",
    "livekit.agents.vad.VAD": "livekit.agents.inference:VAD",
}


def construct(
    constructor: Callable[..., Made],
    options: ModelOptions,
    what: str,
    *,
    model: str | None = "model",
    voice: str | None = "voice",
    language: str | None = "language",
) -> Made:
    """Call `constructor` with `options`; `what` names the model in errors ("deepgram stt").

    `model`, `voice` and `language` are the constructor's own names for these; None where it has no such option.
    `base_url` and `api_key` keep their names. What the stack leaves out is left to the constructor. The values of
    `options.extra` come from TOML and become what the constructor's annotations ask for: a table becomes a
    dataclass, a pydantic model or an object, and `false` means None where an option takes None and no boolean.

    Raises StackError for an option that the constructor lacks, for a value that it can't take, and for whatever the
    constructor itself objects to.
    """
    if voice is None and options.voice is not None:
        raise StackError(f"{what} has no voices to choose from, so '{options.voice}' can't be one")
    if language is None and options.language is not None:
        raise StackError(f"{what} has no languages to choose from, so '{options.language}' can't be one")
    chosen = {model: options.model, voice: options.voice, language: options.language}
    chosen |= {"base_url": options.base_url, "api_key": options.api_key}
    arguments: dict[str, object] = {name: value for name, value in chosen.items() if name and value is not None}
    arguments |= _converted(constructor, options.extra, what)
    try:
        return constructor(**arguments)
    except StoryError:
        raise
    except Exception as error:  # whatever a vendor's constructor objects to is the user's to mend
        raise StackError(f"{what} can't be built: {_one_line(error)}") from error


def _converted(constructor: Callable[..., object], given: Mapping[str, object], what: str) -> dict[str, object]:
    known, hints = _parameters(constructor), _hints(constructor)
    values: dict[str, object] = {}
    for name, value in given.items():
        if name not in known:
            raise _unknown(name, known, what)
        values[name] = _convert(value, hints[name], f"{what}: {name}") if name in hints else value
    return values


def _convert(value: object, wanted: Any, what: str) -> object:
    """`value`, which came from TOML, as the annotation `wanted` asks for."""
    choices = [choice for choice in _alternatives(wanted) if _name(choice) not in _LEFT_OUT]
    if value is False and types.NoneType in choices and bool not in choices:
        return None  # TOML has no null
    if any(_name(choice) in _LIVE for choice in choices):
        raise StackError(f"{what} takes a live object, which a file can't hold")
    if isinstance(value, list):
        item_type = next((get_args(c)[0] for c in choices if get_origin(c) is list and get_args(c)), None)
        if item_type is not None:
            return [_convert(item, item_type, what) for item in value]
    classes = [choice for choice in choices if _is_made_by_name(choice)]
    others = [choice for choice in choices if choice not in classes and choice is not types.NoneType]
    if isinstance(value, dict) and classes:
        return _from_table(value, classes, what)
    if others:
        return _validated(value, others, what)
    if not classes:
        return value
    return _made(_concrete(classes[0]), what, (value,), {})


def _from_table(table: Mapping[str, object], classes: list[Any], what: str) -> object:
    """An instance of the class whose constructor takes the keys of `table`."""
    candidates = [_concrete(cls) for cls in classes]
    cls = next((cls for cls in candidates if table.keys() <= _parameters(cls).keys()), candidates[0])
    return _made(cls, what, (), _converted(cls, table, what))


def _made(cls: Callable[..., object], what: str, args: tuple[object, ...], named: Mapping[str, object]) -> object:
    try:
        return cls(*args, **named)
    except Exception as error:
        raise StackError(f"{what}: {_one_line(error)}") from error


def _validated(value: object, choices: list[Any], what: str) -> object:
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    union: Any = Union[tuple(choices)]  # noqa: UP007 - a list of them
    try:
        adapter: TypeAdapter[object] = TypeAdapter(union)
        # A scalar has its type from TOML already: "0.5" for a number is a mistake to tell, not to mend.
        made = adapter.validate_python(value, strict=not isinstance(value, dict | list))
    except PydanticUserError:
        return value  # pydantic knows no schema for this annotation: the constructor is the judge
    except ValidationError as error:
        raise StackError(f"{what}: {_reason(error)}") from error
    _refuse_stray_keys(made, what)
    return made


def _refuse_stray_keys(made: object, what: str) -> None:
    """The models of the openai package keep keys that they don't know, so a slip of the pen would pass unseen."""
    fields: Mapping[str, object] | None = getattr(type(made), "model_fields", None)
    if fields is None:
        return
    for name in getattr(made, "model_extra", None) or ():
        raise _unknown(name, fields, what)
    for name in fields:
        _refuse_stray_keys(getattr(made, name), f"{what}.{name}")


def _alternatives(annotation: Any) -> list[Any]:
    """The members of a union, or the annotation alone."""
    if get_origin(annotation) in (Union, types.UnionType):
        return [member for part in get_args(annotation) for member in _alternatives(part)]
    return [annotation]


def _is_made_by_name(choice: Any) -> bool:
    """A class that its own keyword arguments make: a dataclass, a TypedDict, or any ordinary class."""
    if typing.is_typeddict(choice) or _is_later_typeddict(choice):
        return True
    return isinstance(choice, type) and choice.__module__ not in ("builtins", "pathlib") and not _is_pydantic(choice)


def _is_later_typeddict(choice: Any) -> bool:
    return isinstance(choice, type) and issubclass(choice, dict) and hasattr(choice, "__required_keys__")


def _is_pydantic(choice: type) -> bool:
    return hasattr(choice, "__pydantic_validator__") and hasattr(choice, "model_fields")


def _concrete(cls: Any) -> Any:
    path = _CONCRETE.get(_name(cls))
    if path is None:
        return cls
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _parameters(constructor: Any) -> Mapping[str, object]:
    """The names that `constructor` takes."""
    if typing.is_typeddict(constructor) or _is_later_typeddict(constructor):
        return typing.get_type_hints(constructor)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name: p for name, p in inspect.signature(constructor).parameters.items() if p.kind in named}


def _hints(constructor: Any) -> Mapping[str, Any]:
    """The annotations that can be resolved; a name that exists for type checkers only leaves its option unchecked."""
    if not isinstance(constructor, type) or issubclass(constructor, dict):
        function = constructor
    else:
        function = constructor.__init__
    try:
        return typing.get_type_hints(function)
    except NameError:
        return {}


def _name(choice: Any) -> str:
    return f"{getattr(choice, '__module__', '')}.{getattr(choice, '__qualname__', '')}"


def _unknown(name: str, known: Iterable[str], what: str) -> StackError:
    public = [option for option in known if not option.startswith("_")]
    hint = did_you_mean(name, public, otherwise=f"; it takes {', '.join(public)}")
    return StackError(f"{what} has no option '{name}'{hint}")


def _reason(error: ValidationError) -> str:
    """What pydantic found wrong, in one line.

    A union complains for each of its members. Those whose `type` tag is another one than the user wrote say nothing
    about the user's mistake, and of the rest the one that got furthest into the value says most.
    """
    complaints = error.errors(include_url=False, include_input=False, include_context=False)
    other_tags = {c["loc"][:-1] for c in complaints if c["loc"][-1:] == ("type",)}
    meant = [c for c in complaints if c["loc"][:-1] not in other_tags] or complaints
    deepest = max(len(c["loc"]) for c in meant)
    told = [c for c in meant if len(c["loc"]) == deepest]
    key = f"{told[0]['loc'][-1]} " if deepest > 1 and isinstance(told[0]["loc"][-1], str) else ""
    return key + " or ".join(dict.fromkeys(c["msg"].replace("Input should be", "should be") for c in told))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
