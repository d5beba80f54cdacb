"""TOML values become what the installed livekit plugins' constructors take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from livekit.agents import tokenize
from livekit.plugins import cartesia, deepgram, elevenlabs, openai, silero

from story import ModelOptions
from story.core.construct import construct
from story.core.errors import StackError

realtime, responses = openai.realtime.RealtimeModel, openai.responses.LLM


def made(constructor: Callable[..., Any], **extra: object) -> Any:
    options = ModelOptions(model="some-model", api_key="dummy", extra=extra)
    return construct(constructor, options, "acme llm", voice=None, language=None)


def options_of(constructor: Callable[..., Any], **extra: object) -> Any:
    return made(constructor, **extra)._opts


@pytest.mark.parametrize("constructor, option, value", [
    (openai.LLM, "temperature", 0.5),
    (openai.LLM, "temperature", 1),
    (openai.LLM, "metadata", {"call": "7"}),
    (openai.LLM, "tool_choice", {"type": "function", "function": {"name": "finish"}}),
    (openai.LLM, "prompt_cache_options", {"mode": "explicit"}),
    (openai.LLM, "reasoning_effort", "low"),
    (openai.TTS, "instructions", "Whisper."),
    (openai.STT, "prompt", "A story."),
    (realtime, "modalities", ["text"]),
    (realtime, "speed", 1.2),
    (realtime, "max_session_duration", 60),
    (deepgram.STT, "endpointing_ms", 10),
    (deepgram.STT, "replace", {"a": "b"}),
    (deepgram.STTv2, "eot_threshold", 0.8),
    (deepgram.TTS, "speed", 1.1),
    (cartesia.TTS, "emotion", ["happy"]),
    (elevenlabs.TTS, "chunk_length_schedule", [80, 120]),
    (elevenlabs.STT, "no_verbatim", True),
])  # fmt: skip
def test_plain_values_reach_the_object(constructor: Callable[..., Any], option: str, value: object) -> None:
    assert getattr(options_of(constructor, **{option: value}), option) == value


def test_tables_become_what_the_plugin_takes() -> None:
    vad = options_of(realtime, turn_detection={"type": "semantic_vad", "eagerness": "low"}).turn_detection
    assert (type(vad).__name__, vad.eagerness) == ("SemanticVad", "low")
    vad = options_of(realtime, turn_detection={"type": "server_vad", "threshold": 0.6}).turn_detection
    assert (type(vad).__name__, vad.threshold) == ("ServerVad", 0.6)
    heard = options_of(realtime, input_audio_transcription={"model": "whisper-1"}).input_audio_transcription
    assert heard.model == "whisper-1"
    assert options_of(realtime, conn_options={"timeout": 3}).conn_options.timeout == 3
    assert options_of(responses, reasoning={"effort": "low"}).reasoning.effort == "low"
    voice = options_of(elevenlabs.TTS, voice_settings={"stability": 0.5, "similarity_boost": 0.7}).voice_settings
    assert (type(voice).__name__, voice.stability) == ("VoiceSettings", 0.5)
    locator = {"pronunciation_dictionary_id": "a", "version_id": "b"}
    found = options_of(elevenlabs.TTS, pronunciation_dictionary_locators=[locator]).pronunciation_dictionary_locators
    assert [type(item).__name__ for item in found] == ["PronunciationDictionaryLocator"]
    tokenizer = options_of(elevenlabs.TTS, word_tokenizer={"min_sentence_len": 3}).word_tokenizer
    assert isinstance(tokenizer, tokenize.basic.SentenceTokenizer)
    assert options_of(deepgram.STT, keywords=[["Maria", 1.5]]).keywords == [("Maria", 1.5)]
    assert made(openai.LLM, timeout=5)._client._client.timeout.read == 5


def test_false_stands_for_none() -> None:
    assert options_of(realtime, turn_detection=False).turn_detection is None
    assert options_of(realtime, input_audio_transcription=False).input_audio_transcription is None
    assert options_of(openai.LLM, parallel_tool_calls=False).parallel_tool_calls is False


def test_a_class_method_is_a_constructor_too() -> None:
    options = ModelOptions(model="silero", extra={"min_silence_duration": 0.3})
    vad = construct(silero.VAD.load, options, "silero vad", model=None, voice=None, language=None)
    assert vad._opts.min_silence_duration == 0.3


@pytest.mark.parametrize("constructor, extra, message", [
    (openai.LLM, {"temprature": 1}, " has no option 'temprature' (did you mean temperature?)"),
    (silero.VAD.load, {"zzz": 1}, " has no option 'zzz'; it takes min_speech_duration, min_silence_duration, "),
    (openai.LLM, {"temperature": "hot"}, ": temperature: should be a valid number"),
    (openai.LLM, {"parallel_tool_calls": "yes"}, ": parallel_tool_calls: should be a valid boolean"),
    (openai.LLM, {"prompt_cache_options": {"mde": 1}},
     ": prompt_cache_options has no option 'mde' (did you mean mode?)"),
    (responses, {"reasoning": {"efort": "low"}}, ": reasoning has no option 'efort' (did you mean effort?)"),
    (realtime, {"modalities": ["txt"]}, ": modalities: should be 'text' or 'audio'"),
    (realtime, {"http_session": {}}, ": http_session takes a live object, which a file can't hold"),
    (realtime, {"conn_options": {"timeut": 3}}, ": conn_options has no option 'timeut' (did you mean timeout?)"),
    (realtime, {"turn_detection": {"type": "semantic_vad", "eagerness": "much"}},
     ": turn_detection: eagerness should be 'low', 'medium', 'high' or 'auto'"),
    (elevenlabs.TTS, {"voice_settings": {"stabilty": 1}},
     ": voice_settings has no option 'stabilty' (did you mean stab"),
    (elevenlabs.STT, {"server_vad": {"vad_thresold": 1}},
     ": server_vad has no option 'vad_thresold' (did you mean vad_thr"),
    (elevenlabs.STT, {"sample_rate": 9}, ": sample_rate: should be 8000, 16000, "),
])  # fmt: skip
def test_mistakes_are_told_in_one_line(constructor: Callable[..., Any], extra: dict[str, object], message: str) -> None:
    model = None if constructor == silero.VAD.load else "model"
    with pytest.raises(StackError) as caught:
        options = ModelOptions(model="some-model", api_key="dummy" if model else None, extra=extra)
        construct(constructor, options, "acme llm", model=model, voice=None, language=None)
    assert str(caught.value).startswith(f"acme llm{message}")
    assert "\n" not in str(caught.value) and "dummy" not in str(caught.value)
