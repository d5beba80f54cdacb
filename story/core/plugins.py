"""The plugins: found through entry points, loaded one by one, and kept from hurting each other."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pluggy

from story.core import hookspecs
from story.core.contributions import HOOKS, Contributions
from story.core.discovery import EntryPoint, entry_points
from story.core.errors import StoryError
from story.core.redact import redact
from story.core.registry import Registry
from story.core.settings import Settings

if TYPE_CHECKING:
    import typer

    from story.core.events import Event

LOAD_VARIABLE = "STORY_LOAD_PLUGINS"

BUILTIN = tuple(
    EntryPoint(name, value)
    for name, value in {
        "openai": "story.providers.openai",
        "deepgram": "story.providers.deepgram",
        "cartesia": "story.providers.cartesia",
        "elevenlabs": "story.providers.elevenlabs",
        "silero": "story.providers.silero",
        "local": "story.providers.local",
        "storyteller": "story.personas",
    }.items()
)
"""The entry points of pyproject.toml once more, for a source checkout that is not (or no longer freshly) installed."""

OBSERVERS = {
    "call_started": "story_call_started",
    "handoff": "story_handoff",
    "user_turn": "story_turn",
    "agent_turn": "story_turn",
    "call_ended": "story_call_ended",
}
"""Event type to the hook that hears of it."""


@dataclass(frozen=True)
class Fault:
    """Something a plugin did wrong: the message in one line, the traceback for who asks for it (empty: none)."""

    message: str
    traceback: str = ""


@dataclass
class Plugin:
    """One plugin, loaded or not.

    skipped: why it was not loaded, None if it was. slow: loading it imported livekit, which takes seconds.
    faults: what it did wrong; what is not named there works. contributes: hook name to the names it gave.
    """

    name: str
    entry_point: EntryPoint | None = None
    builtin: bool = False
    skipped: str | None = None
    slow: bool = False
    faults: list[Fault] = field(default_factory=list)
    contributes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def distribution(self) -> str | None:
        """The distribution that brought the plugin (reads its metadata: not for start-up)."""
        if self.builtin:
            return "story-agents"
        brought_by = self.entry_point.distribution if self.entry_point else None
        return brought_by.name if brought_by else None

    @property
    def version(self) -> str | None:
        """The version of that distribution."""
        if self.builtin:
            from story.version import __version__

            return __version__
        brought_by = self.entry_point.distribution if self.entry_point else None
        return brought_by.version if brought_by else None

    @property
    def label(self) -> str:
        """How messages name the plugin: "acme (story-acme)"."""
        distribution = None if self.builtin else self.distribution
        return f"{self.name} ({distribution})" if distribution and distribution != self.name else self.name

    def fault(self, what: str, error: BaseException, settings: Settings) -> None:
        """Note an exception of the plugin's."""
        import traceback

        text = " ".join(str(error).split())
        message = f"{what}: {text}" if isinstance(error, StoryError) else f"{what}: {type(error).__name__}: {text}"
        trace = "".join(traceback.format_exception(error))
        self.faults.append(Fault(redact(message.rstrip(": "), settings), redact(trace, settings)))


