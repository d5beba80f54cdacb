"""Who has the floor when both speak, on a clock that the tests turn."""

from __future__ import annotations

from collections.abc import Callable

from story.core.barge_in import (
    DECIDE_SECONDS,
    DOUBT_SECONDS,
    LONGEST_ACKNOWLEDGEMENT,
    OVER_SECONDS,
    TAKE_SECONDS,
    BargeIn,
)

STEP = 0.032


class Scene:
    """An agent that speaks, and what is done to its speech."""

    def __init__(self, *, going: bool = True, pauses: bool = True) -> None:
        self.going, self.pauses, self.done = going, pauses, list[str]()
        self._now = 0.0
        self._due: list[tuple[float, Callable[[], None]]] = []
        self.barge_in = BargeIn(self, clock=lambda: self._now, later=self._later)

    def pause(self) -> bool:
        self.done.append("pause")
        self.going = False
        return self.pauses

    def resume(self) -> None:
        self.done.append("resume")
        self.going = True
        self.barge_in.settle()  # livekit tells that the agent speaks again

    def interrupt(self) -> None:
        self.done.append("interrupt")

    def pass_by(self, seconds: float, *, loud: bool) -> None:
        end = self._now + seconds
        while self._now < end:
            self._now += STEP
            for due in [due for due in self._due if due[0] <= self._now]:
                self._due.remove(due)
                due[1]()
            self.barge_in.sound(loud=loud)

    def _later(self, seconds: float, run: Callable[[], None]) -> Scene._Timer:
        entry = (self._now + seconds, run)
        self._due.append(entry)
        return self._Timer(lambda: self._due.remove(entry) if entry in self._due else None)

    class _Timer:
        def __init__(self, cancel: Callable[[], None]) -> None:
            self.cancel = cancel


def test_a_click_is_nothing() -> None:
    scene = Scene()
    scene.pass_by(TAKE_SECONDS / 2, loud=True)
    scene.pass_by(2.0, loud=False)
    assert scene.done == []


def test_words_too_short_to_stop_it_interrupt_once_they_are_made_out() -> None:
    scene = Scene()
    for _ in range(2):
        scene.pass_by(TAKE_SECONDS / 2, loud=True)
        scene.pass_by(0.3, loud=False)
    assert scene.done == []
    scene.barge_in.words("Okay.")
    assert scene.done == []
    scene.barge_in.words("No, wait.")
    assert scene.done == ["pause", "interrupt"]


def test_words_long_after_a_click_do_not() -> None:
    scene = Scene()
    scene.pass_by(TAKE_SECONDS / 2, loud=True)
    scene.pass_by(DOUBT_SECONDS, loud=False)
    scene.barge_in.words("Of before it spoke.")
    assert scene.done == []


def test_words_of_before_it_spoke_do_not() -> None:
    scene = Scene()
    scene.barge_in.words("What was said before.")
    assert scene.done == []


def test_an_acknowledgement_leaves_a_gap() -> None:
    scene = Scene()
    scene.pass_by(0.4, loud=True)
    scene.barge_in.words("Okay.")
    scene.pass_by(2.0, loud=False)
    assert scene.done == ["pause", "resume"]


def test_words_take_the_floor() -> None:
    scene = Scene()
    scene.pass_by(0.4, loud=True)
    scene.barge_in.words("Okay, wait")
    scene.barge_in.words("Okay, wait a moment.")
    scene.pass_by(3.0, loud=False)
    assert scene.done == ["pause", "interrupt"]


def test_a_long_acknowledgement_is_heard_out() -> None:
    scene = Scene()
    scene.pass_by(DECIDE_SECONDS + 0.1, loud=True)
    scene.pass_by(STEP, loud=False)
    assert scene.done == ["pause"]
    scene.pass_by(OVER_SECONDS, loud=False)
    assert scene.done == ["pause", "resume"]


def test_words_that_come_late_interrupt_all_the_same() -> None:
    scene = Scene()
    scene.pass_by(0.4, loud=True)
    scene.pass_by(0.5, loud=False)
    scene.barge_in.words("Okay.")
    assert scene.done == ["pause", "resume"]
    scene.barge_in.words("Okay, wait.")
    assert scene.done == ["pause", "resume", "pause", "interrupt"]


def test_words_of_long_ago_do_not() -> None:
    scene = Scene()
    scene.pass_by(0.4, loud=True)
    scene.pass_by(3.0, loud=False)
    scene.barge_in.words("Wait.")
    assert scene.done == ["pause", "resume"]


def test_who_goes_on_and_on_keeps_the_floor() -> None:
    scene = Scene()
    scene.pass_by(LONGEST_ACKNOWLEDGEMENT + 0.2, loud=True)
    scene.pass_by(0.5, loud=False)
    assert scene.done == ["pause"] and scene.barge_in.undecided
    scene.barge_in.words("What a strange story")
    assert scene.done == ["pause", "interrupt"]


def test_a_breath_within_a_sentence_is_no_end() -> None:
    scene = Scene()
    scene.pass_by(0.3, loud=True)
    scene.pass_by(0.3, loud=False)
    scene.pass_by(0.3, loud=True)
    scene.barge_in.words("Wait, please")
    assert scene.done == ["pause", "interrupt"]


def test_the_next_acknowledgement_pauses_again() -> None:
    scene = Scene()
    for _ in range(2):
        scene.pass_by(0.4, loud=True)
        scene.pass_by(1.0, loud=False)
    assert scene.done == ["pause", "resume"] * 2


def test_a_voice_that_was_there_before_it_was_noticed_counts_from_then() -> None:
    scene = Scene()
    scene.barge_in.voice(-TAKE_SECONDS)
    scene.pass_by(STEP, loud=True)
    assert scene.done == ["pause"]


def test_nobody_interrupts_a_silent_or_an_uninterruptible_agent() -> None:
    scene = Scene(going=False)
    scene.pass_by(2.0, loud=True)
    scene.barge_in.words("Hello there")
    assert scene.done == []


def test_speech_that_cannot_pause_is_over() -> None:
    scene = Scene(pauses=False)
    scene.pass_by(0.4, loud=True)
    assert scene.done == ["pause"] and not scene.barge_in.undecided


def test_speech_that_ends_meanwhile_is_not_resumed() -> None:
    scene = Scene()
    scene.pass_by(0.4, loud=True)
    scene.barge_in.settle()
    scene.pass_by(2.0, loud=False)
    assert scene.done == ["pause"]
