"""Whether JSON is what a vendor's own types say: no field missing, none of another type, none that they don't know."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from pydantic import BaseModel, TypeAdapter


def check(data: object, kind: object) -> None:
    """Raises ValidationError or AssertionError where `data` is not what the SDK's type `kind` says."""
    assert list(_unknown(_adapter(kind).validate_python(data, strict=True), "")) == []


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
