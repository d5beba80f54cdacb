"""The benchmark's own test: latencies that were injected into emulated vendors have to be found back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from statistics import median
from typing import TYPE_CHECKING, Any

from story.bench.outcome import OK, TurnFigures
from story.bench.request import Request
from story.bench.scenarios import is_disturbed
from story.bench.store import Result
from story.bench.summary import LATE_SECONDS
from story.bench.transports.choice import PROCESS
from story.core.errors import ConfigError
from story.core.plan import find_chain
from story.core.registry import Role
from story.core.resolve import resolve
from story.emulator.assemble import is_emulated

if TYPE_CHECKING:
    from story.core.registry import Registry

SHARE, SECONDS = 0.05, 0.010
"""By no more than this share, or these seconds where they are more, may what is found be off."""
ROLES = ("stt", "llm", "tts", "realtime", "speech", "ear")

_LOGGED = ("", "_given", "_before", "_after", "_before_most", "_after_most")
"""What is kept of a stage, after its name."""

Emulated = Callable[[str, Role], bool]
"""Whether the models of a stack (a spec) in a role are emulated vendors'."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """Of one stage, seconds.

    given: what was to pass at the vendor's. log: what passed by the vendor's log. measured: what the benchmark found.
    before, after: of that, the plugin's share before the vendor had all it needed, and after it answered;
    before_least, before_most, after_most: the limits of it.
    """

    given: float
    log: float
    measured: float
    before: float
    after: float
    before_least: float
    before_most: float
    after_most: float


@dataclass(frozen=True, kw_only=True)
class Row(Times):
    """One stage of one turn."""

    @property
    def off(self) -> float:
        """By how much there is more, without the plugin's share, than there was to be."""
        return self.measured - self.before - self.after - self.given


@dataclass(frozen=True, kw_only=True)
class Stage(Times):
    """One stage of one stack: medians over `count` turns; off: that of the rows."""

    stack: str
    role: str
    count: int
    off: float

    @property
    def share(self) -> float:
        """The plugin's."""
        return self.before + self.after

    @property
    def rest(self) -> float:
        """What is found, without the plugin's share."""
        return self.given + self.off

    @property
    def found(self) -> bool:
        """Whether what is left is what was injected: the whole turn to 10 ms, as its stages add up to it."""
        return abs(self.off) <= (SECONDS if self.role == "ear" else max(SHARE * self.given, SECONDS)) and abs(
            self.log - self.given
        ) <= max(SHARE * self.given, SECONDS)

    @property
    def within(self) -> bool:
        """Whether the plugin took no longer than it is known to, and nothing came before it could."""
        parts = (self.before, self.before_least, self.before_most), (self.after, 0.0, self.after_most)
        return all(least - SECONDS <= seconds <= most + SECONDS for seconds, least, most in parts)


@dataclass(frozen=True)
class Missing:
    """A stage that `count` turns of a stack had, and that is nowhere in the vendors' log."""

    stack: str
    role: str
    count: int


@dataclass(frozen=True)
class Calibration:
    """late: calls that were left out as the machine was busy."""

    stages: Sequence[Stage]
    late: int
    missing: Sequence[Missing] = ()

    @property
    def holds(self) -> bool:
        return not self.missing and all(stage.found and stage.within for stage in self.stages)


def check_held(about: Mapping[str, Any]) -> None:
    """See whether a run can be calibrated. about: what its results keep of it. Raises ConfigError."""
    request = about.get("request", {})
    transport = request.get("transport", PROCESS)
    if transport != PROCESS:
        raise ConfigError(f"these calls were held over {transport}, which takes time of its own: calibrate in process")
    if request.get("component"):
        raise ConfigError("these models were looked at alone: calibrate calls, as of `story bench --emulate`")
    if request.get("emulate") is None:
        raise ConfigError("these calls went to real vendors: run it with --emulate --profile baseline")


def emulated_in(about: Mapping[str, Any], registry: Registry) -> Emulated:
    """Which models of a run's stacks were emulated. about: what its results keep of it."""
    default = None
    with suppress(ConfigError):  # a chain whose file is gone
        default = find_chain(Request.from_dict(about["request"]).chain, registry)[1].default_stack
    return lambda stack, role: is_emulated(resolve(stack, registry, default_stack=default), {role})


def calibrate(results: Sequence[Result], emulated: Emulated = lambda stack, role: True) -> Calibration:
    """Stage by stage of each stack; calls whose sound was made worse are no measure.

    Raises:
        ConfigError: nothing was measured.
    """
    rows: dict[tuple[str, str], list[Row]] = {}
    missing: Counter[tuple[str, str]] = Counter()
    held = [result for result in results if result.outcome.status == OK and not is_disturbed(result.scenario)]
    late = [result for result in held if result.outcome.lag > LATE_SECONDS]
    for result in held:
        if result in late:
            continue
        for turn in result.outcome.turns:
            for role in ROLES:
                if (row := _row(turn, role)) is not None:
                    rows.setdefault((result.stack, role), []).append(row)
                elif (vendors := _vendors(turn, role)) and all(emulated(result.stack, one) for one in vendors):
                    missing[result.stack, role] += 1
    if not rows and late:
        raise ConfigError(f"this machine was too busy in all of the {len(late)} calls: run it again on a quiet one")
    if not rows:
        raise ConfigError(
            "no call of this run has a log of emulated vendors, or not one that this version of story reads: run it "
            "again with --emulate --profile baseline"
        )
    stages = [_stage(stack, role, found) for (stack, role), found in rows.items()]
    seen = {*rows, *((stack, "realtime") for stack, role in rows if role == "speech")}
    lost = [Missing(*key, count) for key, count in missing.items() if key not in seen]
    return Calibration(stages, len(late), lost)


def _vendors(turn: TurnFigures, role: str) -> tuple[Role, ...]:
    """The roles whose emulated vendors must have written down a stage; none where nothing says that there was one."""
    if role == "ear" and turn.realtime is None:
        return (Role.STT, Role.TTS) if turn.tts is not None and turn.final is not None else ()
    if role == "ear":
        return (Role.REALTIME,)
    if role == "speech" or (role == "stt" and turn.realtime is not None):
        return ()
    return () if _measured(turn, role) is None else (Role(role),)


def _row(turn: TurnFigures, role: str) -> Row | None:
    measured, log = _measured(turn, role), turn.log
    if measured is None or not all(f"{role}{part}" in log for part in _LOGGED):
        return None
    least = {f"{role}_before_least": 0.0}  # which few plugins have
    told = {**least, **log, f"{role}_log": log[role], f"{role}_measured": measured}
    return Row(**{f.name: told[f"{role}_{f.name}"] for f in fields(Times)})


def _measured(turn: TurnFigures, role: str) -> float | None:
    match role:
        case "stt":
            return turn.final
        case "llm":
            return turn.llm
        case "tts":
            return turn.tts
        case "realtime":
            return turn.realtime
        case "speech":  # from the caller's last sound to the model's first
            return None if turn.latency is None else turn.latency - turn.stages.get("line", 0.0)
        case _:
            return sum(turn.stages.values())


def _stage(stack: str, role: str, rows: Sequence[Row]) -> Stage:
    middle = {f.name: median(getattr(row, f.name) for row in rows) for f in fields(Times)}
    return Stage(stack=stack, role=role, count=len(rows), off=median(row.off for row in rows), **middle)
