"""From the options of the command line and a TOML file to a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from story.bench.matrix import Matrix, Rule, check_known, choices_of, rule_from, rule_of
from story.bench.request import Request
from story.bench.transports.choice import PROCESS, TRANSPORTS, known_transport
from story.core.errors import ConfigError
from story.core.nearest import did_you_mean
from story.core.toml import TomlFile, read_toml

_CHOICES = ("stt", "llm", "tts", "realtime")
_RULES = ("exclude", "include")
_NAMES = ("stacks", "scenarios", "places", "prices", "disturb")
_NUMBERS = {
    "repetitions": 1,
    "warm_up": 0,
    "concurrency": 1,
    "max_duration": 1,
    "max_cost": 0,
    "max_time": 0,
    "seed": 0,
    "retry": 0,
}
"""Names of numbers, and the least that each may be."""
_WHOLE = ("repetitions", "warm_up", "concurrency", "seed", "retry")
_KEYS = (*_CHOICES, *_RULES, *_NAMES, *_NUMBERS, "chain", "record", "emulate", "caller_voice", "transport")
_REST = ("chain", "record", "emulate", "component", "caller_voice", "transport")
_FILES = ("places", "prices")
_NAMES_OR_FILES = ("brain", "heard", "profile")
"""Of emulated vendors."""
_EMULATE = ("brain", "heard", "speech", "profile", "faults")


def request_of(options: Mapping[str, Any], path: Path | None) -> Request:
    """What is asked for. options: those of the command line, which win over the file's.

    Raises:
        ConfigError: a file that can't be read, a key or a rule that means nothing, a matrix without a stack.
    """
    told = {**(_read(read_toml(path)) if path is not None else {}), **options}
    choices: dict[str, Any] = {role: _choices(told[role]) for role in _CHOICES if role in told}
    rules: dict[str, Any] = {name: tuple(_rule(rule) for rule in told.get(name, ())) for name in _RULES}
    matrix = Matrix(**choices, stacks=tuple(told.get("stacks", ())), **rules)
    for name in _RULES:
        check_known(rules[name], matrix)
    told = _placed(told, Path.cwd())  # a run may be gone on with from another folder
    names: dict[str, Any] = {name: tuple(told[name]) for name in _NAMES if name != "stacks" and name in told}
    rest = {name: told[name] for name in (*_NUMBERS, *_REST) if name in told}
    known_transport(told.get("transport", PROCESS))
    return Request(stacks=matrix.specs(), **names, **rest)


def _choices(told: str | Sequence[str]) -> tuple[str, ...]:
    return choices_of(told) if isinstance(told, str) else tuple(told)


def _rule(told: str | Mapping[str, object]) -> Rule:
    return rule_of(told) if isinstance(told, str) else rule_from(told)


def _read(toml: TomlFile) -> dict[str, Any]:
    """What the file says, its paths as seen from where it is."""
    told = dict(toml.data)
    for name, value in told.items():
        if name not in _KEYS:
            hint = did_you_mean(name, _KEYS, otherwise=f"; one of {', '.join(_KEYS)}")
            raise toml.error((name,), f"unknown key {name!r}{hint}")
        _check(toml, name, value)
    return _placed(told, toml.path.parent)


def _placed(told: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What is said, with its files as they are found from `folder`."""
    placed: dict[str, Any] = {name: [str(folder / path) for path in told[name]] for name in _FILES if name in told}
    if "chain" in told:
        placed["chain"] = _name_or_file(told["chain"], folder)
    if isinstance(emulate := told.get("emulate"), Mapping):
        files = {name: _name_or_file(emulate[name], folder) for name in _NAMES_OR_FILES if name in emulate}
        placed["emulate"] = {**emulate, **files}
    return {**told, **placed}


def _name_or_file(text: str, folder: Path) -> str:
    path = Path(text)
    return str(folder / path) if path.suffix in (".toml", ".json") or path.name != text else text


def _check(toml: TomlFile, name: str, value: object) -> None:
    """Raise ConfigError for a value that is of another kind than its key wants."""
    if name in _NUMBERS:
        _check_number(toml, name, value)
    elif name in _RULES:
        _check_rules(toml, name, value)
    elif name == "emulate":
        _check_emulate(toml, name, value)
    elif name in _CHOICES and not (isinstance(value, str) or _are(value, str)):
        raise toml.error((name,), 'is a list of models, as in ["deepgram", "cartesia/ink-2"]')
    elif name in _NAMES and not _are(value, str):
        raise toml.error((name,), "is a list of strings")
    elif name == "chain" and not isinstance(value, str):
        raise toml.error((name,), "is the name of a chain, or its file")
    elif name == "caller_voice" and not isinstance(value, str):
        raise toml.error((name,), 'is a tts, as in "local" or "cartesia/sonic-3"')
    elif name == "transport" and value not in TRANSPORTS:
        raise toml.error((name,), f"is one of {', '.join(TRANSPORTS)}")
    elif name == "record" and not isinstance(value, bool):
        raise toml.error((name,), "is true or false")


def _check_number(toml: TomlFile, name: str, value: object) -> None:
    kinds = (int,) if name in _WHOLE else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or value < _NUMBERS[name]:
        raise toml.error((name,), f"is a {'whole ' if name in _WHOLE else ''}number of at least {_NUMBERS[name]}")


def _check_rules(toml: TomlFile, name: str, value: object) -> None:
    if not (isinstance(value, list) and _are(value, dict)):
        raise toml.error((name,), 'is a list of tables, as in [{ stt = "local", tts = "elevenlabs" }]')
    for rule in value:
        try:
            rule_from(rule)
        except ConfigError as error:
            raise toml.error((name,), str(error)) from None


def _check_emulate(toml: TomlFile, name: str, value: object) -> None:
    if not isinstance(value, dict):
        raise toml.error((name,), 'is a table, as in { profile = "baseline" }')
    for key in value:
        if key not in _EMULATE:
            hint = did_you_mean(key, _EMULATE, otherwise=f"; one of {', '.join(_EMULATE)}")
            raise toml.error((name, key), f"unknown key {key!r}{hint}")
    for key in _NAMES_OR_FILES:
        if not isinstance(value.get(key, ""), str):
            raise toml.error((name, key), "is a name, or a file")


def _are(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)
