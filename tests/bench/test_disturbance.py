"""Disturbances of a caller: as strong as they say, and the same for the same seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from story.bench.disturbance import Disturbance, disturbance_of
from story.bench.scenarios import BUILT_IN, load_scenarios
from story.bench.second_thoughts import CHANGES, NAMES
from story.core.errors import ConfigError
from story.emulator.script import BUILT_IN as SCRIPT
from story.emulator.script import load_script
from story.transports.sound import SAMPLE_RATE, Samples, read_wav

CALLERS = Path(__file__).parents[1] / "callers"
FRAME = SAMPLE_RATE // 50


@pytest.fixture(scope="module")
def said() -> Samples:
    return read_wav(CALLERS / "maria" / "turn1.wav")


def sent(disturbance: Disturbance, sound: Samples, seed: int = 0) -> Samples:
    way = disturbance.way([sound], seed)
    whole = sound[: len(sound) // FRAME * FRAME]
    out = [way(frame) for frame in whole.reshape(-1, FRAME)]
    assert {len(frame) for frame in out} == {FRAME}
    return np.concatenate(out)


def power(sound: np.ndarray) -> float:
    return float((sound.astype(np.float64) ** 2).mean())


def test_what_is_written() -> None:
    assert disturbance_of("noise=10+loss=5%") == Disturbance(noise=10, loss=0.05, text="noise=10+loss=5%")
    assert disturbance_of("mm-hm") == Disturbance(aside=2, text="mm-hm")
    assert disturbance_of("narrow+pause").pause == 0.8 and disturbance_of("interrupt=2.5 s").interrupt == 2.5
    assert disturbance_of("noise=-3dB").noise == -3
    assert disturbance_of("wrong-name+change-of-mind+silence=8").silence == 8
    assert disturbance_of("wrong-name") == Disturbance(wrong_name=True, text="wrong-name")


def test_a_silence_comes_once_before_a_line_that_the_seed_says() -> None:
    silent = disturbance_of("silence=8")
    found = {silent.silent_before(4, seed) for seed in range(40)}
    assert found == {2, 3, 4} and silent.silent_before(1, 0) == 1
    assert silent.silent_before(4, 7) == silent.silent_before(4, 7)
    assert Disturbance().silent_before(4, 0) is None


def test_a_wrong_name_is_put_right() -> None:
    maria, *_ = load_scenarios(BUILT_IN)
    wrong = maria.disturbed(disturbance_of("wrong-name"), 1)
    text = wrong.lines[0].text
    assert text.startswith("Hi there! My name is ") and text.endswith(", no, sorry, it's Maria, and I live in Lisbon.")
    assert wrong.lines[0] == maria.disturbed(disturbance_of("wrong-name"), 1).lines[0]
    assert len({maria.disturbed(disturbance_of("wrong-name"), seed).lines[0] for seed in range(20)}) > 3
    assert [line.text for line in wrong.lines[1:]] == [line.text for line in maria.lines[1:]]
    assert all(line.scripted and line.sound is None and not line.words for line in wrong.lines), "one voice a call"
    with pytest.raises(ConfigError, match="the caller of maria says no name"):
        replace(maria, facts={}).disturbed(disturbance_of("wrong-name"))


def test_a_change_of_mind_comes_before_the_last_line() -> None:
    maria, *_ = load_scenarios(BUILT_IN)
    changed = maria.disturbed(disturbance_of("change-of-mind"), 3)
    assert len(changed.lines) == 4 and "no, wait" in changed.lines[2].text
    assert changed.lines[3].text == maria.lines[2].text
    with pytest.raises(ConfigError, match="two turns at least"):
        maria.beginning().disturbed(disturbance_of("change-of-mind"))


@pytest.mark.parametrize("change", CHANGES)
def test_the_script_of_the_storyteller_follows_a_change_of_mind(change: str) -> None:
    script = load_script(SCRIPT)
    (stays,) = [reply for reply in script.replies if reply.when and reply.when.search(change)][:1]
    assert stays.call is None and stays.say


@pytest.mark.parametrize("name", NAMES)
def test_the_script_of_the_storyteller_hears_the_name_that_was_put_right(name: str) -> None:
    script = load_script(SCRIPT)
    for text in (
        f"My name is {name}, no, sorry, it's Maria, and I live in Lisbon.",
        f"I'm {name}, no, sorry, it's Maria.",
    ):
        found = next(match for pattern in script.facts["name"] if (match := pattern.search(text)))
        assert found[1] == "Maria"


@pytest.mark.parametrize(
    "text",
    ["nois=10", "noise", "noise=loud", "loss=0", "loss=100%", "pause=-1", "", "interrupt", "silence", "wrong-name=1"],
)
def test_what_means_nothing(text: str) -> None:
    with pytest.raises(ConfigError):
        disturbance_of(text)


def test_nothing_is_changed_without_one(said: Samples) -> None:
    assert np.array_equal(sent(Disturbance(), said), said[: len(said) // FRAME * FRAME])


def test_noise_has_its_share_and_its_seed(said: Samples) -> None:
    noisy = sent(Disturbance(noise=10), said)
    noise = noisy - said[: len(noisy)].astype(np.float64)
    frames = said[: len(noisy)].reshape(-1, FRAME).astype(np.float64)
    powers = (frames**2).mean(axis=1)
    speech = powers[powers > 0.01 * powers.max()].mean()
    assert 10 * np.log10(speech / power(noise)) == pytest.approx(10, abs=1)
    assert np.array_equal(noisy, sent(Disturbance(noise=10), said))
    assert not np.array_equal(noisy, sent(Disturbance(noise=10), said, seed=1))


def test_a_telephone_lets_its_band_through() -> None:
    seconds = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for hertz, passes in ((100, False), (1000, True), (3000, True), (6000, False)):
        tone = (8000 * np.sin(2 * np.pi * hertz * seconds)).astype(np.int16)
        share = power(sent(Disturbance(narrow=True), tone)) / power(tone)
        assert share > 0.8 if passes else share < 0.1, hertz


def test_packets_are_lost_by_the_seed(said: Samples) -> None:
    whole, lossy = sent(Disturbance(loss=1e-9), said), sent(Disturbance(loss=0.3), said)
    assert power(whole) == pytest.approx(power(said), rel=0.2)
    assert power(whole - lossy.astype(np.float64)) > 0.02 * power(said)
    assert np.array_equal(lossy, sent(Disturbance(loss=0.3), said))


def test_a_pause_is_between_two_words(said: Samples) -> None:
    (line, *_) = load_scenarios(Path(__file__).parents[2] / "story/bench/callers/scenarios.json")[0].lines
    paused = Disturbance(pause=1.0).line(said, line.words)
    assert len(paused) == len(said) + SAMPLE_RATE
    start = next(start for word, start, _ in line.words if word == "Maria,")
    at = round(start * SAMPLE_RATE)
    assert not paused[at : at + SAMPLE_RATE].any() and np.array_equal(paused[at + SAMPLE_RATE :], said[at:])
    assert len(Disturbance(pause=1.0).line(said, ())) == len(paused), "also where no words are known"
