"""Every message of Cartesia's protocols, field by field, as its own SDK types them."""

from __future__ import annotations

import json
from collections.abc import Callable

import aiohttp
import cartesia
import numpy as np
import pydantic
import pytest
from cartesia.types import Voice, tts_sse_event, websocket_response
from cartesia.types.stt import (
    stt_auto_finalize_connected,
    stt_auto_finalize_turn_eager_end,
    stt_auto_finalize_turn_end,
    stt_auto_finalize_turn_resume,
    stt_auto_finalize_turn_start,
    stt_auto_finalize_turn_update,
    stt_manual_finalize_done_response,
    stt_manual_finalize_flush_done_response,
    stt_manual_finalize_transcript_response,
)
from cartesia.types.stt_error_response import STTErrorResponse
from conftest import SaidEars, silence, speech
from wire import Told, checked, converse

from story.emulator.audio import Format, encode
from story.emulator.cartesia import CARTESIA
from story.emulator.server import Emulator
from story.emulator.tones import seconds_of

KEY = {"X-API-Key": "k"}
LINE = "What is the weather in Paris?"
TEXT = "Once upon a time there was a little boat."
RAW = {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000}
REQUEST = {"model_id": "sonic-3", "transcript": TEXT, "voice": {"mode": "id", "id": "f786"}, "output_format": RAW}
TIMED = {"add_timestamps": True, "add_phoneme_timestamps": True}
SOUND = "encoding=pcm_s16le&sample_rate=16000"
Kinds = dict[str, type[pydantic.BaseModel]]

TTS_KINDS: Kinds = {
    "chunk": websocket_response.Chunk,
    "flush_done": websocket_response.FlushDone,
    "done": websocket_response.Done,
    "timestamps": websocket_response.Timestamps,
    "phoneme_timestamps": websocket_response.PhonemeTimestamps,
    "error": websocket_response.Error,
}
SSE_KINDS: Kinds = {
    "chunk": tts_sse_event.TTSSSEChunkEvent,
    "timestamps": tts_sse_event.TTSSSETimestampsEvent,
    "phoneme_timestamps": tts_sse_event.TTSSSEPhonemeTimestampsEvent,
    "done": tts_sse_event.TTSSSEDoneEvent,
}
TURN_KINDS: Kinds = {
    "connected": stt_auto_finalize_connected.STTAutoFinalizeConnected,
    "turn.start": stt_auto_finalize_turn_start.STTAutoFinalizeTurnStart,
    "turn.update": stt_auto_finalize_turn_update.STTAutoFinalizeTurnUpdate,
    "turn.eager_end": stt_auto_finalize_turn_eager_end.STTAutoFinalizeTurnEagerEnd,
    "turn.resume": stt_auto_finalize_turn_resume.STTAutoFinalizeTurnResume,
    "turn.end": stt_auto_finalize_turn_end.STTAutoFinalizeTurnEnd,
    "error": STTErrorResponse,
}
MANUAL_KINDS: Kinds = {
    "transcript": stt_manual_finalize_transcript_response.STTManualFinalizeTranscriptResponse,
    "flush_done": stt_manual_finalize_flush_done_response.STTManualFinalizeFlushDoneResponse,
    "done": stt_manual_finalize_done_response.STTManualFinalizeDoneResponse,
    "error": STTErrorResponse,
}
ALSO = frozenset({"error", "code"})
"""Of errors, as older versions of the API have them."""


@pytest.fixture
async def server(emulator: Callable) -> Emulator:
    return await emulator(CARTESIA, ears=SaidEars(LINE, "And in Rome?"))


def all_checked(kinds: Kinds, told: Told) -> list[str]:
    """The types of the messages, of which each is as the SDK has it."""
    for message in told:
        # the SDK has words of a transcript in columns; the API reference and livekit's plugin have one object a word
        known = {k: v for k, v in message.items() if message["type"] != "transcript" or k != "words"}
        checked(kinds[str(message["type"])], known, also=ALSO)
    return [str(message["type"]) for message in told]


async def test_tts(server: Emulator) -> None:
    first = {**REQUEST, **TIMED, "context_id": "one", "continue": True, "flush": True}
    last = {**REQUEST, **TIMED, "context_id": "one"}
    told, _ = await converse(f"{server.url}/tts/websocket", KEY, [first, last], until="done")
    kinds = all_checked(TTS_KINDS, told)
    assert list(dict.fromkeys(kinds)) == ["chunk", "timestamps", "phoneme_timestamps", "flush_done", "done"]
    flushes = [message["flush_id"] for message in told if message["type"] == "timestamps"]
    assert flushes == [1, 2] and told[kinds.index("flush_done")]["flush_id"] == 1
    spelled = [message["phoneme_timestamps"] for message in told if message["type"] == "phoneme_timestamps"]
    assert "".join(spelled[0]["phonemes"]) == "".join(filter(str.isalpha, TEXT))
    assert spelled[1]["start"][0] == pytest.approx(seconds_of(TEXT), abs=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model_id": "bark"},
        {"model_id": None},
        {"voice": None},
        {"voice": 3},
        {"output_format": {**RAW, "sample_rate": 12345}},
        {"output_format": {**RAW, "container": "mp3"}},
        {"generation_config": {"speed": 9}},
        {"transcript": 3},
    ],
)
async def test_a_request_that_is_refused_ends_its_context_alone(server: Emulator, wrong: dict[str, object]) -> None:
    sent = [{**REQUEST, **wrong, "context_id": "one"}, {**REQUEST, "context_id": "two"}]
    told, _ = await converse(f"{server.url}/tts/websocket", KEY, sent, until="done")
    all_checked(TTS_KINDS, told)
    assert told[0]["type"] == "error" and told[0]["context_id"] == "one" and told[0]["done"] is True
    assert {message["context_id"] for message in told[1:]} == {"two"}


