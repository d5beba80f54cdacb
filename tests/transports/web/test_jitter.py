"""The jitter buffer: what is not lost comes out once and in order, and nothing waits longer than it must."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from story.transports.web.jitter import MAX_HOLE, MAX_LATE, SEQUENCE_NUMBERS, JitterBuffer


@dataclass(frozen=True)
class Packet:
    sequence_number: int


class Listener:
    """What comes out: sequence numbers, and None for what is lost."""

    def __init__(self, depth: int = 2) -> None:
        self.heard: list[int | None] = []
        self.buffer: JitterBuffer[Packet] = JitterBuffer(self._on_packet, depth=depth)

    def _on_packet(self, packet: Packet | None) -> None:
        self.heard.append(packet.sequence_number if packet else None)

    def take(self, *numbers: int) -> list[int | None]:
        """What came out for these."""
        before = len(self.heard)
        for number in numbers:
            self.buffer.add(Packet(number % SEQUENCE_NUMBERS))
        return self.heard[before:]


def test_in_order_each_comes_out_at_once() -> None:
    listener = Listener()
    for number in range(100, 120):
        assert listener.take(number) == [number]


def test_two_that_changed_places_are_put_in_order() -> None:
    assert Listener().take(1, 3, 2, 4) == [1, 2, 3, 4]


def test_one_that_is_lost_is_given_up_when_the_second_after_it_has_come() -> None:
    listener = Listener()
    assert listener.take(1, 3) == [1]
    assert listener.take(4) == [None, 3, 4]
    assert listener.buffer.lost == 1


def test_a_burst_that_is_lost_is_told_packet_by_packet() -> None:
    listener = Listener()
    assert listener.take(1, 6, 7) == [1, None, None, None, None, 6, 7]
    assert listener.buffer.lost == 4


def test_a_hole_that_nothing_can_stand_in_for_is_left_out() -> None:
    listener = Listener()
    assert listener.take(1, 100, 101) == [1, 100, 101]
    assert listener.buffer.lost == 98


def test_what_waits_before_such_a_hole_still_comes_out() -> None:
    listener = Listener()
    assert listener.take(1, 3, 100) == [1, 3, 100]
    assert listener.buffer.lost == 97


def test_one_that_comes_after_it_was_given_up_is_dropped() -> None:
    listener = Listener()
    assert listener.take(1, 3, 4, 2, 5) == [1, None, 3, 4, 5]
    assert listener.buffer.late == 1


def test_a_duplicate_is_dropped_whether_it_waits_or_has_been_heard() -> None:
    assert Listener().take(1, 1, 3, 3, 2, 2, 3) == [1, 2, 3]


def test_sequence_numbers_wrap_around() -> None:
    last = SEQUENCE_NUMBERS - 1
    assert Listener().take(last - 1, last, 0, 1) == [last - 1, last, 0, 1]
    assert Listener().take(last, 1, 0, 2) == [last, 0, 1, 2]
    assert Listener().take(last - 1, 0, 1) == [last - 1, None, 0, 1]


def test_a_sender_that_starts_anew_is_heard_at_once_wherever_it_counts_from() -> None:
    for start in (30_000, 50_000, 10_000 - MAX_LATE - 1):
        assert Listener().take(10_000, 10_001, start, start + 1) == [10_000, 10_001, start, start + 1]


@settings(deadline=None)
@given(st.integers(0, SEQUENCE_NUMBERS - 1), st.lists(st.integers(0, 2), min_size=1, max_size=80), st.data())
def test_whatever_is_not_lost_comes_out_once_and_in_order(start: int, fates: list[int], data: st.DataObject) -> None:
    """Each packet is lost (0), sent (1) or sent twice (2); neighbours may change places."""
    fates = [1, *fates, *[1] * 4]  # the first tells where the stream begins, the last what is not to be waited for
    sent = [number for number, copies in enumerate(fates) for _ in range(copies)]
    for index in range(1, len(sent) - 5):
        if sent[index] + 1 == sent[index + 1] and data.draw(st.booleans()):
            sent[index], sent[index + 1] = sent[index + 1], sent[index]
    listener = Listener(depth=4)  # with duplicates among them, packets can be moved by more than one place
    out = listener.take(*(start + number for number in sent))
    heard = [(number - start) % SEQUENCE_NUMBERS for number in out if number is not None]
    assert heard == sorted(set(sent))
    assert listener.buffer.lost == len(fates) - len(heard)


@settings(deadline=None)
@given(st.lists(st.integers(0, SEQUENCE_NUMBERS - 1), max_size=200))
def test_any_numbers_at_all_come_out_at_most_once_and_soon(numbers: list[int]) -> None:
    listener = Listener()
    out = [number for number in listener.take(*numbers) if number is not None]
    assert len(out) <= len(numbers)
    assert len(listener.buffer._waiting) <= MAX_HOLE
