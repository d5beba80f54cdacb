"""Commands that read their words without pydantic, and whose help does not call a switch a `<bool>`.

Since 0.29 typer has pydantic read every parameter that is not a flag, and importing pydantic takes longer than all
else that `story stacks show` does. A word that stays a word needs nobody to read it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

# Where typer keeps what reads a parameter; a typer without it is left as it is.
_READER = "_runtime_param"


class _Words:
    """Takes a string as the string it is, and None as None; all else is left to typer."""

    def coerce(self, value: object, param: TyperArgument | TyperOption, ctx: Any) -> object:
        one = param.nargs == 1 and not param.multiple
        if one and (value is None or (isinstance(value, str) and param.type_descriptor.annotation is str)):
            return value
        setattr(param, _READER, None)
        read: object = param.get_runtime_param().coerce(value, param=param, ctx=ctx)
        return read


def _take_words(params: Iterable[object]) -> None:
    for param in params:
        if isinstance(param, TyperArgument | TyperOption) and getattr(param, _READER, ...) is None:
            setattr(param, _READER, _Words())


def _quiet(params: list[Any]) -> list[Any]:
    for param in params:
        if isinstance(param, TyperOption) and param.is_flag and param.metavar is None:
            param.metavar = ""
    return params


class PlainCommand(TyperCommand):
    """For `@app.command(cls=PlainCommand)`."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _quiet(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _take_words(self.get_params(ctx))
        return super().parse_args(ctx, args)


class PlainGroup(TyperGroup):
    """For `typer.Typer(cls=PlainGroup)`."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _quiet(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _take_words(self.get_params(ctx))
        return super().parse_args(ctx, args)
