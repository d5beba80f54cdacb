"""Disturbances of a caller: as strong as they say, and the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from story.bench.disturbance import Disturbance, disturbance_of
from story.bench.scenarios import load_scenarios
from story.core.errors import ConfigError
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


@pytest.mark.parametrize("text", ["nois=10", "noise", "noise=loud", "loss=0", "loss=100%", "pause=-1", "", "interrupt"])
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
