"""Every message of Deepgram's protocols, field by field, as its own SDK types them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import pydantic
import pytest
from conftest import SaidEars, silence, speech
from deepgram.listen.v1 import types as listen
from deepgram.listen.v2 import types as flux
from deepgram.speak.v1 import types as speak
from deepgram.speak.v2 import types as flux_speak
from deepgram.types import ListenV1Response
from wire import Told, checked, converse

from story.emulator.deepgram import DEEPGRAM
from story.emulator.server import Emulator
from story.emulator.tones import seconds_of

KEY = {"Authorization": "Token k"}
LINE = "What is the weather in Paris?"
TEXT = "Once upon a time there was a little boat."
LISTEN = "/v1/listen?model=nova-3&encoding=linear16&sample_rate=16000"
FLUX = "/v2/listen?model=flux-general-en&encoding=linear16&sample_rate=16000"
VOICE = "/v2/speak?model=flux-alexis-en"
Kinds = dict[str, type[pydantic.BaseModel]]

LISTEN_KINDS: Kinds = {
    "Results": listen.ListenV1Results,
    "SpeechStarted": listen.ListenV1SpeechStarted,
    "UtteranceEnd": listen.ListenV1UtteranceEnd,
    "Metadata": listen.ListenV1Metadata,
    "ConfigureSuccess": listen.ListenV1ConfigureSuccess,
    "ConfigureFailure": listen.ListenV1ConfigureFailure,
    "Error": listen.ListenV1Error,
}
FLUX_KINDS: Kinds = {
    "Connected": flux.ListenV2Connected,
    "TurnInfo": flux.ListenV2TurnInfo,
    "ConfigureSuccess": flux.ListenV2ConfigureSuccess,
    "ConfigureFailure": flux.ListenV2ConfigureFailure,
    "Error": flux.ListenV2FatalError,
}
SPEAK_KINDS: Kinds = {
    "Metadata": speak.SpeakV1Metadata,
    "Flushed": speak.SpeakV1Flushed,
    "Cleared": speak.SpeakV1Cleared,
}
FLUX_SPEAK_KINDS: Kinds = {
    "Connected": flux_speak.SpeakV2Connected,
    "SpeechStarted": flux_speak.SpeakV2SpeechStarted,
    "SpeechMetadata": flux_speak.SpeakV2SpeechMetadata,
    "Flushed": flux_speak.SpeakV2Flushed,
    "SpeechInterrupted": flux_speak.SpeakV2SpeechInterrupted,
    "ConfigureSuccess": flux_speak.SpeakV2ConfigureSuccess,
    "ConfigureFailure": flux_speak.SpeakV2ConfigureFailure,
    "SessionMetadata": flux_speak.SpeakV2SessionMetadata,
    "Warning": flux_speak.SpeakV2Warning,
    "Error": flux_speak.SpeakV2Error,
}
ALSO = frozenset({"models", "model_info", "request_id"})
"""The SDK leaves them out; the API reference has them in Metadata and in Flux's errors."""


@pytest.fixture
async def server(emulator: Callable) -> Emulator:
    return await emulator(DEEPGRAM, ears=SaidEars(LINE, "And in Rome?"))


def all_checked(kinds: Kinds, told: Told) -> list[str]:
    """The types of the messages, of which each is as the SDK has it."""
    for message in told:
        checked(kinds[str(message["type"])], message, also=ALSO)
    return [str(message["type"]) for message in told]


async def test_listen(server: Emulator) -> None:
    query = "&vad_events=true&interim_results=true&utterance_end_ms=1000&punctuate=true&language=multi"
    sent = [
        {"type": "KeepAlive"},
        speech(2.0) + silence(1.5),
        {"type": "Configure", "keyterms": ["Paris"]},
        speech(1.0),
        {"type": "Finalize"},
        {"type": "Finalize"},
        {"type": "CloseStream"},
    ]
    told, code = await converse(server.url + LISTEN + query, KEY, sent)
    kinds = all_checked(LISTEN_KINDS, told)
    assert code == 1000 and set(kinds) == set(LISTEN_KINDS) - {"ConfigureFailure", "Error"}
    assert kinds[0] == "SpeechStarted" and kinds[-1] == "Metadata"
    assert kinds.index("UtteranceEnd") < len(kinds) - 1 - kinds[::-1].index("SpeechStarted")
    results = [message for message in told if message["type"] == "Results"]
    finals = [
        (r["channel"]["alternatives"][0]["transcript"], r["speech_final"], r["from_finalize"])
        for r in results
        if r["is_final"]
    ]
    assert finals == [(LINE, True, False), ("And in Rome?", True, True), ("", False, True)]
    assert next(m for m in told if m["type"] == "UtteranceEnd")["last_word_end"] == pytest.approx(1.8)
    assert len({r["metadata"]["request_id"] for r in results} | {told[-1]["request_id"]}) == 1


