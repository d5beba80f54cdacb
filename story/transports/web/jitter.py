"""Puts the packets of a call's sound in order, without waiting longer than a packet can still come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

SEQUENCE_NUMBERS = 1 << 16
MAX_HOLE = 10
"""Lost packets (200 ms of sound) in a row that are told one by one. No stand-in for a longer hole would sound like
speech, and who waits for the sound has filled it with silence by then."""
MAX_LATE = 200
"""A packet that is further behind than this (4 s) is not late: the sender counts anew."""


class Packet(Protocol):
    """What is read of an RTP packet."""

    sequence_number: int


AnyPacket = TypeVar("AnyPacket", bound=Packet)


class JitterBuffer(Generic[AnyPacket]):
    """Hands packets on in the order of their sequence numbers, each as soon as those before it have come.

    Nothing is delayed while nothing is missing: what hears the sound needs it early, not evenly. A missing packet is
    waited for until one has come that is `depth` newer, and then given up, told as None.

    on_packet: called with every packet, or None for one that is lost.
    """

    def __init__(self, on_packet: Callable[[AnyPacket | None], None], *, depth: int = 2) -> None:
        self._on_packet = on_packet
        self._depth = depth
        self._next: int | None = None
        self._waiting: dict[int, AnyPacket] = {}
        self.lost = 0
        self.late = 0

    def add(self, packet: AnyPacket) -> None:
        """Take a packet as it comes in, in whatever order. One that comes too late or twice is dropped."""
        number = packet.sequence_number
        if self._next is None:
            self._next = number
        ahead = self._ahead(number)
        if ahead >= SEQUENCE_NUMBERS - MAX_LATE:
            self.late += 1
            return
        if ahead > MAX_HOLE:
            self._skip_to(number)
        self._waiting[number] = packet
        self._hand_on()

    def _skip_to(self, number: int) -> None:
        """Go on from `number`; what waits before it comes first."""
        assert self._next is not None
        for waiting in sorted(self._waiting, key=self._ahead):
            self._on_packet(self._waiting[waiting])
        missing = self._ahead(number)
        if missing < SEQUENCE_NUMBERS // 2:
            self.lost += missing - len(self._waiting)
        self._waiting.clear()
        self._next = number

    def _ahead(self, number: int) -> int:
        assert self._next is not None
        return (number - self._next) % SEQUENCE_NUMBERS

    def _hand_on(self) -> None:
        assert self._next is not None
        while self._waiting:
            packet = self._waiting.pop(self._next, None)
            if packet is None:
                if max(map(self._ahead, self._waiting)) < self._depth:
                    return
                self.lost += 1
            self._next = (self._next + 1) % SEQUENCE_NUMBERS
            self._on_packet(packet)
