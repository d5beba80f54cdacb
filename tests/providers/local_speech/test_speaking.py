"""The voice, as livekit would feed it: text in, sound out, and the recogniser hears the words in it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import APIError, tts
from recorded_callers import misheard

from story import ModelOptions, StoryError
from story.providers.local import build_stt, build_tts, process
from story.providers.local.stt import LocalSTT
from story.providers.local.tts import SAMPLE_RATE, LocalTTS

pytestmark = pytest.mark.weights("moonshine-tiny-en", "hibari")

STORY = "Once upon a time, there was a little boat. It sailed to the moon, and it came back home. Was it afraid?"


async def speak(voice: LocalTTS, *pieces: str) -> list[tts.SynthesizedAudio]:
    async with voice.stream() as stream:
        for piece in pieces:
            stream.push_text(piece)
        stream.end_input()
        return [audio async for audio in stream]


def joined(audio: list[tts.SynthesizedAudio]) -> rtc.AudioFrame:
    return rtc.combine_audio_frames([part.frame for part in audio])


async def test_the_recogniser_hears_what_the_voice_says() -> None:
    sound = joined(await speak(LocalTTS(), *(word + " " for word in STORY.split())))
    assert (sound.sample_rate, sound.num_channels) == (24_000, 1)
    heard = (await LocalSTT().recognize([sound])).alternatives[0].text
    assert misheard(STORY, heard) <= 1, heard


async def test_the_first_sentence_sounds_before_the_second_is_written() -> None:
    async with LocalTTS().stream() as stream:
        stream.push_text("Hello Maria, it is lovely to meet you. W")
        seconds, loudest = 0.0, 0
        while seconds < 1.0:
            frame = (await asyncio.wait_for(anext(aiter(stream)), 30)).frame
            seconds += frame.duration
            loudest = max(loudest, int(np.abs(np.frombuffer(frame.data, np.int16)).max()))
        assert loudest > 1000
        stream.push_text("here are you from?")
        stream.end_input()
        assert [audio.is_final async for audio in stream][-1]


async def test_words_come_without_a_silence_before_them() -> None:
    sound = np.frombuffer(joined(await speak(LocalTTS(), "Hello Maria.")).data, np.int16)
    assert np.nonzero(np.abs(sound) > 300)[0][0] < 0.1 * SAMPLE_RATE


@pytest.mark.parametrize("text", ["...", "—", "\U0001f600", "日本", "   "])
async def test_text_without_sound_neither_hangs_nor_fails(text: str) -> None:
    audio = await speak(LocalTTS(), text)
    assert sum(part.frame.duration for part in audio) < 0.5


async def test_numbers_and_marks_are_read_as_words() -> None:
    sound = joined(await speak(LocalTTS(), "Dr. Smith paid $3.50 for 42 apples."))
    heard = (await LocalSTT().recognize([sound])).alternatives[0].text.lower()
    assert "smith" in heard
    assert "42" in heard or "forty" in heard
    assert "apples" in heard


async def test_speed_changes_the_length() -> None:
    slow, fast = [joined(await speak(LocalTTS(speed=speed), STORY)).duration for speed in (0.8, 1.4)]
    assert slow > 1.3 * fast


async def test_closing_stops_the_voice() -> None:
    before = asyncio.all_tasks()
    stream = LocalTTS().stream()
    stream.push_text(STORY * 20)
    await asyncio.wait_for(anext(aiter(stream)), 30)
    await stream.aclose()
    assert asyncio.all_tasks() == before
    # The process is free at once for the next one.
    assert await asyncio.wait_for(speak(LocalTTS(), "Goodbye."), 30)


async def test_several_voices_at_once_are_all_heard() -> None:
    sounds = await asyncio.gather(*(speak(LocalTTS(), STORY) for _ in range(4)))
    assert len({round(joined(sound).duration, 2) for sound in sounds}) == 1


async def test_a_lost_model_process_is_an_api_error_and_the_next_sentence_works() -> None:
    voice = LocalTTS()
    await voice.warm_up()
    await process.shutdown()
    assert await speak(voice, "Here I am again.")


@pytest.mark.full
@pytest.mark.weights("kokoro", "moonshine-tiny-en")
async def test_kokoro_speaks_with_the_voice_that_is_asked_for() -> None:
    pytest.importorskip("kokoro_onnx")
    options = (ModelOptions(model="kokoro", voice=voice) for voice in ("am_echo", "bf_emma"))
    echo, emma = [joined(await speak(build_tts(option), STORY)) for option in options]
    assert echo.duration != emma.duration
    for sound in (echo, emma):
        assert misheard(STORY, (await LocalSTT().recognize([sound])).alternatives[0].text) <= 1


async def test_models_know_their_names() -> None:
    stt = build_stt(ModelOptions(model="moonshine-tiny", language="en-US"))
    voice = build_tts(ModelOptions(model="hibari", voice="heart", extra={"speed": 1.2}))
    assert (stt.model, stt.provider) == ("moonshine-tiny", "local")
    assert (voice.model, voice.provider) == ("hibari", "local")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ModelOptions(model="hibari", voice="am_echo"), "local/hibari has no voice 'am_echo'"),
        (ModelOptions(model="kokoro", voice="am_ecko"), "did you mean am_echo"),
        (ModelOptions(model="hibari", extra={"speed": 9.0}), "speed must lie between"),
        (ModelOptions(model="hibari", extra={"sped": 1.0}), "sped"),
    ],
)
def test_wrong_options_are_explained(options: ModelOptions, message: str) -> None:
    with pytest.raises(StoryError, match=message):
        build_tts(options)


def test_other_languages_are_refused() -> None:
    with pytest.raises(StoryError, match="English only, not 'de'"):
        build_stt(ModelOptions(model="moonshine-tiny", language="de"))


async def test_a_model_that_cannot_be_loaded_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    voice = LocalTTS(model="nonsense")
    with pytest.raises(StoryError, match="unknown on-device engine 'nonsense'"):
        await voice.warm_up()
    with pytest.raises(APIError, match="unknown on-device engine 'nonsense'"):
        await speak(voice, "Hello.")