class Plugins:
    """The loaded plugins and what they offer. Made by `load_plugins`."""

    def __init__(self, settings: Settings) -> None:
        self._pluggy = pluggy.PluginManager(hookspecs.PROJECT)
        self._pluggy.add_hookspecs(hookspecs)
        self._contributions = Contributions(settings)
        self._settings = settings
        self._loaded: list[tuple[Plugin, object]] = []
        self.all: list[Plugin] = []

    @property
    def registry(self) -> Registry:
        """What the plugins (and story.toml) offer."""
        return self._contributions.registry()

    def load(self, plugin: Plugin) -> None:
        """Import a plugin and take what it offers; whatever goes wrong is noted in `plugin.faults`."""
        self.all.append(plugin)
        if plugin.skipped is not None or plugin.entry_point is None:
            return
        had_livekit = "livekit" in sys.modules
        try:
            with redirect_stdout(sys.stderr):  # what it prints must not get between the lines of --json
                implementation = plugin.entry_point.load()
        except (Exception, SystemExit) as error:
            plugin.fault("can't be imported", error, self._settings)
        else:
            self.register(plugin, implementation)
        plugin.slow = not had_livekit and "livekit" in sys.modules

    def register(self, plugin: Plugin, implementation: object) -> None:
        """Take what an imported plugin (a module or an object with hook implementations) offers."""
        if plugin not in self.all:
            self.all.append(plugin)
        try:
            self._pluggy.register(implementation, name=f"{plugin.name} {len(self._loaded)}")
        except Exception as error:  # pluggy checks the arguments of the hooks here
            plugin.fault("has a hook that can't be registered", error, self._settings)
            known = any(loaded is implementation for _, loaded in self._loaded)
            if not known and self._pluggy.is_registered(implementation):
                self._pluggy.unregister(implementation)  # pluggy leaves the hooks before the bad one in place
            return
        self._loaded.append((plugin, implementation))
        offered = {caller.name for caller in self._pluggy.get_hookcallers(implementation) or ()}
        if unknown := sorted(name for name in offered if not hasattr(hookspecs, name)):
            plugin.faults.append(Fault(f"implements hooks that don't exist: {', '.join(unknown)}"))
        if not offered:
            plugin.faults.append(Fault("has no @story.hookimpl function"))
        for hook in HOOKS:
            if hook in offered:
                self._collect(plugin, implementation, hook)

    def _collect(self, plugin: Plugin, implementation: object, hook: str) -> None:
        taken: list[str] = []
        try:
            for result in self._call(implementation, hook):
                names, problems = self._contributions.add(hook, result, plugin.label)
                taken += names
                plugin.faults += [Fault(f"{hook}: {problem}") for problem in problems]
        except (Exception, SystemExit) as error:
            plugin.fault(f"{hook} failed", error, self._settings)
        if taken:
            plugin.contributes[hook] = tuple(taken)

    def _call(self, implementation: object, hook: str, **arguments: object) -> Sequence[object]:
        """Call one plugin's implementation of a hook, and no other's, so that a failure is known to be its own."""
        others = [other for _, other in self._loaded if other is not implementation]
        results = self._pluggy.subset_hook_caller(hook, others)(**arguments)
        return results if isinstance(results, list) else [results]

    def add_commands(self, app: typer.Typer) -> None:
        """Let the plugins add their commands."""
        self._notify("story_commands", app=app)

    def observe(self, event: Event) -> None:
        """Tell the observers of an event; one that fails is noted, logged, and hurts nobody else."""
        if hook := OBSERVERS.get(event.type):
            self._notify(hook, event=event)

    def _notify(self, hook: str, **arguments: object) -> None:
        for plugin, implementation in self._loaded:
            if not any(caller.name == hook for caller in self._pluggy.get_hookcallers(implementation) or ()):
                continue
            try:
                self._call(implementation, hook, **arguments)
            except (Exception, SystemExit) as error:
                plugin.fault(f"{hook} failed", error, self._settings)
                import logging

                logging.getLogger("story.plugins").warning("plugin %s: %s", plugin.name, plugin.faults[-1].message)


def load_plugins(settings: Settings, *, extra: Iterable[tuple[str, object]] = ()) -> Plugins:
    """Load the built-in providers, then the installed third-party plugins, then `extra` (name, module or object).

    `STORY_LOAD_PLUGINS` (a comma list of plugin or distribution names, empty for none) says which third-party ones
    load; `[plugins] block` of story.toml names some that don't. Never raises for what a plugin does.
    """
    plugins = Plugins(settings)
    for entry_point in BUILTIN:
        skipped = "blocked by story.toml" if entry_point.name in settings.blocked else None
        plugins.load(Plugin(entry_point.name, entry_point, builtin=True, skipped=skipped))
    wanted = _wanted(settings)
    for entry_point in entry_points(hookspecs.ENTRY_POINT_GROUP, known=BUILTIN):
        plugin = Plugin(entry_point.name, entry_point)
        plugin.skipped = _why_skipped(plugin, wanted, settings)
        plugins.load(plugin)
    for name, implementation in extra:
        plugins.register(Plugin(name), implementation)
    return plugins


def _wanted(settings: Settings) -> frozenset[str] | None:
    names = settings.env.get(LOAD_VARIABLE)
    return None if names is None else frozenset(_folded(name) for name in names.split(",") if name.strip())


def _why_skipped(plugin: Plugin, wanted: frozenset[str] | None, settings: Settings) -> str | None:
    if wanted is None and not settings.blocked:
        return None  # the usual case: no need to read the distribution's metadata
    names = {_folded(name) for name in (plugin.name, plugin.distribution) if name}
    if wanted is not None and not names & wanted:
        return f"not named in {LOAD_VARIABLE}"
    if names & {_folded(name) for name in settings.blocked}:
        return "blocked by story.toml"
    return None


def _folded(name: str) -> str:
    """Distribution names are compared as PyPI does."""
    return name.strip().lower().replace("_", "-").replace(".", "-")
