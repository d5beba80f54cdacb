"""Whether JSON is what a vendor's own types say: no field missing, none of another type, none that they don't know."""

from __future__ import annotations

from collections.abc import Container, Iterator
from functools import cache

from pydantic import BaseModel, TypeAdapter


def check(data: object, kind: object, *, besides: Container[str] = ()) -> None:
    """Raises where `data` is not what the SDK's `kind` says. besides: fields that the vendor sends all the same."""
    read = _adapter(kind).validate_python(data, strict=True)
    unknown = [path for path in _unknown(read, "") if path.rpartition(".")[2] not in besides]
    if unknown:
        raise AssertionError(f"fields that the SDK lacks: {', '.join(unknown)}")


@cache
def _adapter(kind: object) -> TypeAdapter:
    return TypeAdapter(kind)


def _unknown(value: object, path: str) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(item, f"{path}[{index}]")
