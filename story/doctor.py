"""`story doctor`: what this machine has, and what is missing for which stack."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from story.core.errors import StoryError
from story.core.nearest import did_you_mean
from story.core.registry import DEFAULT_CHAIN, ModelOptions
from story.core.requirements import missing_package, to_fetch
from story.core.settings import user_path
from story.describe import StackInfo, default_stack, describe_stack

if TYPE_CHECKING:
    from story.workspace import Workspace

PYTHONS = ((3, 11), (3, 13))
GLIBC = (2, 34)
"""The wheels of the on-device models want manylinux_2_34."""

WEB_PORT = 8765


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. state: "ok", "note" (something won't work) or "bad" (it stands in the way)."""

    about: str
    state: str
    found: str


@dataclass(frozen=True)
class Diagnosis:
    """able: whether the settings can be read and at least one stack that comes with a plugin can run here."""

    able: bool
    checks: list[Check]
    stacks: list[StackInfo]


def examine(workspace: Workspace) -> Diagnosis:
    """Look at everything. Reads files and asks the system; talks to no server and changes nothing."""
    checks = list(_checks(workspace))
    try:
        chain = default_stack(workspace.registry)
    except StoryError as error:
        chain = None
        checks.insert(0, Check("chain", "bad", str(error)))
    stacks = list(_stacks(workspace, chain))
    ready = {stack.name for stack in stacks if stack.ready}
    able = workspace.fault is None and not ready.isdisjoint(workspace.registry.ready_made)
    return Diagnosis(able, checks, stacks)


def _checks(workspace: Workspace) -> Iterator[Check]:
    if workspace.fault is not None:
        yield Check("settings", "bad", str(workspace.fault))
    yield _python()
    yield _machine()
    yield from _unknown_names(workspace)
    for plugin in workspace.plugins.all:
        for fault in plugin.faults:
            yield Check(f"plugin {plugin.name}", "note", fault.message)
    yield from _packages(workspace)
    yield from _keys(workspace)
    yield from _on_device(workspace)
    yield _audio()
    yield _port()
    yield _disk(workspace)


def _stacks(workspace: Workspace, chain: str | None) -> Iterator[StackInfo]:
    registry = workspace.registry
    names = dict.fromkeys([*registry.ready_made, *registry.stacks])
    for name, spec in [*([(DEFAULT_CHAIN, chain)] if chain else []), *((name, name) for name in names)]:
        try:
            found = describe_stack(spec, registry, workspace.settings, default_stack=chain)
        except StoryError as error:
            yield StackInfo(name, "", spec, False, [], [], str(error))
        else:
            yield replace(found, name=name)


def _python() -> Check:
    oldest, newest = PYTHONS
    known = oldest <= sys.version_info[:2] <= newest
    wanted = "" if known else f"; story is made for {oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]}"
    return Check("Python", "ok" if known else "bad", platform.python_version() + wanted)


def _machine() -> Check:
    here = f"{platform.system()} {platform.machine()}"
    if sys.platform != "linux":
        return Check("machine", "note", f"{here}; on-device models run where their packages have wheels")
    library, version = platform.libc_ver()
    here = f"{here}, {library or 'unknown C library'} {version}".rstrip()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if platform.machine() != "x86_64" or library != "glibc" or numbers < GLIBC:
        return Check(
            "machine", "note", f"{here}; on-device models need x86_64 with glibc {GLIBC[0]}.{GLIBC[1]} or newer"
        )
    return Check("machine", "ok", here)


def _unknown_names(workspace: Workspace) -> Iterator[Check]:
    """What story.toml says about providers and plugins that are not there: nobody else would notice."""
    providers = workspace.registry.providers()
    plugins = {name for plugin in workspace.plugins.all for name in (plugin.name, plugin.distribution) if name}
    for name in workspace.settings.providers:
        if name not in providers:
            yield Check("story.toml", "note", f"[providers.{name}]: no such provider{did_you_mean(name, providers)}")
    for name in sorted(workspace.settings.blocked - plugins):
        yield Check("story.toml", "note", f"[plugins] block: no plugin {name!r}{did_you_mean(name, plugins)}")


