"""What a run is asked to do, as values that its results keep: `--resume` goes on from them."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import distributions, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from story.bench.cell import Cell
from story.bench.scenarios import Scenario
from story.bench.transports.choice import PROCESS
from story.core.registry import DEFAULT_CHAIN, Role
from story.emulator.assemble import Options
from story.version import __version__

if TYPE_CHECKING:
    from story.bench.prices import Prices
    from story.core.plan import Plan

_PACKAGES = (
    "livekit", "livekit-agents", "aiortc", "numpy", "av", "jiwer", "voice-prices", "onnxruntime", "xllamacpp",
    "moonshine-voice", "kokoro-onnx",
)  # fmt: skip
_PLUGINS = "livekit-plugins-"
ANSWER_SECONDS = 8.5
"""Of the agent's speech after a line, the silences around it included; measured with the storyteller."""
GREETING_SECONDS = 7.5
_TOKENS_IN, _TOKENS_OUT, _CHARACTERS = 480, 50, 170
"""Of a language model and a voice for one answer of the storyteller's; measured."""
_ALONE_SECONDS = 2.0
"""Of a model alone for one line, besides hearing it; about."""


@dataclass(frozen=True)
class Request:
    """stacks: specs. places: files and folders of scenarios, none for the built-in ones. warm_up: calls that don't
    count. concurrency: calls at a time. emulate: the options of emulated vendors by name, None for real ones.
    max_duration: of a call, seconds. max_cost: dollars, max_time: seconds, after which no further call begins.
    prices: files. record: keep the sound of each call. disturb: disturbances, each of a further call.
    retry: how often a call is held again that a vendor or the network made fail.
    component: the role of models that are looked at alone; None for whole calls. caller_voice: who speaks the lines of
    callers that have no recording, whatever their scenarios say; None: as they say (a tts). transport: what carries the
    calls."""

    stacks: tuple[str, ...]
    scenarios: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    repetitions: int = 1
    warm_up: int = 1
    concurrency: int | None = None
    chain: str = DEFAULT_CHAIN
    emulate: Mapping[str, Any] | None = None
    seed: int = 0
    max_duration: float = 120.0
    max_cost: float | None = None
    max_time: float | None = None
    prices: tuple[str, ...] = ()
    record: bool = False
    disturb: tuple[str, ...] = ()
    component: str | None = None
    caller_voice: str | None = None
    retry: int = 0
    transport: str = PROCESS

    def cells(self, scenarios: tuple[Scenario, ...]) -> list[Cell]:
        """All calls; each scenario with each stack before any of them again, so that what there is after an early end
        can be compared."""
        return [
            Cell(stack, scenario.name, repetition)
            for repetition in range(1, self.repetitions + 1)
            for scenario in scenarios
            for stack in self.stacks
        ]

    def stand_ins(self) -> Options | None:
        """How vendors are emulated; None where they are not. By a script and in tones, if nothing else is asked for:
        they cost no time of the processor's that the calls would miss."""
        if self.emulate is None:
            return None
        given = {**self.emulate, "faults": tuple(self.emulate.get("faults", ()))}
        return replace(Options(brain="script", speech="tones", seed=self.seed), **given)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Request:
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**{name: value for name, value in values.items() if name in known})


def expected_seconds(scenario: Scenario, component: str | None = None) -> float:
    """How long a call with this caller takes, by what calls of the built-in chain took; or a model of that role."""
    if component is not None:
        heard = component in (Role.STT, Role.REALTIME)
        return _ALONE_SECONDS * len(scenario.lines) + (scenario.seconds if heard else 0.0)
    return GREETING_SECONDS + scenario.seconds + ANSWER_SECONDS * len(scenario.lines)


def expected_usage(scenario: Scenario, roles: Collection[Role]) -> dict[str, Any]:
    """What such a call uses of models in these roles, as `call_ended` would tell it."""
    lines, seconds = len(scenario.lines) + 1, expected_seconds(scenario)
    tokens = {"input_tokens": _TOKENS_IN * lines, "output_tokens": _TOKENS_OUT * lines}
    used: list[dict[str, Any]] = []
    if Role.STT in roles:
        used.append({"type": "stt_usage", "audio_duration": seconds})
    if Role.LLM in roles:
        used.append({"type": "llm_usage", **tokens})
    if Role.REALTIME in roles:
        # 10 tokens a second of the caller's sound, 20 of the agent's (unless another voice speaks), and the talk so far
        # read each time
        spoken = 0 if Role.TTS in roles else int(20 * ANSWER_SECONDS * lines)
        heard = int(10 * seconds + spoken * lines / 2)
        sound = {"input_audio_tokens": heard, "output_audio_tokens": spoken}
        sums = {"input_tokens": tokens["input_tokens"] + heard, "output_tokens": tokens["output_tokens"] + spoken}
        used.append({"type": "llm_usage", **sums, **sound})
    if Role.TTS in roles:
        used.append({"type": "tts_usage", "characters_count": _CHARACTERS * lines})
    return {"": used}


def expected_cost(plan: Plan, scenarios: Iterable[Scenario], prices: Prices) -> tuple[float, set[str]]:
    """Dollars of one call with each scenario, and the models that have no price."""
    dollars, missing = 0.0, set[str]()
    roles = {ref.role for ref in next(iter(plan.stacks.values())).refs_for(plan.roles)}
    for scenario in scenarios:
        cost = prices.cost(expected_usage(scenario, roles), plan.stacks)
        dollars += sum(cost.by.values())
        missing |= set(cost.missing)
    return dollars, missing


def machine() -> dict[str, Any]:
    """This machine and what runs on it: the packages that a call's figures may depend on, those of plugins included."""
    plugins = {entry.dist.name for entry in entry_points(group="story") if entry.dist is not None}
    wanted = {*_PACKAGES, *plugins} - {"story"}
    there = {found.name: found.version for found in distributions()}
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "story": __version__,
        "packages": {name: there[name] for name in sorted(there) if name in wanted or name.startswith(_PLUGINS)},
    }


def _processor() -> str:
    """Its model, where that can be told; else its architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(\S.*)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor() or platform.machine()
