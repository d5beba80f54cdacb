"""Stacks: parse what the user writes, resolve it to models, build them, close them."""

from __future__ import annotations

from story.core.fallbacks import Switch
from story.core.grammar import Part, Ref, Spec, parse
from story.core.live import LiveStack, build, prepare
from story.core.requirements import Problem, check, require, stack_without_choice
from story.core.resolve import resolve
from story.core.resolved import Origin, ResolvedChoice, ResolvedRef, ResolvedStack

__all__ = [
    "LiveStack",
    "Origin",
    "Part",
    "Problem",
    "Ref",
    "ResolvedChoice",
    "ResolvedRef",
    "ResolvedStack",
    "Spec",
    "Switch",
    "build",
    "check",
    "parse",
    "prepare",
    "require",
    "resolve",
    "stack_without_choice",
]
