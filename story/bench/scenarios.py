"""What the callers of a benchmark say, and what a conversation with them has to come to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from story.bench.disturbance import Disturbance
from story.bench.second_thoughts import with_a_change_of_mind, with_a_wrong_name
from story.core.errors import AudioError, ConfigError
from story.core.nearest import did_you_mean
from story.core.textfile import read_text
from story.core.toml import TomlFile, read_toml
from story.transports.sound import SAMPLE_RATE, Samples, read_wav

BUILT_IN = Path(__file__).parent / "callers" / "scenarios.json"
_DISTURBED = "~"
"""In the name of a scenario under worse conditions."""
WORDS_A_SECOND = 3.5
"""Of a caller whose lines are not spoken yet; the recorded ones speak as fast."""
_SCENARIO_KEYS = ("facts", "handoffs", "turns", "hangs_up", "voice")
_TURN_KEYS = ("file", "text", "words", "barge_in")


@dataclass(frozen=True)
class Line:
    """One turn of a caller.

    sound: its recording; None: a voice has yet to speak it. text: its words. words: each with its start and end in the
    recording (seconds), where they are known: emulated recognisers hear by them. barge_in: seconds of the agent's
    speech after which it breaks in. scripted: there is no recording of a caller, a voice speaks it.
    """

    sound: Path | None
    text: str
    words: tuple[tuple[str, float, float], ...] = ()
    barge_in: float | None = None
    scripted: bool = False

    @property
    def seconds(self) -> float:
        """How long it is, or will be about, where no voice has spoken it yet."""
        if self.sound is None:
            return len(self.text.split()) / WORDS_A_SECOND
        return len(self.samples()) / SAMPLE_RATE

    def samples(self) -> Samples:
        """Its sound."""
        if self.sound is None:
            raise ConfigError(f"the line {self.text!r} has no sound yet")
        return read_wav(self.sound)


@dataclass(frozen=True)
class Scenario:
    """A caller and what they want.

    facts: what the personas have to gather. handoffs: (from, to), in order; None where any will do. hangs_up: the
    caller leaves once the last line is answered, and does not wait for the end of the chain. disturbance: of the call.
    voice: who speaks the lines that are not recorded (a tts), None where that is left open.
    """

    name: str
    lines: tuple[Line, ...]
    facts: Mapping[str, str]
    handoffs: tuple[tuple[str, str], ...] | None = None
    hangs_up: bool = False
    disturbance: Disturbance = field(default_factory=Disturbance)
    voice: str | None = None

    @property
    def text(self) -> str:
        """All that the caller says."""
        return " ".join(line.text for line in self.lines)

    @cached_property
    def seconds(self) -> float:
        """Of the caller's speech."""
        return sum(line.seconds for line in self.lines)

    def disturbed(self, disturbance: Disturbance, seed: int = 0) -> Scenario:
        """The same call under worse conditions, under a name of its own. Raises ConfigError where they don't fit."""
        lines = self.lines
        if disturbance.wrong_name:
            lines = with_a_wrong_name(self.name, lines, self.facts, seed)
        if disturbance.change_of_mind:
            lines = with_a_change_of_mind(self.name, lines, seed)
        return replace(self, name=f"{self.name}{_DISTURBED}{disturbance}", lines=lines, disturbance=disturbance)

    def beginning(self) -> Scenario:
        """A call that is over with the answer to the first line: warm-up."""
        return replace(self, lines=self.lines[:1], hangs_up=True)


def built_in() -> dict[str, Scenario]:
    """The scenarios that come with `story`, which are for its own chain."""
    return {scenario.name: scenario for scenario in load_scenarios(BUILT_IN)}


def is_disturbed(name: str) -> bool:
    """Whether the scenario of that name is one under worse conditions."""
    return _DISTURBED in name


def choose(names: Sequence[str], places: Sequence[Path]) -> tuple[Scenario, ...]:
    """The scenarios of `places` (files or folders; none: the built-in ones) that are named, all where none is.

    Raises:
        ConfigError: an unknown name, or a file that can't be used.
    """
    known: dict[str, Scenario] = {}
    for place in places or (BUILT_IN,):
        for scenario in load_scenarios(place):
            if scenario.name in known:
                raise ConfigError(f"{place}: there is a scenario {scenario.name!r} already: give it another name")
            known[scenario.name] = scenario
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known, otherwise=f"; there are {', '.join(known)}")
            raise ConfigError(f"unknown scenario {name!r}{hint}")
    return tuple(known[name] for name in dict.fromkeys(names or known))


def load_scenarios(place: Path) -> tuple[Scenario, ...]:
    """The scenarios of a TOML or JSON file, or of all such files in a folder.

    Raises:
        ConfigError: with the file and what is wrong in it; a recording that is missing or can't be read.
    """
    files = sorted(path for path in place.glob("*") if path.suffix in (".toml", ".json")) if place.is_dir() else [place]
    found = tuple(scenario for file in files for scenario in _scenarios(_File.read(file)))
    if not found:
        raise ConfigError(f"{place} holds no scenario: docs/bench.md says how to write one")
    return found


