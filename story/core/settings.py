"""What the user has set: keys in `.env` and the environment, stacks and provider options in `story.toml`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from story.core.errors import ConfigError
from story.core.nearest import did_you_mean
from story.core.options import NO_OPTIONS, OWN_FIELDS, FrozenOptions
from story.core.registry import ModelSetting, NamedStack, Role
from story.core.textfile import read_text

if TYPE_CHECKING:
    from story.core.toml import TomlFile

CONFIG_NAME = "story.toml"
CONFIG_VARIABLE = "STORY_CONFIG"
ENV_NAME = ".env"

SECTIONS = ("stacks", "providers", "plugins", "call")


@dataclass(frozen=True)
class CallDefaults:
    """`[call]` of story.toml: how long a call may last (seconds) and the folder for records; None: not set."""

    max_duration: float | None = None
    records: Path | None = None


@dataclass(frozen=True)
class Settings:
    """Everything the user has set, read once. `env` is the environment over `.env`; it is never shown by `repr`.

    path, env_path: the files that were read, None where there was none.
    providers: options for all models of a provider; its `base_url` is here and nowhere else.
    overrides: provider -> options that win over `providers` and over what a stack says of a model.
    """

    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    path: Path | None = None
    env_path: Path | None = None
    stacks: Mapping[str, NamedStack] = field(default_factory=dict)
    providers: Mapping[str, FrozenOptions] = field(default_factory=dict)
    overrides: Mapping[str, FrozenOptions] = field(default_factory=dict)
    blocked: frozenset[str] = frozenset()
    call: CallDefaults = CallDefaults()

    def key(self, name: str) -> str | None:
        """The value of an environment variable; None where it is missing or empty."""
        return self.env.get(name) or None

    def options(self, provider: str, own: Mapping[str, object] = NO_OPTIONS) -> FrozenOptions:
        """The options of a provider's model: what story.toml says of all its models, over that `own`, which a stack
        says of this one, and over both the overrides."""
        told = (self.providers.get(provider, NO_OPTIONS), own, self.overrides.get(provider, NO_OPTIONS))
        return FrozenOptions({name: value for options in told for name, value in options.items()})

    def base_url(self, provider: str) -> str | None:
        """Where a provider's models are reached, if not at the vendor's own address."""
        url = self.options(provider).get("base_url")
        return url if isinstance(url, str) else None

    def with_overrides(
        self,
        *,
        env: Mapping[str, str] | None = None,
        providers: Mapping[str, Mapping[str, object]] | None = None,
    ) -> Settings:
        """These settings with further variables and provider options, which win over whatever is set."""
        overrides = dict(self.overrides)
        for name, options in (providers or {}).items():
            overrides[name] = FrozenOptions({**overrides.get(name, NO_OPTIONS), **options})
        return replace(self, env=MappingProxyType({**self.env, **(env or {})}), overrides=MappingProxyType(overrides))

    @contextmanager
    def exported(self) -> Iterator[None]:
        """Put `env` into `os.environ` for a while: vendors' constructors look for their keys there."""
        changed = {name: value for name, value in self.env.items() if os.environ.get(name) != value}
        before = {name: os.environ.get(name) for name in changed}
        os.environ.update(changed)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def user_path(text: str) -> Path:
    """A path as a user writes it: `~` is their home. One that belongs to nobody stays as it is."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def load_settings(
    *, env_file: Path | None = None, folder: Path | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Read `.env` and `story.toml` of `folder` (the current one by default).

    env_file: takes the place of `.env` (`--env-file`) and must exist. environ: takes the place of `os.environ`, whose
    values win over those of `.env`. `STORY_CONFIG` names another file than story.toml, which then must exist.

    Raises:
        ConfigError: with file, line and key.
    """
    folder = folder or Path.cwd()
    env_path = env_file if env_file is not None else folder / ENV_NAME
    from_file = _read_env(env_path, required=env_file is not None)
    env = MappingProxyType({**(from_file or {}), **(os.environ if environ is None else environ)})
    named = env.get(CONFIG_VARIABLE)
    path = folder / (user_path(named) if named else CONFIG_NAME)
    settings = Settings(env=env, env_path=env_path if from_file is not None else None)
    if not named and not path.exists():
        return settings
    from story.core.toml import read_toml

    return _with_config(settings, read_toml(path))


def _read_env(path: Path, *, required: bool) -> dict[str, str] | None:
    if not required and not path.exists():
        return None
    text = read_text(path)
    import io

    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    # dotenv itself only logs a line that it can't read, and goes on without the key that the user meant to set.
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise ConfigError(f"{path}:{binding.original.line}: not of the form NAME=value")
    return {name: value for name, value in dotenv_values(stream=io.StringIO(text)).items() if value is not None}


