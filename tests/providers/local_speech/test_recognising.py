"""Recorded callers through the recogniser, as livekit would feed it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from livekit.agents import APIConnectOptions, APIError, stt
from recorded_callers import misheard, recording

from story.providers.local import process
from story.providers.local.stt import LocalSTT

pytestmark = pytest.mark.weights("moonshine-tiny-en")

Kind = stt.SpeechEventType


async def listen(recogniser: LocalSTT, *names: str) -> list[stt.SpeechEvent]:
    async with recogniser.stream() as stream:
        for name in names:
            for frame in recording(name):
                stream.push_frame(frame)
                await asyncio.sleep(0)
        stream.end_input()
        return [event async for event in stream]


def finals(events: list[stt.SpeechEvent]) -> list[str]:
    return [event.alternatives[0].text for event in events if event.type is Kind.FINAL_TRANSCRIPT]


async def test_every_recorded_caller_is_understood(said: dict[str, str]) -> None:
    recogniser = LocalSTT()
    heard = {name: " ".join(finals(await listen(recogniser, name))) for name in said}
    errors = sum(misheard(text, heard[name]) for name, text in said.items())
    assert errors <= 0.05 * sum(len(text.split()) for text in said.values()), heard
    for name, text in said.items():
        for proper in ("Maria", "Lisbon", "John", "New York City", "Dublin", "Emma", "Olivia", "Toronto"):
            assert (proper in text) <= (proper in heard[name]), heard[name]


async def test_events_come_in_the_order_that_livekit_expects() -> None:
    events = await listen(LocalSTT(), "barge/turn1.wav")
    kinds = [event.type for event in events if event.type is not Kind.RECOGNITION_USAGE]
    assert kinds[0] is Kind.START_OF_SPEECH
    assert kinds[-1] is Kind.END_OF_SPEECH
    assert kinds[-2] is Kind.FINAL_TRANSCRIPT
    assert kinds[-3] is Kind.PREFLIGHT_TRANSCRIPT
    guess, final = (event.alternatives[0] for event in events if event.type in (kinds[-3], kinds[-2]))
    assert guess.text == final.text
    assert 0 <= final.start_time < final.end_time <= 2.9


async def test_partials_come_while_the_caller_still_speaks() -> None:
    """In real time, as a recogniser that is fed faster has better things to do."""
    async with LocalSTT().stream() as stream:
        frames = recording("barge/turn1.wav")
        pushed = 0

        async def speak() -> None:
            nonlocal pushed
            for frame in frames:
                stream.push_frame(frame)
                pushed += 1
                await asyncio.sleep(frame.duration)

        speaking = asyncio.create_task(speak())
        async for event in stream:
            if event.type is Kind.INTERIM_TRANSCRIPT:
                break
        assert "name" in event.alternatives[0].text or "My" in event.alternatives[0].text
        assert pushed < len(frames) - 50  # the last second is silence
        speaking.cancel()


async def test_all_sound_is_accounted_for() -> None:
    events = await listen(LocalSTT(), "john/turn1.wav", "john/turn2.wav")
    heard = sum(event.recognition_usage.audio_duration for event in events if event.recognition_usage)
    sent = sum(frame.duration for name in ("john/turn1.wav", "john/turn2.wav") for frame in recording(name))
    assert heard == pytest.approx(sent, abs=0.1)


async def test_each_final_holds_only_its_own_words() -> None:
    first, second = finals(await listen(LocalSTT(), "john/turn2.wav", "john/turn3.wav"))
    assert misheard("Sure, I'm John.", first) == 0
    assert misheard("I'm from New York City.", second) == 0


async def test_two_callers_at_once_do_not_mix() -> None:
    recogniser = LocalSTT()
    one, two = await asyncio.gather(listen(recogniser, "barge/turn1.wav"), listen(recogniser, "emma/turn2.wav"))
    assert misheard("My name is Olivia and I am from Toronto.", " ".join(finals(one))) <= 1
    assert misheard("Could there be a dragon in it?", " ".join(finals(two))) <= 1


async def test_coughs_say_nothing() -> None:
    assert finals(await listen(LocalSTT(), "ack/cough1.wav", "ack/cough2.wav", "ack/cough3.wav")) == []


async def test_flushing_ends_an_utterance_in_mid_air() -> None:
    async with LocalSTT().stream() as stream:
        for frame in recording("john/turn3.wav", silence=0):
            stream.push_frame(frame)
        stream.flush()
        async for event in stream:
            if event.type is Kind.FINAL_TRANSCRIPT:
                break
        assert misheard("I'm from New York City.", event.alternatives[0].text) == 0


async def test_a_recording_can_be_recognised_at_once() -> None:
    event = await LocalSTT().recognize(recording("barge/turn3.wav"))
    assert misheard("Yes, please continue.", event.alternatives[0].text) == 0


async def test_closing_in_mid_speech_leaves_nothing_running() -> None:
    before = asyncio.all_tasks()
    stream = LocalSTT().stream()
    for frame in recording("maria/turn1.wav"):
        stream.push_frame(frame)
    with suppress(TimeoutError):
        await asyncio.wait_for(anext(aiter(stream)), 20)
    await stream.aclose()
    assert asyncio.all_tasks() == before


async def test_a_lost_model_process_is_an_api_error_and_the_next_stream_works() -> None:
    recogniser = LocalSTT()
    once = APIConnectOptions(max_retry=0)
    stream = recogniser.stream(conn_options=once)
    stream.push_frame(recording("john/turn1.wav")[0])
    await recogniser.warm_up()
    await process.shutdown()
    with pytest.raises(APIError):
        async for _ in stream:
            stream.push_frame(recording("john/turn1.wav")[0])
    await stream.aclose()
    assert finals(await listen(recogniser, "john/turn4.wav"))
