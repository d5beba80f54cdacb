"""The caller's sound is taken from aiortc before its jitter buffer has it: the one place that knows aiortc inside."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from aiortc import RTCRtpReceiver
from aiortc.rtp import RtpPacket

from story.transports.web import receiver
from story.transports.web.opus import Encoder
from story.transports.web.receiver import JITTER_BUFFER, take_over
from tests.transports.web.client import Browser, loudness
from tests.transports.web.served import serving


class NoTransport:
    """As much of a DTLS transport as a receiver asks for before it begins."""

    state = "new"


def rtp(number: int, payload: bytes) -> RtpPacket:
    return RtpPacket(payload_type=96, sequence_number=number, timestamp=number * 960, ssrc=1, payload=payload)


async def test_aiortc_still_has_what_is_taken_over() -> None:
    one = RTCRtpReceiver("audio", NoTransport())  # type: ignore[arg-type]
    assert hasattr(one, JITTER_BUFFER), "this aiortc keeps its jitter buffer elsewhere: look at receiver.py"


async def test_an_aiortc_without_it_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "JITTER_BUFFER", "_RTCRtpReceiver__elsewhere")
    with pytest.raises(AttributeError):
        take_over(RTCRtpReceiver("audio", NoTransport()), lambda samples: None, 16_000)  # type: ignore[arg-type]


async def test_each_packet_is_heard_as_it_comes_in_and_aiortc_gets_none() -> None:
    one = RTCRtpReceiver("audio", NoTransport())  # type: ignore[arg-type]
    heard: list[int] = []
    take_over(one, lambda samples: heard.append(len(samples)), 16_000)
    encoder = Encoder(24_000)
    payload = encoder.encode(np.full(480, 1000, np.int16))
    buffer = getattr(one, JITTER_BUFFER)
    for number in (1, 2, 4, 5):
        assert buffer.add(rtp(number, payload)) == (False, None)
    assert len(heard) == 5, "one of them stands in for the packet that is missing"


async def test_aiortc_still_feeds_it() -> None:
    """Over a real connection: what one side says is heard by the tap of the other, in both directions."""
    import aiohttp

    async with serving() as served, aiohttp.ClientSession() as http:
        browser = Browser(served.url, keep_sound=True)
        await browser.call(http)
        await browser.ear.onset(0.0)  # the agent's greeting
        await browser.until("agent_turn")
        guest = next(iter(served.house._guests.values()))
        pushed: list[float] = []
        loud = asyncio.Event()
        push = guest.caller.push

        def listen(samples: np.ndarray) -> None:
            pushed.append(loudness(samples))
            if pushed[-1] > 1000:
                loud.set()
            push(samples)

        guest.caller.push = listen  # type: ignore[method-assign]
        tone = (8000 * np.sin(np.arange(24_000) / 10)).astype(np.int16)
        await browser.microphone.say(tone)
        async with asyncio.timeout(10):
            await loud.wait()
        browser.send(type="hang_up")
        await browser.until("call_ended")
        await browser.aclose()
