"""Faults on demand: what goes wrong, where, how often."""

from __future__ import annotations

import random
import re
import shlex
from dataclasses import dataclass, field, replace
from decimal import Decimal

from story.core.errors import ConfigError
from story.core.nearest import did_you_mean

KINDS = {
    "status": "answers the request or handshake with this HTTP status",
    "refuse": "cuts the connection instead of answering the request or handshake",
    "hang": "never answers; with after=N or sent=N, goes silent in mid-conversation",
    "close": "closes the websocket with this code",
    "cut": "cuts the connection in mid-answer",
    "error": "sends an error as the vendor does; a value is the vendor's code for it",
    "drip": "waits so many seconds before every message or chunk that it sends",
    "malformed": "sends half of a JSON message",
    "content-type": "answers the request with this content type",
}
_WITH_VALUE = frozenset({"status", "close", "drip", "content-type"})
_WITHOUT_VALUE = frozenset({"refuse", "hang", "cut", "malformed"})
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+( *; *[\w.+-]+=[\w.+-]+)*", re.ASCII)
_EXAMPLE = '--fault "deepgram/listen status=429 count=2"'


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    vendor, endpoint: where ("*": everywhere); endpoints are named as `story emulate --help` lists them.
    value: of the kind. after, sent: so many messages must have come in, or have been sent, on a connection first.
    probability: of each connection that it could strike. count: of connections that it strikes, None for no end.
    """

    vendor: str
    endpoint: str
    kind: str
    value: str = ""
    after: int = 0
    sent: int = 0
    probability: float = 1.0
    count: int | None = None

    @property
    def at_request(self) -> bool:
        """Whether it strikes before the request is answered."""
        if self.kind == "hang":
            return not (self.after or self.sent)
        return self.kind in ("status", "refuse", "content-type")

    @property
    def number(self) -> float:
        return float(self.value or 0)

    def __str__(self) -> str:
        words = [f"{self.vendor}/{self.endpoint}", f"{self.kind}={self.value}" if self.value else self.kind]
        words += [f"{name}={getattr(self, name)}" for name in ("after", "sent") if getattr(self, name)]
        words += [f"p={Decimal(repr(self.probability)).normalize():f}"] if self.probability < 1 else []
        words += [f"count={self.count}"] if self.count is not None else []
        return shlex.join(words)


@dataclass
class Faults:
    """The faults in force. Each connection asks once, when it begins, for those that will strike it."""

    faults: list[Fault] = field(default_factory=list)
    seed: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.seed}/faults")

    def take(self, vendor: str, endpoint: str) -> tuple[Fault, ...]:
        """The faults that strike this connection; their counts go down."""
        struck: list[Fault] = []
        left: list[Fault] = []
        for fault in self.faults:
            here = fault.vendor in ("*", vendor) and fault.endpoint in ("*", endpoint)
            if here and fault.count != 0 and self._rng.random() < fault.probability:
                struck.append(fault)
                fault = fault if fault.count is None else replace(fault, count=fault.count - 1)  # noqa: PLW2901
            if fault.count != 0:
                left.append(fault)
        self.faults = left
        return tuple(struck)


def parse_fault(text: str, endpoints: dict[str, tuple[str, ...]]) -> Fault:
    """Read `VENDOR[/ENDPOINT] KIND[=VALUE] [after=N] [sent=N] [p=0.5] [count=N]`.

    endpoints: vendor -> names of its endpoints.

    Raises:
        ConfigError: it means nothing.
    """
    try:
        target, kind_text, *rest = shlex.split(text)
    except ValueError:
        raise ConfigError(f"fault {text!r}: write where and what, as in {_EXAMPLE}") from None
    vendor, endpoint = _target(text, target, endpoints)
    kind, equals, value = kind_text.partition("=")
    if kind not in KINDS:
        raise ConfigError(f"fault {text!r}: unknown kind {_hint(kind, tuple(KINDS))}")
    if kind in _WITH_VALUE and not value:
        raise ConfigError(f"fault {text!r}: {kind} takes a value: it {KINDS[kind]}")
    if kind in _WITHOUT_VALUE and equals:
        raise ConfigError(f"fault {text!r}: {kind} takes no value")
    fault = Fault(vendor, endpoint, kind, value)
    _check_value(text, fault)
    for word in rest:
        fault = _with(text, fault, word)
    return fault


def _target(text: str, target: str, endpoints: dict[str, tuple[str, ...]]) -> tuple[str, str]:
    vendor, _, endpoint = target.partition("/")
    if vendor != "*" and vendor not in endpoints:
        raise ConfigError(f"fault {text!r}: unknown vendor {_hint(vendor, tuple(endpoints))}")
    known = sorted({name for key, names in endpoints.items() if vendor in ("*", key) for name in names})
    if (endpoint or "*") != "*" and endpoint not in known:
        raise ConfigError(f"fault {text!r}: unknown endpoint {_hint(endpoint, known)}")
    return vendor, endpoint or "*"


def _check_value(text: str, fault: Fault) -> None:
    if fault.kind == "content-type" and not _MEDIA_TYPE.fullmatch(fault.value):
        raise ConfigError(f"fault {text!r}: {fault.value!r} is no content type such as text/html")
    limits = {"status": (400, 599), "close": (1000, 4999), "drip": (0, 3600)}
    if fault.kind not in limits:
        return
    low, high = limits[fault.kind]
    pattern = r"[0-9]+(\.[0-9]+)?" if fault.kind == "drip" else r"[0-9]+"
    if not re.fullmatch(pattern, fault.value) or not low <= fault.number <= high:
        raise ConfigError(f"fault {text!r}: {fault.kind} is a number from {low} to {high}")


def _with(text: str, fault: Fault, word: str) -> Fault:
    name, _, value = word.partition("=")
    if name in ("after", "sent", "count") and re.fullmatch(r"[0-9]{1,9}", value):
        number = int(value)
        if name == "after":
            return replace(fault, after=number)
        return replace(fault, sent=number) if name == "sent" else replace(fault, count=number)
    if name in ("p", "probability") and re.fullmatch(r"0?\.[0-9]+|[01](\.0*)?", value):
        return replace(fault, probability=float(value))
    raise ConfigError(f"fault {text!r}: {word!r} is none of after=N, sent=N, p=0.5, count=N")


def _hint(name: str, known: tuple[str, ...] | list[str]) -> str:
    listed = ", ".join(known)
    return f"{name!r}{did_you_mean(name, known, otherwise=f'; one of {listed}')}"