def _packages(workspace: Workspace) -> Iterator[Check]:
    wanted = dict.fromkeys(
        factory.requires for offered in workspace.registry.factories.values() for factory in offered.values()
    )
    missing = [requires for requires in wanted if requires and missing_package(requires)]
    if missing:
        yield Check("packages", "note", f"not installed: pip install {' '.join(missing)}")
    else:
        yield Check("packages", "ok", f"all {len([name for name in wanted if name])} provider packages are installed")


def _keys(workspace: Workspace) -> Iterator[Check]:
    names: dict[str, list[str]] = {}
    for offered in workspace.registry.factories.values():
        for factory in offered.values():
            for name in factory.env:
                names.setdefault(name, []).append(factory.provider)
    for name in sorted(names):
        present = workspace.settings.key(name) is not None
        whose = ", ".join(dict.fromkeys(names[name]))
        yield Check(name, "ok" if present else "note", "set" if present else f"not set; for {whose}, put it in .env")


def _on_device(workspace: Workspace) -> Iterator[Check]:
    """What providers say about models that need more than a key and a package: weights, engines, wheels."""
    for role, offered in workspace.registry.factories.items():
        for factory in offered.values():
            if factory.problem is None:
                continue
            try:
                problem = factory.problem(ModelOptions(model=factory.default_model, voice=factory.default_voice))
            except Exception as error:
                problem = f"its check failed: {type(error).__name__}: {error}"
            name = f"{factory.provider} {role.replace('_', ' ')}"
            if problem:
                yield Check(name, "note", problem)
            elif size := to_fetch(factory, ModelOptions(model=factory.default_model)):
                yield Check(
                    name, "note", f"{factory.default_model}: {size / 1e9:.2f} GB of weights, fetched on first use"
                )
            else:
                yield Check(name, "ok", f"{factory.default_model} can run here")


def _audio() -> Check:
    try:
        import sounddevice
    except (ImportError, OSError) as error:
        why = "PortAudio is missing" if isinstance(error, OSError) else "sounddevice is not installed"
        mend = "apt-get install libportaudio2" if sys.platform == "linux" else "pip install sounddevice"
        return Check("sound", "note", f"{why}: {mend} (`story talk --voice` needs it)")
    try:
        devices = sounddevice.query_devices()
    except Exception as error:
        return Check("sound", "note", f"the sound devices can't be listed: {' '.join(str(error).split())}")
    inputs = sum(1 for device in devices if device["max_input_channels"])
    outputs = sum(1 for device in devices if device["max_output_channels"])
    if not inputs or not outputs:
        lacking = " and ".join(what for what, count in (("microphone", inputs), ("loudspeaker", outputs)) if not count)
        return Check("sound", "note", f"no {lacking} was found (`story talk --voice` needs both)")
    return Check("sound", "ok", f"{inputs} inputs, {outputs} outputs")


def _port() -> Check:
    with socket.socket() as probe:
        if sys.platform != "win32":  # there it would mean sharing the port with whoever has it
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", WEB_PORT))
        except OSError:
            return Check("port", "note", f"{WEB_PORT} is taken by another program")
    return Check("port", "ok", f"{WEB_PORT} is free")


def _disk(workspace: Workspace) -> Check:
    folder = _cache()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    wanted = sum(
        to_fetch(factory, ModelOptions(model=factory.default_model))
        for offered in workspace.registry.factories.values()
        for factory in offered.values()
    )
    text = f"{free / 1e9:.1f} GB free in {_short(folder)}"
    if free < 2 * wanted:  # parts of a download are joined: some of it is there twice for a while
        return Check("disk", "bad", f"{text}; fetching the missing weights takes {2 * wanted / 1e9:.1f} GB")
    return Check("disk", "ok", text)


def _cache() -> Path:
    if chosen := os.environ.get("STORY_CACHE"):
        return user_path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("story")


def _short(path: Path) -> str:
    home = user_path("~")
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