async def test_listen_without_endpointing_tells_no_end_of_speech_but_of_the_words(server: Emulator) -> None:
    url = f"{server.url}{LISTEN}&endpointing=false&utterance_end_ms=1000&interim_results=true"
    told, _ = await converse(url, KEY, [speech(2.0) + silence(1.5), {"type": "CloseStream"}])
    results = [message for message in told if message["type"] == "Results"]
    assert results[-1]["is_final"] and not any(result["speech_final"] for result in results)
    assert "UtteranceEnd" in all_checked(LISTEN_KINDS, told)


@pytest.mark.parametrize("sent", ["{", '{"type":"Nonsense"}', '{"type":"Configure","keyterms":3}'])
async def test_listen_says_which_message_it_could_not_read(server: Emulator, sent: str) -> None:
    told, code = await converse(server.url + LISTEN, KEY, [sent])
    assert all_checked(LISTEN_KINDS, told) == ["Error"] and code == 1008
    assert told[0]["variant"] == "SchemaError" and told[0]["message"] == sent


async def test_keyterms_are_for_nova_3(server: Emulator) -> None:
    url = server.url + LISTEN.replace("nova-3", "nova-2")
    told, _ = await converse(url, KEY, [{"type": "Configure", "keyterms": ["Paris"]}, {"type": "CloseStream"}])
    assert all_checked(LISTEN_KINDS, told) == ["ConfigureFailure", "Metadata"]
    assert told[0]["code"] == "CONFIGURE_KEYTERMS_NOT_SUPPORTED"


async def test_prerecorded(server: Emulator) -> None:
    url = f"{server.url}{LISTEN}&detect_language=true"
    async with aiohttp.ClientSession(headers=KEY) as session, session.post(url, data=speech(2.0)) as response:
        told = await response.json()
        assert told["metadata"]["request_id"] == response.headers["dg-request-id"]
    checked(ListenV1Response, told, also=frozenset({"language_confidence"}))
    assert told["results"]["channels"][0]["alternatives"][0]["transcript"] == LINE.lower().rstrip("?")


@pytest.mark.parametrize("model", ["flux-general-en", "flux-general-multi"])
async def test_flux(server: Emulator, model: str) -> None:
    url = (
        server.url + FLUX.replace("flux-general-en", model) + "&eager_eot_threshold=0.4&language_hint=en&keyterm=Paris"
    )
    sent = [
        speech(2.0) + silence(0.3) + speech(0.3) + silence(0.6),
        {"type": "Configure", "thresholds": {"eot_threshold": 0.8}, "keyterms": ["Rome", "Paris"]},
        {"type": "Configure", "thresholds": {"eot_threshold": "x"}},
        {"type": "Configure", "thresholds": {"eot_threshold": 0.5, "eager_eot_threshold": 0.6}},
        speech(1.0),
        {"type": "ForceEndTurn"},
        {"type": "CloseStream"},
    ]
    told, code = await converse(url, KEY, sent)
    all_checked(FLUX_KINDS, told)
    assert code == 1000 and [message["sequence_id"] for message in told] == list(range(len(told)))
    events = [str(message.get("event", message["type"])) for message in told if message.get("event") != "Update"]
    configured = ["ConfigureSuccess", "ConfigureFailure", "ConfigureFailure"]
    turn = ["StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn", "EndOfTurn"]
    assert events == ["Connected", *turn, *configured, "StartOfTurn", "EndOfTurn"]
    ends = [message for message in told if message.get("event") == "EndOfTurn"]
    assert [(end["trigger"], end["turn_index"]) for end in ends] == [("model", 0), ("manual", 1)]
    assert [message for message in told if "trigger" in message] == ends
    success = next(message for message in told if message["type"] == "ConfigureSuccess")
    assert success["thresholds"] == {"eot_threshold": 0.8, "eager_eot_threshold": 0.4, "eot_timeout_ms": 5000}
    assert success["keyterms"] == ["Rome", "Paris"]
    assert ("language_hints" in success) == ("languages" in ends[0]) == (model == "flux-general-multi")


