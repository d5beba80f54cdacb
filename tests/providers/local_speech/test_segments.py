"""Where utterances begin and end, on made-up voice activity."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from story.providers.local.segments import WINDOW, WINDOW_SECONDS, Cue, Pauses, Segmenter

SPEECH, SILENCE = 0.9, 0.0
PAUSES = Pauses()


def numbered(count: int) -> list[np.ndarray[tuple[int], np.dtype[np.int16]]]:
    """Windows that can be told apart."""
    return [np.full(WINDOW, number % 30_000, np.int16) for number in range(count)]


def run(probabilities: list[float], segmenter: Segmenter) -> list[tuple[int, Cue]]:
    windows = numbered(len(probabilities))
    return [
        (at, cue)
        for at, (window, probability) in enumerate(zip(windows, probabilities, strict=True))
        for cue in segmenter.push(window, probability)
    ]


def windows(seconds: float) -> int:
    return round(seconds / WINDOW_SECONDS)


def test_speech_starts_pauses_and_ends_after_its_silences() -> None:
    segmenter = Segmenter(PAUSES)
    cues = run([SILENCE] * 20 + [SPEECH] * 30 + [SILENCE] * 20, segmenter)
    assert cues == [
        (20 + windows(PAUSES.attack) - 1, Cue.STARTED),
        (49 + windows(PAUSES.hint), Cue.PAUSED),
        (49 + windows(PAUSES.end), Cue.ENDED),
    ]


def test_an_utterance_keeps_a_lead_and_a_tail_and_knows_its_times() -> None:
    segmenter = Segmenter(PAUSES)
    run([SILENCE] * 20 + [SPEECH] * 30 + [SILENCE] * 20, segmenter)
    utterance = segmenter.utterance()
    lead = windows(PAUSES.lead) - windows(PAUSES.attack)
    kept = utterance.samples[::WINDOW]
    assert kept[0] == 20 - lead
    assert kept[-1] == 49 + windows(PAUSES.tail)
    assert utterance.start == 20 * WINDOW_SECONDS
    assert utterance.end == 50 * WINDOW_SECONDS
    assert utterance.voiced == 30 * WINDOW_SECONDS


def test_a_short_pause_inside_a_sentence_does_not_end_it() -> None:
    segmenter = Segmenter(PAUSES)
    pause = [SILENCE] * (windows(PAUSES.end) - 1)
    cues = run([SPEECH] * 10 + pause + [SPEECH] * 10 + [SILENCE] * 20, segmenter)
    assert [cue for _, cue in cues] == [Cue.STARTED, Cue.PAUSED, Cue.RESUMED, Cue.PAUSED, Cue.ENDED]
    assert segmenter.utterance().voiced == 20 * WINDOW_SECONDS


def test_a_click_is_no_beginning() -> None:
    assert run(([SPEECH] + [SILENCE] * 5) * 10, Segmenter(PAUSES)) == []


def test_a_long_utterance_ends_at_its_next_hint() -> None:
    segmenter = Segmenter(PAUSES)
    speech = [SPEECH] * windows(PAUSES.long)
    cues = run(speech + [SILENCE] * windows(PAUSES.hint), segmenter)
    assert [cue for _, cue in cues] == [Cue.STARTED, Cue.PAUSED, Cue.ENDED]


def test_endless_speech_is_cut_and_no_window_is_lost() -> None:
    segmenter = Segmenter(PAUSES)
    heard: list[int] = []
    for at, window in enumerate(numbered(3 * windows(PAUSES.longest))):
        if Cue.ENDED in segmenter.push(window, SPEECH):
            heard.extend(segmenter.utterance().samples[::WINDOW].tolist())
            assert heard[-1] == at
    assert heard == list(range(len(heard)))
    assert len(heard) >= 2 * windows(PAUSES.longest)


def test_asking_for_the_end_ends_what_is_being_said() -> None:
    segmenter = Segmenter(PAUSES)
    assert segmenter.finish() == []
    run([SPEECH] * 10, segmenter)
    assert segmenter.finish() == [Cue.ENDED]
    assert segmenter.finish() == []


@given(st.lists(st.floats(0, 1), max_size=400))
def test_starts_and_ends_always_alternate(probabilities: list[float]) -> None:
    segmenter = Segmenter(PAUSES)
    borders = [cue for _, cue in run(probabilities, segmenter) if cue in (Cue.STARTED, Cue.ENDED)]
    assert all(cue is (Cue.STARTED, Cue.ENDED)[at % 2] for at, cue in enumerate(borders))
    assert segmenter.speaking == bool(len(borders) % 2)
