"""The benchmark's own calibration: it finds what was injected, and a measurement that is wrong does not pass it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from story.bench import ear
from story.bench.calibration import Calibration, calibrate, check_held, emulated_in
from story.bench.ear import Said
from story.bench.marks import Marks
from story.bench.noted import NotedEars
from story.bench.outcome import OK, Outcome, TurnFigures
from story.bench.store import Result, Results
from story.cli import main
from story.core.errors import ConfigError
from story.core.plugins import load_plugins
from story.core.settings import Settings
from story.emulator.hearing import Ended, Listener, Transcript

HERE = Path(__file__).parent
STACKS = (
    "deepgram+gpt4o-mini+cartesia",
    "flux+openai/responses/gpt-4o-mini+deepgram",
    "cartesia+gpt4o-mini+elevenlabs",
    "elevenlabs+gpt4o-mini+openai",
    "openai+gpt4o-mini+cartesia",
    "openai-realtime",
)
PARTS = {
    "stt": (0.25, 0.06, 0.002), "llm": (0.35, 0.003, 0.003), "tts": (0.09, 0.001, 0.003), "realtime": (0.3, 0.0, 0.001),
    "speech": (0.5, 0.08, 0.001),
}  # fmt: skip
"""Of each stage what passed at the vendor's, and the plugin's share before and after, seconds."""


def turn() -> TurnFigures:
    """One that was measured rightly: its answer came after 0.6 s."""
    log = {"ear": 0.56, "ear_given": 0.56, "ear_before": 0.015, "ear_after": 0.025}
    log |= {"ear_before_most": 0.02, "ear_after_most": 0.04}
    for role, (seconds, before, after) in PARTS.items():
        log |= {role: seconds + 0.001, f"{role}_given": seconds, f"{role}_before": before, f"{role}_after": after}
        log |= {f"{role}_before_least": 0.0, f"{role}_before_most": 0.1, f"{role}_after_most": 0.01}
    found = {role: sum(parts) + 0.002 for role, parts in PARTS.items()}
    stages = {"turn": found["speech"], "line": 0.6 - found["speech"]}
    one = TurnFigures(1, 0.0, 1.0, 0.6, final=found["stt"], llm=found["llm"], tts=found["tts"], stages=stages, log=log)
    return replace(one, realtime=found["realtime"])


def calibrated(*turns: TurnFigures, lag: float = 0.0) -> Calibration:
    return calibrate([Result("a stack", "talk", 1, Outcome(OK, turns=turns, lag=lag))])


def wrong(found: Calibration) -> set[str]:
    return {stage.role for stage in found.stages if not (stage.found and stage.within)}


def shifted(one: TurnFigures, figure: str, seconds: float) -> TurnFigures:
    """A turn of which one figure was measured wrongly."""
    if figure == "stages":
        return replace(one, stages={**one.stages, "turn": one.stages["turn"] + seconds})
    if figure in one.log:
        return replace(one, log={**one.log, figure: one.log[figure] + seconds})
    return replace(one, **{figure: getattr(one, figure) + seconds})


def test_what_is_right_is_found() -> None:
    found = calibrated(*[turn()] * 3)
    assert found.holds and {stage.role for stage in found.stages} == {*PARTS, "ear"}


@pytest.mark.parametrize(
    ("figure", "seconds", "role"),
    [
        ("final", 0.015, "stt"), ("final", -0.015, "stt"),
        ("llm", 0.02, "llm"), ("llm", -0.02, "llm"),
        ("tts", 0.012, "tts"), ("realtime", 0.018, "realtime"), ("latency", 0.03, "speech"), ("stages", 0.012, "ear"),
        ("stt_before_most", -0.06, "stt"), ("stt_before_least", 0.08, "stt"),
        ("llm_before", 0.12, "llm"), ("tts_after", -0.02, "tts"),
        ("ear_after", 0.03, "ear"), ("ear_after", -0.04, "ear"), ("stt", 0.02, "stt"),
    ],
)  # fmt: skip
def test_what_is_measured_wrongly_is_not(figure: str, seconds: float, role: str) -> None:
    assert role in wrong(calibrated(*[shifted(turn(), figure, seconds)] * 3))


def test_calls_of_a_busy_machine_are_left_out() -> None:
    late = [Result("a stack", "talk", 1, Outcome(OK, turns=(shifted(turn(), "llm", 1.0),), lag=0.2))]
    found = calibrate([*late, Result("a stack", "talk", 2, Outcome(OK, turns=(turn(),)))])
    assert found.holds and found.late == 1
    with pytest.raises(ConfigError, match="too busy"):
        calibrate(late)


def test_what_is_no_measure_is_refused() -> None:
    check_held({"request": {"transport": "process", "emulate": {}}})
    with pytest.raises(ConfigError, match="held over web"):
        check_held({"request": {"transport": "web", "emulate": {}}})
    with pytest.raises(ConfigError, match="went to real vendors"):
        check_held({"request": {"emulate": None}})
    with pytest.raises(ConfigError, match="looked at alone"):
        check_held({"request": {"emulate": {}, "component": "tts"}})
    with pytest.raises(ConfigError, match="--emulate"):
        calibrate([Result("a stack", "talk~noise=10", 1, Outcome(OK, turns=(turn(),)))])


def without(one: TurnFigures, *roles: str) -> TurnFigures:
    """A turn of which the vendors' log has not these stages."""
    return replace(one, log={name: seconds for name, seconds in one.log.items() if name.split("_")[0] not in roles})


PIPELINE = replace(turn(), realtime=None)
REALTIME = replace(without(turn(), "stt", "llm", "tts"), llm=None, tts=None)