async def test_flux_tells_errors(server: Emulator) -> None:
    told, code = await converse(server.url + FLUX, KEY, ["{"])
    assert all_checked(FLUX_KINDS, told) == ["Connected", "Error"] and code == 1008
    assert [message["sequence_id"] for message in told] == [0, 1]


async def test_speak(server: Emulator) -> None:
    url = f"{server.url}/v1/speak?model=aura-2-thalia-en&encoding=linear16&sample_rate=24000"
    said = {"type": "Speak", "text": TEXT}
    told, code = await converse(url, KEY, [said, {"type": "Flush"}, {"type": "Clear"}, {"type": "Close"}])
    kinds = all_checked(SPEAK_KINDS, told)
    assert code == 1000 and kinds[0] == "Metadata" and kinds[-1] == "Cleared"
    told, _ = await converse(url, KEY, [said, {"type": "Flush"}], until="Flushed")
    assert all_checked(SPEAK_KINDS, told) == ["Metadata", "Flushed"]


async def test_flux_speak(server: Emulator) -> None:
    sent = [
        {"type": "Interrupt"},
        {"type": "Flush"},
        {"type": "Speak", "text": " ... "},
        {"type": "Flush"},
        {"type": "Configure", "speed": 1.25},
        {"type": "Configure", "speed": 2.0},
        {"type": "Configure", "speed": 1.01},
        {"type": "Speak", "text": TEXT},
        {"type": "Flush"},
    ]
    url = f"{server.url}{VOICE}&encoding=linear16&sample_rate=24000"
    told, _ = await converse(url, KEY, sent[:4], until="Flushed")
    kinds = all_checked(FLUX_SPEAK_KINDS, told)
    empty = ["Warning", "Warning", "SpeechStarted", "Warning", "SpeechMetadata", "Flushed"]
    assert kinds == ["Connected", *empty]
    warnings = [message["code"] for message in told if message["type"] == "Warning"]
    assert warnings == ["NO_AUDIO_GENERATED", "NO_ACTIVE_SPEECH", "NO_SYNTHESIZABLE_TEXT"]
    assert told[-2]["audio_duration_ms"] == 0 and str(told[-1]["speech_id"]).startswith("dg_sp_")
    told, _ = await converse(url, KEY, sent[4:], until="Flushed")
    kinds = all_checked(FLUX_SPEAK_KINDS, told)
    assert kinds[:4] == ["Connected", "ConfigureSuccess", "ConfigureFailure", "ConfigureFailure"]
    assert [message["code"] for message in told[2:4]] == ["SPEED_OUT_OF_RANGE", "SPEED_INCREMENT_INVALID"]
    assert told[-2]["audio_duration_ms"] == pytest.approx(seconds_of(TEXT) * 800, abs=60)


async def test_flux_speak_is_interrupted_no_earlier_than_before(server: Emulator) -> None:
    half = round(seconds_of(TEXT) * 500)
    told: Told = []
    url = server.url + VOICE
    async with asyncio.timeout(10), aiohttp.ClientSession(headers=KEY) as session, session.ws_connect(url) as ws:
        await ws.send_json({"type": "Speak", "text": TEXT})
        await ws.send_json({"type": "Flush"})
        while not told or told[-1]["type"] != "Flushed":
            frame = await ws.receive()
            told += [frame.json()] if frame.type is aiohttp.WSMsgType.TEXT else []
        for _ in range(2):
            await ws.send_json({"type": "Interrupt", "playback_offset": {"type": "time_ms", "value": half}})
            told.append(await ws.receive_json())
        await ws.send_json({"type": "Close"})
        told.append(await ws.receive_json())
    assert all_checked(FLUX_SPEAK_KINDS, told)[-3:] == ["SpeechInterrupted", "Warning", "SessionMetadata"]
    assert told[-2]["code"] == "INVALID_INTERRUPT_OFFSET"


async def test_flux_speak_tells_errors(server: Emulator) -> None:
    told, code = await converse(server.url + VOICE, KEY, ["{"])
    assert all_checked(FLUX_SPEAK_KINDS, told) == ["Connected", "Error"] and code == 1008
