"""What there is to work with: what the user has set, and the plugins that are installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from story.core.errors import StoryError
from story.core.plugins import Plugins, load_plugins
from story.core.registry import Registry
from story.core.settings import Settings, load_settings


@dataclass(frozen=True)
class Workspace:
    """Settings and plugins of this machine and folder. fault: what is wrong with the user's files, None if nothing."""

    settings: Settings
    plugins: Plugins
    fault: StoryError | None = None

    @property
    def registry(self) -> Registry:
        """What the plugins and story.toml offer."""
        return self.plugins.registry


def open_workspace(env_file: Path | None = None) -> Workspace:
    """Read `.env` (or `env_file`) and story.toml of the current folder, and load the plugins.

    A file that can't be used is a `fault` and no exception, since `--help` and `doctor` work without.
    """
    try:
        settings, fault = load_settings(env_file=env_file), None
    except StoryError as error:
        settings, fault = Settings(), error
    return Workspace(settings, load_plugins(settings), fault)


def usable(workspace: Workspace, env_file: Path | None = None) -> Workspace:
    """The workspace, or another with `env_file` in place of `.env`. Raises its fault, if it has one."""
    chosen = workspace if env_file is None else open_workspace(env_file)
    if chosen.fault is not None:
        raise chosen.fault
    return chosen
