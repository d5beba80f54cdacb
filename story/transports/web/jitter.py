"""Puts the packets of a call's sound in order, without waiting longer than a packet can still come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

SEQUENCE_NUMBERS = 1 << 16
MAX_JUMP = 200
"""Packets (4 s of sound) that may be missing before the sender is taken to have started anew."""


class Packet(Protocol):
    """What is read of an RTP packet."""

    sequence_number: int


AnyPacket = TypeVar("AnyPacket", bound=Packet)


class JitterBuffer(Generic[AnyPacket]):
    """Hands packets on in the order of their sequence numbers, each as soon as those before it have come.

    Nothing is delayed while nothing is missing: what hears the sound needs it early, not evenly. A hole is waited for
    until `depth` newer packets have come, and then given up, told as None.

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
        ahead = (number - self._next) % SEQUENCE_NUMBERS
        if ahead >= SEQUENCE_NUMBERS // 2:
            self.late += 1
            return
        if ahead > MAX_JUMP:
            self._waiting.clear()
            self._next = number
        self._waiting[number] = packet
        self._hand_on()

    def _hand_on(self) -> None:
        assert self._next is not None
        while self._waiting:
            packet = self._waiting.pop(self._next, None)
            if packet is None:
                newest = max((number - self._next) % SEQUENCE_NUMBERS for number in self._waiting)
                if newest < self._depth:
                    return
                self.lost += 1
            self._next = (self._next + 1) % SEQUENCE_NUMBERS
            self._on_packet(packet)
