"""Options of one model as story.toml gives them, comparable and hashable by content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

OWN_FIELDS = ("base_url", "voice", "language", "model", "key_env")
"""Options that have a place of their own, all strings; all others go to the vendor's constructor as they are."""


class FrozenOptions(Mapping[str, object]):
    """A read-only mapping of option names to TOML values. Its repr has the names alone: a value may be a secret."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, object] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, key: str) -> object:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if isinstance(other, FrozenOptions) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._values))  # the names: values may be tables and lists, which have no hash

    def __repr__(self) -> str:
        return f"FrozenOptions({', '.join(self._values)})"


NO_OPTIONS = FrozenOptions()