@pytest.mark.parametrize(
    ("one", "role"),
    [(PIPELINE, "stt"), (PIPELINE, "llm"), (PIPELINE, "tts"), (PIPELINE, "ear"), (REALTIME, "ear")],
)
def test_a_stage_that_is_nowhere_in_the_log_does_not_pass(one: TurnFigures, role: str) -> None:
    assert calibrated(one).holds
    found = calibrated(*[without(one, role)] * 3)
    assert [(gone.role, gone.count) for gone in found.missing] == [(role, 3)] and not found.holds
    assert calibrated(one, without(one, role)).holds, "one turn has it"


def test_a_realtime_model_is_in_the_log_by_what_it_heard_or_was_asked() -> None:
    assert calibrated(without(REALTIME, "speech")).holds and calibrated(without(REALTIME, "realtime")).holds
    found = calibrated(without(REALTIME, "realtime", "speech"))
    assert [gone.role for gone in found.missing] == ["realtime"]


def test_models_that_are_not_emulated_need_no_log() -> None:
    about = {"request": {"stacks": ["local"], "emulate": {}, "chain": "gone.toml"}}
    emulated = emulated_in(about, load_plugins(Settings(env={"STORY_LOAD_PLUGINS": ""})).registry)
    result = Result("local+gpt4o-mini+cartesia", "talk", 1, Outcome(OK, turns=(without(PIPELINE, "stt", "ear"),)))
    assert calibrate([result], emulated).holds
    result = replace(result, stack="deepgram+gpt4o-mini+cartesia")
    assert [gone.role for gone in calibrate([result], emulated).missing] == ["stt", "ear"]


def test_a_log_of_another_version_is_told() -> None:
    old = replace(PIPELINE, log={"stt": 0.2, "llm": 0.3, "stt_before": 0.1})
    with pytest.raises(ConfigError, match="not one that this version of story reads"):
        calibrated(old)


class _Deaf:
    """An utterance, and the ears for it, without words."""

    def listen(self, rate: int, start: float, previous: object = None) -> _Deaf:
        return self

    def feed(self, pcm: bytes, energies: object) -> None: ...

    async def final(self, end: float) -> Transcript:
        return Transcript()

    async def aclose(self) -> None: ...


@pytest.mark.parametrize(("chunk", "ended"), [(0.05, 1.55), (0.16, 1.6)])
async def test_when_the_last_sound_was(chunk: float, ended: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of sound and then silence, in chunks that take 7 ms. ended: when the chunk is whole that has the end."""
    rate, last, now = 16_000, 1.33, [0.0]
    monkeypatch.setattr("story.bench.noted.time.monotonic", lambda: 100 + now[0])
    sound = np.zeros(3 * rate, np.int16)
    sound[round(0.32 * rate) : round(last * rate)] = 8000
    ears = NotedEars(_Deaf())  # type: ignore[arg-type]
    listener = Listener(ears, rate, silence=0.2)
    size = round(chunk * rate)
    for at in range(0, len(sound), size):
        now[0] = (at + size) / rate + 0.007
        for event in listener.feed(sound[at : at + size].tobytes()):
            if isinstance(event, Ended):
                await event.utterance.final(event.end)
    (heard,) = ears.heard
    assert heard.last == pytest.approx(100.007 + last) and not heard.whole
    assert heard.quiet == pytest.approx(0.2)
    assert heard.came - heard.last == pytest.approx(ended - last - 0.2)


def bench(folder: Path, stacks: Sequence[str], *more: str) -> list[Result]:
    """The calls of a run that a machine which wasn't busy could hold."""
    command = ["bench", "--stacks", *stacks, "--chain", str(HERE / "door.toml"), "--emulate", "--concurrency", "1"]
    command += ["--brain", str(HERE / "door_script.toml"), "--scenarios", str(HERE / "door_talk.json"), *more]
    with pytest.raises(SystemExit) as exited:
        main([*command, "--out", str(folder)])
    assert exited.value.code == 0
    with Results.open(folder) as results:
        return list(results.all())


def told(results: Sequence[Result]) -> Calibration:
    try:
        return calibrate(results)
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.mark.full
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("profile", ["baseline", "typical"])
def test_every_vendor(profile: str, tmp_path: Path) -> None:
    results = bench(tmp_path / "run", STACKS, "--profile", profile)
    assert [result.outcome.reason for result in results if result.outcome.status != OK] == []
    found = told(results)
    assert [stage for stage in found.stages if not (stage.found and stage.within)] == []
    stages = {(stage.stack, stage.role) for stage in found.stages}
    if not found.late:
        assert stages >= {(stack, role) for stack in STACKS[:-1] for role in ("stt", "llm", "tts", "ear")}
        assert stages >= {(STACKS[-1], role) for role in ("realtime", "speech", "ear")}


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [0.06, -0.06])
def test_a_clock_that_is_wrong(seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Marks.on_clock
    monkeypatch.setattr(Marks, "on_clock", lambda self, at: right(self, at) + seconds)
    found = told(bench(tmp_path / "run", STACKS[:1], "--profile", "baseline", "--warm-up", "0"))
    assert "stt" in wrong(found) and not found.holds


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("seconds", [0.06, -0.06])
def test_an_ear_that_is_wrong(seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = ear.heard

    def heard(said: Sequence[Said], agent: Sequence[float]) -> object:
        return [replace(one, said=replace(one.said, end=one.said.end + seconds)) for one in right(said, agent)]

    monkeypatch.setattr("story.bench.cell.heard", heard)
    found = told(bench(tmp_path / "run", STACKS[:1], "--profile", "baseline", "--warm-up", "0"))
    assert {"stt", "ear"} <= wrong(found)