def _with_config(settings: Settings, toml: TomlFile) -> Settings:
    _known(toml, (), toml.data, SECTIONS)
    plugins = _table(toml, ("plugins",), toml.data.get("plugins", {}))
    _known(toml, ("plugins",), plugins, ("block",))
    stacks = _table(toml, ("stacks",), toml.data.get("stacks", {}))
    providers = _table(toml, ("providers",), toml.data.get("providers", {}))
    return replace(
        settings,
        path=toml.path,
        stacks={name: _stack(toml, name, value) for name, value in stacks.items()},
        providers={name: _provider(toml, name, value) for name, value in providers.items()},
        blocked=frozenset(_strings(toml, ("plugins", "block"), plugins.get("block", []))),
        call=_call(toml, toml.data.get("call", {})),
    )


def _stack(toml: TomlFile, name: str, value: object) -> NamedStack:
    keys = ("stacks", name)
    source = f"{toml.path.name}:{toml.line(keys)}"
    if isinstance(value, str):
        return NamedStack(name=name, source=source, spec=value)
    table = _table(toml, keys, value, "a spec or a table of roles")
    _known(toml, keys, table, tuple(Role), "role")
    if not table:
        raise toml.error(keys, "names no role")
    roles = {Role(role): _settings_of_role(toml, (*keys, role), entry) for role, entry in table.items()}
    return NamedStack(name=name, source=source, roles=roles)


def _settings_of_role(toml: TomlFile, keys: tuple[str, ...], value: object) -> tuple[ModelSetting, ...]:
    entries = value if isinstance(value, list) else [value]
    if not entries:
        raise toml.error(keys, "is an empty list")
    return tuple(_model(toml, keys, entry) for entry in entries)


def _model(toml: TomlFile, keys: tuple[str, ...], value: object) -> ModelSetting:
    if isinstance(value, str):
        return ModelSetting(use=value)
    table = _table(toml, keys, value, 'a choice like "deepgram/nova-3", a table with `use`, or a list of these')
    use = table.get("use")
    if not isinstance(use, str):
        raise toml.error((*keys, "use"), 'is missing; it names the model, as in use = "deepgram/nova-3"')
    options = {name: option for name, option in table.items() if name != "use"}
    _options(toml, keys, options)
    return ModelSetting(use=use, options=FrozenOptions(options))


def _provider(toml: TomlFile, name: str, value: object) -> FrozenOptions:
    table = _table(toml, ("providers", name), value)
    _options(toml, ("providers", name), table)
    return FrozenOptions(table)


def _options(toml: TomlFile, keys: tuple[str, ...], options: Mapping[str, object]) -> None:
    for name in OWN_FIELDS:
        if name in options and not isinstance(options[name], str):
            raise toml.error((*keys, name), "is a string")
    if "api_key" in options:
        raise toml.error(
            (*keys, "api_key"), "a key belongs in the environment or in .env; name its variable with key_env"
        )


def _call(toml: TomlFile, value: object) -> CallDefaults:
    table = _table(toml, ("call",), value)
    _known(toml, ("call",), table, ("max_duration", "records"))
    longest, records = table.get("max_duration"), table.get("records")
    if longest is not None and (
        isinstance(longest, bool) or not isinstance(longest, int | float) or not 0 < longest < math.inf
    ):
        raise toml.error(("call", "max_duration"), "is a number of seconds greater than 0")
    if records is not None and not (isinstance(records, str) and records):
        raise toml.error(("call", "records"), "is the path of a folder")
    return CallDefaults(
        max_duration=None if longest is None else float(longest),
        records=None if records is None else toml.path.parent / user_path(records),
    )


def _known(
    toml: TomlFile, keys: tuple[str, ...], table: Mapping[str, object], known: tuple[str, ...], what: str = "key"
) -> None:
    for name in table:
        if name not in known:
            hint = did_you_mean(name, known, otherwise=f"; one of {', '.join(known)}")
            raise toml.error((*keys, name), f"unknown {what} {name!r}{hint}")


def _table(toml: TomlFile, keys: tuple[str, ...], value: object, what: str = "a table") -> dict[str, object]:
    if not isinstance(value, dict):
        raise toml.error(keys, f"is {what}")
    return value


def _strings(toml: TomlFile, keys: tuple[str, ...], value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise toml.error(keys, "is a list of names")
    return [str(item) for item in value]
