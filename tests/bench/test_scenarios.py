"""Callers of a benchmark: the built-in ones, and files of a user's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from story.bench.scenarios import built_in, choose, load_scenarios
from story.core.errors import ConfigError

CALLERS = Path(__file__).parents[1] / "callers"
TOML = """
[anna]
hangs_up = true
facts = { name = "Anna" }
handoffs = [["intro", "story"]]

[[anna.turns]]
file = "hello.wav"
text = "Hello?"
barge_in = 1.5
words = [["Hello?", 0.0, 0.42]]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(CALLERS / "john" / "turn1.wav", tmp_path / "hello.wav")
    (tmp_path / "anna.toml").write_text(TOML)
    return tmp_path


def test_the_built_in_ones_are_the_recorded_callers() -> None:
    known, ours = json.loads((CALLERS / "callers.json").read_text()), built_in()
    for name, caller in {"maria": "maria", "olivia": "barge", "john": "john"}.items():
        scenario = ours[name]
        assert [line.text for line in scenario.lines] == [turn["text"] for turn in known[caller]["turns"]]
        for line, turn in zip(scenario.lines, known[caller]["turns"], strict=True):
            assert line.sound.read_bytes() == (CALLERS / turn["file"]).read_bytes()
            assert [list(word) for word in line.words] == turn["words"]
        assert scenario.facts == {key: known[caller][key] for key in ("name", "location")}


def test_a_folder_of_ones_own(folder: Path) -> None:
    (anna,) = load_scenarios(folder)
    assert (anna.name, anna.hangs_up, anna.handoffs) == ("anna", True, (("intro", "story"),))
    assert anna.lines[0].barge_in == 1.5 and anna.seconds == pytest.approx(0.85, abs=0.1)
    assert choose(["anna"], [folder]) == (anna,)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('text = "Hello?"', "", "anna.turns.0.text: is missing: the words of hello.wav"),
        ('file = "hello.wav"', "", "anna.turns.0.words: are those of a recording"),
        ('file = "hello.wav"\ntext = "Hello?"', "", "anna.turns.0.text: is missing: what the caller says"),
        ('"hello.wav"', "1", "anna.turns.0.file: is the WAV file"),
        ("hangs_up = true", "voice = 1", "anna.voice: is a tts"),
        ("hello.wav", "none.wav", "none.wav: there is no such file"),
        ("barge_in = 1.5", "barge_in = -1", "is a number of seconds"),
        ("barge_in = 1.5", "bargein = 1", r"unknown key 'bargein' \(did you mean barge_in"),
        ('[["intro", "story"]]', '["intro"]', "holds pairs of personas"),
        ('"Hello?", 0.0, 0.42', '"Hello?"', r"holds \[word, start, end\]"),
        ("hangs_up = true", "hangs_up = 1", "is true or false"),
        (TOML, "[anna]", "anna.turns: is missing"),
        (TOML, "", "holds no scenario"),
    ],
)
def test_a_file_that_is_wrong(folder: Path, old: str, new: str, message: str) -> None:
    (folder / "anna.toml").write_text(TOML.replace(old, new))
    with pytest.raises(ConfigError, match=message):
        load_scenarios(folder)


def test_one_name_twice(folder: Path) -> None:
    with pytest.raises(ConfigError, match="'anna' already"):
        choose([], [folder, folder / "anna.toml"])
