"""What a stack needs on this machine, and which stack to take where the user chose none."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from story.core.discovery import is_installed
from story.core.errors import MissingKeyError, MissingPackageError, StackError
from story.core.inference import a
from story.core.redact import redact
from story.core.registry import LAST_RESORT, ModelFactory, ModelOptions, Registry, Role
from story.core.resolve import resolve
from story.core.resolved import ResolvedRef, ResolvedStack
from story.core.settings import Settings


@dataclass(frozen=True)
class Problem:
    """Why a model can't run on this machine now. kind: "key", "package", "weights" or "provider" (it says so)."""

    ref: ResolvedRef
    kind: str
    message: str

    def error(self) -> StackError:
        """The problem as an error that points at the model."""
        kind = {"key": MissingKeyError, "package": MissingPackageError}.get(self.kind, StackError)
        return kind(self.message, spec=self.ref.spec, start=self.ref.start, end=self.ref.end)


def missing_keys(ref: ResolvedRef, registry: Registry, settings: Settings) -> tuple[str, ...]:
    """The variables that must hold a key of this model's and don't."""
    factory = registry.factory(ref.role, ref.provider)
    return tuple(name for name in ref.env(factory, settings) if settings.key(name) is None) if factory else ()


def missing_package(requires: str | None) -> str | None:
    """The distribution that is not installed, None if all is there. `requires` is a requirement, as pip reads it."""
    if requires is None:
        return None
    name = re.split(r"[\s\[<>=!~;@]", requires.strip(), maxsplit=1)[0]
    return None if is_installed(name) else requires


def check(
    stack: ResolvedStack, registry: Registry, settings: Settings, *, roles: Collection[Role] | None = None
) -> list[Problem]:
    """Everything that keeps the stack from running here. roles: those that will be built; all by default."""
    return [problem for ref in stack.refs_for(roles) for problem in _problems(ref, registry, settings)]


def unfetched(stack: ResolvedStack, registry: Registry, settings: Settings) -> list[Problem]:
    """The models of the stack whose weights have to be fetched before they can be built."""
    problems = []
    for ref in stack.refs:
        factory = registry.factory(ref.role, ref.provider)
        if factory and (size := to_fetch(factory, ref.model_options(factory, settings))):
            pull = f"run `story models pull {ref.model}` and start again"
            how = pull if ref.provider == LAST_RESORT else "start with this stack, which fetches them"
            needs = f"{ref.provider} {ref.role} needs {size / 1e9:.2f} GB of weights that are not on this machine"
            problems.append(Problem(ref, "weights", f"{needs}: {how}"))
    return problems


def to_fetch(factory: ModelFactory, options: ModelOptions) -> int:
    """Bytes that a model needs and that are not on this machine yet."""
    try:
        return factory.to_fetch(options) if factory.to_fetch else 0
    except Exception:  # a provider's own mistake; its models tell it when they are wanted
        return 0


def require(
    stack: ResolvedStack, registry: Registry, settings: Settings, *, roles: Collection[Role] | None = None
) -> None:
    """Raise the first problem that `check` finds, if there is one."""
    for problem in check(stack, registry, settings, roles=roles):
        raise problem.error()


def stack_without_choice(
    defaults: Iterable[str],
    registry: Registry,
    settings: Settings,
    *,
    default_stack: str | None = None,
    roles: Collection[Role] | None = None,
) -> tuple[str | None, str]:
    """Which stack to use where the user chose none, and one line that says which and why.

    defaults: the stacks that the chain's personas name. roles: those that will be built, whose keys count.
    The answer is None for "the chain's own, as all keys are there", else the name of the stack that takes the place
    of them all: the first that a plugin brought ready-made whose keys are there, else the last resort.
    """
    stacks = [resolve(spec, registry, default_stack=default_stack) for spec in dict.fromkeys(defaults)]
    missing = _keys(stacks, registry, settings, roles)
    if not missing:
        return None, "using the chain's own stacks"
    why = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set"
    for name in registry.ready_made:
        try:
            stack = resolve(name, registry)
        except StackError:  # its provider's plugin is blocked or broken
            continue
        if _needs_keys(stack, registry, settings, roles) and not _keys([stack], registry, settings, roles):
            return name, f"using the stack {name}: {why}, but all its keys are"
    return LAST_RESORT, f"using the stack {LAST_RESORT}, which needs no keys: {why}"


def _needs_keys(stack: ResolvedStack, registry: Registry, settings: Settings, roles: Collection[Role] | None) -> bool:
    factories = ((ref, registry.factory(ref.role, ref.provider)) for ref in stack.refs_for(roles))
    return any(ref.env(factory, settings) for ref, factory in factories if factory)


def _keys(
    stacks: Iterable[ResolvedStack], registry: Registry, settings: Settings, roles: Collection[Role] | None
) -> list[str]:
    refs = (ref for stack in stacks for ref in stack.refs_for(roles))
    return list(dict.fromkeys(name for ref in refs for name in missing_keys(ref, registry, settings)))


def _problems(ref: ResolvedRef, registry: Registry, settings: Settings) -> Iterable[Problem]:
    factory = registry.factory(ref.role, ref.provider)
    if factory is None:  # resolved with another registry
        yield Problem(ref, "provider", f"no plugin offers {ref.provider} as {a(ref.role)}")
        return
    if keys := missing_keys(ref, registry, settings):
        are = f"{keys[0]}, which is" if len(keys) == 1 else f"{' and '.join(keys)}, which are"
        yield Problem(ref, "key", f"{ref.provider} {ref.role} needs {are} not set; put it in .env or the environment")
    if requires := missing_package(factory.requires):
        message = f"{ref.provider} {ref.role} needs a package that is not installed: pip install {_shell(requires)}"
        yield Problem(ref, "package", message)
        return
    if factory.problem is not None:
        try:
            problem = factory.problem(ref.model_options(factory, settings))
        except Exception as error:  # a provider's own check must not take the listing down
            problem = f"its check failed: {type(error).__name__}: {error}"
        if problem:
            message = redact(f"{ref.provider} {ref.role} can't run here: {problem}", settings)
            yield Problem(ref, "provider", " ".join(message.split()))


def _shell(requirement: str) -> str:
    return requirement if re.fullmatch(r"[\w.-]+", requirement) else f"'{requirement}'"
