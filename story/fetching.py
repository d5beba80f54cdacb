"""What the models of a call need on this machine: whether it is here, and fetching it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from story.core.errors import StoryError

if TYPE_CHECKING:
    from story.core.plan import Plan
    from story.core.plugins import Plugins
    from story.core.registry import Progress
    from story.core.settings import Settings
    from story.emulator.assemble import Options


def fetch(plan: Plan, stand_ins: Options | None, plugins: Plugins, settings: Settings, *, yes: bool) -> None:
    """Fetch what the models of a plan, and of emulated vendors, need on this machine.

    Raises:
        StoryError: it can't be had, or the user does not want it.
    """
    from story.progress import TerminalProgress

    with TerminalProgress(yes=yes) as progress:
        _prepare(plan, stand_ins, plugins, settings, progress)


def fetch_stand_ins(stand_ins: Options, plugins: Plugins, settings: Settings, *, yes: bool) -> None:
    """Fetch what emulated vendors need on this machine. Raises StoryError, as `fetch` does."""
    from story.emulating import fetch_models
    from story.progress import TerminalProgress

    with TerminalProgress(yes=yes) as progress:
        fetch_models(stand_ins, plugins, settings, progress)


def is_here(plan: Plan, stand_ins: Options | None, plugins: Plugins, settings: Settings) -> bool:
    """Whether `fetch` would have nothing to fetch, and ask nothing. Files that nobody has summed yet are summed.

    Raises:
        StoryError: it can't be had.
    """
    try:
        _prepare(plan, stand_ins, plugins, settings, _Unasked())
    except _WouldAsk:
        return False
    return True


def _prepare(plan: Plan, stand_ins: Options | None, plugins: Plugins, settings: Settings, progress: Progress) -> None:
    from story.core.live import prepare

    for stack in plan.every_stack:
        prepare(stack, plugins.registry, settings, progress, roles=plan.roles)
    if stand_ins is not None:
        from story.emulating import fetch_models

        fetch_models(stand_ins, plugins, settings, progress)


class _WouldAsk(StoryError):
    """There is something to fetch."""


class _Unasked:
    """`story.core.registry.Progress` of one who only wants to know."""

    def confirm(self, question: str) -> bool:
        raise _WouldAsk(question)

    def report(self, what: str, done: int, total: int) -> None:
        pass