@dataclass(frozen=True)
class _File:
    """A file of scenarios. toml: where it is one, which knows its lines."""

    path: Path
    data: Mapping[str, object]
    toml: TomlFile | None = None

    @classmethod
    def read(cls, path: Path) -> _File:
        if path.suffix == ".toml":
            toml = read_toml(path)
            return cls(path, toml.data, toml)
        try:
            data = json.loads(read_text(path))
        except ValueError as error:
            raise ConfigError(f"{path} is no JSON: {error}") from None
        if not isinstance(data, dict):
            raise ConfigError(f"{path}: is no object of scenarios by name")
        return cls(path, data)

    def error(self, keys: Sequence[str], message: str) -> ConfigError:
        if self.toml is not None:
            return self.toml.error(keys, message)
        return ConfigError(f"{self.path}: {'.'.join(keys)}: {message}")

    def table(self, keys: Sequence[str], value: object, known: Sequence[str]) -> Mapping[str, object]:
        if not isinstance(value, dict):
            raise self.error(keys, "is no table")
        for name in value:
            if known and name not in known:
                hint = did_you_mean(name, known, otherwise=f"; one of {', '.join(known)}")
                raise self.error((*keys, name), f"unknown key {name!r}{hint}")
        return value


def _scenarios(file: _File) -> Iterator[Scenario]:
    for name, value in file.data.items():
        table = file.table((name,), value, _SCENARIO_KEYS)
        turns = table.get("turns")
        if not (isinstance(turns, list) and turns):
            raise file.error((name, "turns"), "is missing: what the caller says, a table with text, and file, each")
        hangs_up = table.get("hangs_up", False)
        if not isinstance(hangs_up, bool):
            raise file.error((name, "hangs_up"), "is true or false")
        voice = table.get("voice")
        if voice is not None and not (isinstance(voice, str) and voice):
            raise file.error((name, "voice"), 'is a tts that speaks the lines, as in voice = "local"')
        yield Scenario(
            name,
            tuple(_line(file, (name, "turns", str(number)), turn) for number, turn in enumerate(turns)),
            _facts(file, (name, "facts"), table.get("facts", {})),
            _handoffs(file, (name, "handoffs"), table.get("handoffs")),
            hangs_up,
            voice=voice,
        )


def _line(file: _File, keys: tuple[str, ...], value: object) -> Line:
    table = file.table(keys, value, _TURN_KEYS)
    sound, text, barge_in = table.get("file"), table.get("text"), table.get("barge_in")
    if sound is not None and not (isinstance(sound, str) and sound):
        raise file.error((*keys, "file"), "is the WAV file of this turn")
    if not (isinstance(text, str) and text.strip()):
        what = f"the words of {sound}, with which what is heard is compared" if sound else "what the caller says"
        raise file.error((*keys, "text"), f"is missing: {what}")
    if barge_in is not None and (isinstance(barge_in, bool) or not isinstance(barge_in, int | float) or barge_in < 0):
        raise file.error((*keys, "barge_in"), "is a number of seconds of the agent's speech")
    breaks_in = None if barge_in is None else float(barge_in)
    if sound is None:
        if "words" in table:
            raise file.error((*keys, "words"), "are those of a recording, and this turn has no file")
        return Line(None, text.strip(), barge_in=breaks_in, scripted=True)
    path = file.path.parent / sound
    try:
        read_wav(path)
    except AudioError as error:
        raise file.error((*keys, "file"), str(error)) from None
    words = tuple(_word(file, (*keys, "words"), word) for word in _list(file, (*keys, "words"), table.get("words", [])))
    return Line(path, text.strip(), words, breaks_in)


def _word(file: _File, keys: tuple[str, ...], value: object) -> tuple[str, float, float]:
    if isinstance(value, list) and len(value) == 3:
        text, start, end = value
        if isinstance(text, str) and all(isinstance(time, int | float) for time in (start, end)):
            return text, float(start), float(end)
    raise file.error(keys, "holds [word, start, end], with seconds")


def _facts(file: _File, keys: tuple[str, ...], value: object) -> dict[str, str]:
    return {name: str(fact) for name, fact in file.table(keys, value, ()).items()}


def _handoffs(file: _File, keys: tuple[str, ...], value: object) -> tuple[tuple[str, str], ...] | None:
    if value is None:
        return None
    found: list[tuple[str, str]] = []
    for pair in _list(file, keys, value):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(name, str) for name in pair)):
            raise file.error(keys, 'holds pairs of personas, as in [["intro", "story"]]')
        found.append((pair[0], pair[1]))
    return tuple(found)


def _list(file: _File, keys: tuple[str, ...], value: object) -> list[object]:
    if not isinstance(value, list):
        raise file.error(keys, "is a list")
    return value