async def test_tts_events(server: Emulator) -> None:
    told: Told = []
    url, body = f"{server.url}/tts/sse", {**REQUEST, **TIMED}
    async with aiohttp.ClientSession(headers=KEY) as session, session.post(url, json=body) as response:
        for line in (await response.text()).splitlines():
            if line.startswith("data: "):
                told.append(json.loads(line.removeprefix("data: ")))
    assert list(dict.fromkeys(all_checked(SSE_KINDS, told))) == ["chunk", "timestamps", "phoneme_timestamps", "done"]


@pytest.mark.parametrize("voice", ["f786", {"id": "f786", "mode": "id"}])
async def test_speed(server: Emulator, voice: object) -> None:
    body = {**REQUEST, "voice": voice, "generation_config": {"speed": 1.25}}
    url = f"{server.url}/tts/bytes"
    async with aiohttp.ClientSession(headers=KEY) as session, session.post(url, json=body) as response:
        sound = await response.read()
    assert len(sound) / 48_000 == pytest.approx(seconds_of(TEXT) / 1.25, abs=0.06)


async def test_turns(server: Emulator) -> None:
    sent = [
        speech(2.0) + silence(0.3) + speech(0.3) + silence(0.6),
        {"type": "config", "turn": {"end_threshold": 0.1}},
        speech(1.0) + silence(0.7),
        {"type": "close"},
    ]
    told, code = await converse(f"{server.url}/stt/turns/websocket?model=ink-2&{SOUND}", KEY, sent)
    kinds = [kind for kind in all_checked(TURN_KINDS, told) if kind != "turn.update"]
    assert kinds[:6] == ["connected", "turn.start", "turn.eager_end", "turn.resume", "turn.eager_end", "turn.end"]
    assert kinds[6:] == ["turn.start", "turn.eager_end", "turn.end"] and code == 1000
    ends = [message["transcript"] for message in told if message["type"] == "turn.end"]
    assert "".join(ends) == f"{LINE} And in Rome?"


@pytest.mark.parametrize("turn", [{"end_threshold": 0.5}, {"end_threshold": "x"}, {"end_timeout_ms": 5}, 3])
async def test_thresholds_that_are_none(server: Emulator, turn: object) -> None:
    url = f"{server.url}/stt/turns/websocket?model=ink-2&{SOUND}"
    told, code = await converse(url, KEY, [{"type": "config", "turn": turn}])
    assert all_checked(TURN_KINDS, told) == ["connected", "error"] and code == 1008


async def test_finalised(server: Emulator) -> None:
    url = f"{server.url}/stt/websocket?model=ink-whisper&{SOUND}"
    told, code = await converse(url, KEY, [speech(2.0), "finalize", speech(1.0), "close"])
    assert all_checked(MANUAL_KINDS, told) == ["transcript", "flush_done", "transcript", "done"] and code == 1000
    assert "".join(str(message.get("text", "")) for message in told) == f"{LINE} And in Rome?"
    told, _ = await converse(url, KEY, ["nonsense"])
    assert all_checked(MANUAL_KINDS, told) == ["error"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        SOUND,
        f"model=bark&{SOUND}",
        "model=ink-2&encoding=opus&sample_rate=16000",
        "model=ink-2&encoding=pcm_s16le",
        "model=ink-2&encoding=pcm_s16le&sample_rate=12.5",
        "model=ink-2&encoding=pcm_s16le&sample_rate=nan",
    ],
)
@pytest.mark.parametrize("path", ["/stt/websocket", "/stt/turns/websocket"])
async def test_a_wrong_address_is_told_as_the_reference_shows_it(server: Emulator, path: str, query: str) -> None:
    told, code = await converse(f"{server.url}{path}?{query}", KEY, [])
    assert all_checked(TURN_KINDS, told) == ["error"] and told[0]["status_code"] == 400 and code == 1008
    if "bark" in query:
        assert (told[0]["title"], told[0]["error_code"]) == ("Invalid model", "model_not_found")


def coded(name: str) -> bytes:
    samples = np.frombuffer(speech(2.0), "<i2")
    if name in ("pcm_mulaw", "pcm_alaw"):
        return encode(samples.tobytes(), 16_000, Format("mulaw" if name == "pcm_mulaw" else "alaw", 16_000))
    if name == "pcm_s32le":
        return (samples.astype("<i4") << 16).tobytes()
    return (samples / 32768).astype("<f2" if name == "pcm_f16le" else "<f4").tobytes() if "_f" in name else speech(2.0)


@pytest.mark.parametrize("name", ["pcm_s16le", "pcm_s32le", "pcm_f16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"])
async def test_every_encoding_wherever_messages_cut_it(server: Emulator, name: str) -> None:
    data = coded(name)
    url = f"{server.url}/stt/websocket?model=ink-whisper&encoding={name}&sample_rate=16000"
    told, _ = await converse(url, KEY, [*(data[at : at + 1001] for at in range(0, len(data), 1001)), "close"])
    assert told[0]["text"] == LINE and told[0]["duration"] == pytest.approx(2.0, abs=0.02)


async def test_the_list_of_voices_ends(server: Emulator) -> None:
    client = cartesia.AsyncCartesia(api_key="k", base_url=server.url, max_retries=0)
    voices = [voice async for voice in client.voices.list()]
    assert [voice.name for voice in voices] == ["Katie"]
    async with aiohttp.ClientSession(headers=KEY) as session, session.get(f"{server.url}/voices") as response:
        checked(Voice, (await response.json())["data"][0], also=frozenset({"is_public"}))
