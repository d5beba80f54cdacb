"""What Deepgram refuses before the handshake, and that it takes what it does not know."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import aiohttp
import pytest
from conftest import SaidEars, silence, speech
from deepgram import AsyncDeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment
from livekit.agents import APIConnectOptions, APIStatusError
from livekit.agents.utils import http_context
from livekit.plugins import deepgram
from wire import converse

from story.emulator.audio import Format, encode
from story.emulator.deepgram import DEEPGRAM
from story.emulator.server import Emulator
from story.providers import deepgram_models as names

KEY = {"Authorization": "Token k"}
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
}
SOUND = "encoding=linear16&sample_rate=16000"
FLUX = f"/v2/listen?model=flux-general-en&{SOUND}"
QUERY, FORMAT = "INVALID_QUERY_PARAMETER", "UNSUPPORTED_AUDIO_FORMAT"


@pytest.fixture
async def server(emulator: Callable) -> Emulator:
    return await emulator(DEEPGRAM, ears=SaidEars("What is the weather in Paris?"))


async def refusal(server: Emulator, method: str, path: str, **asked: object) -> tuple[int, Mapping[str, str], dict]:
    url = server.url + path
    async with aiohttp.ClientSession(headers=KEY) as session, session.request(method, url, **asked) as response:
        return response.status, response.headers, json.loads(await response.text())


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/v1/listen?model=nova-99x!&{SOUND}", "Bad Request"),
        (f"/v1/listen?model=flux-general-en&{SOUND}", "Bad Request"),
        ("/v1/listen?model=nova-3&encoding=linear16", QUERY),
        ("/v1/listen?model=nova-3&encoding=nonsense&sample_rate=16000", QUERY),
        ("/v1/listen?model=nova-3&encoding=linear16&sample_rate=many", QUERY),
        ("/v1/listen?model=nova-3&encoding=linear16&sample_rate=0", QUERY),
        ("/v1/listen?model=nova-3&encoding=linear16&sample_rate=inf", QUERY),
        (f"/v1/listen?model=nova-3&{SOUND}&endpointing=soon", QUERY),
        (f"/v1/listen?model=nova-3&{SOUND}&utterance_end_ms=-1", QUERY),
        (f"/v1/listen?model=nova-3&{SOUND}&channels=2", QUERY),
        (f"/v2/listen?{SOUND}", "Bad Request"),
        (f"/v2/listen?model=nova-3&{SOUND}", "Bad Request"),
        (f"{FLUX}&eot_threshold=0.2", QUERY),
        (f"{FLUX}&eager_eot_threshold=0.8", QUERY),
        (f"{FLUX}&eot_timeout_ms=1.5", QUERY),
        ("/v1/speak?model=bark", QUERY),
        ("/v1/speak?model=flux-alexis-en", QUERY),
        ("/v1/speak?encoding=mp3", FORMAT),
        ("/v1/speak?encoding=linear16&sample_rate=22050", FORMAT),
        ("/v1/speak?encoding=linear16&sample_rate=x", QUERY),
        ("/v2/speak", QUERY),
        ("/v2/speak?model=aura-2-thalia-en", QUERY),
        ("/v2/speak?model=flux-alexis-en&speed=3", "SPEED_OUT_OF_RANGE"),
        ("/v2/speak?model=flux-alexis-en&speed=1.01", "SPEED_INCREMENT_INVALID"),
        ("/v2/speak?model=flux-alexis-en&expressivity=9", QUERY),
    ],
)
async def test_before_the_handshake(server: Emulator, path: str, code: str) -> None:
    status, headers, body = await refusal(server, "GET", path, headers=UPGRADE)
    assert status == 400 and body["err_code"] == code and body["err_msg"]
    assert headers["dg-request-id"] == body["request_id"] and json.loads(headers["dg-error"]) == body
    assert not server.connections


@pytest.mark.parametrize(
    "path", ["/v1/speak?model=bark", "/v2/speak?model=aura-2-thalia-en", "/v1/listen?model=bark", "/v2/speak"]
)
async def test_requests(server: Emulator, path: str) -> None:
    status, headers, body = await refusal(server, "POST", path, json={"text": "Hello."})
    assert status == 400 and json.loads(headers["dg-error"]) == body


async def test_a_key_that_is_none(server: Emulator) -> None:
    status, headers, body = await refusal(server, "GET", FLUX, headers={**UPGRADE, "Authorization": ""})
    assert status == 401 and body["err_code"] == "INVALID_AUTH" and json.loads(headers["dg-error"]) == body


async def test_its_client_is_told(server: Emulator) -> None:
    socket = server.url.replace("http", "ws")
    places = {"base": server.url, "production": socket, "agent": socket, "agent_rest": server.url}
    client = AsyncDeepgramClient(api_key="k", environment=DeepgramClientEnvironment(**places))
    with pytest.raises(ApiError) as refused:
        async with client.listen.v1.connect(model="bark"):
            pass
    assert refused.value.status_code == 400


async def test_livekit_s_plugin_is_told(server: Emulator) -> None:
    async with http_context.open():
        recogniser = deepgram.STT(model="bark", base_url=f"{server.url}/v1/listen", api_key="k")
        stream = recogniser.stream(conn_options=APIConnectOptions(max_retry=0))
        with pytest.raises(APIStatusError) as refused:
            async for _ in stream:
                pass
        assert refused.value.status_code == 400
        await stream.aclose()
        await recogniser.aclose()


@pytest.mark.parametrize(
    ("path", "closing"),
    [
        *((f"/v1/listen?model={model}&{SOUND}", "CloseStream") for model in (*names.NOVA, "nova-2", "base-general")),
        *((f"/v2/listen?model={model}&{SOUND}", "CloseStream") for model in names.FLUX),
        *((f"/v1/speak?model=aura-2-{voice}-en", "Close") for voice in names.AURA_2_VOICES[:3]),
        ("/v1/speak", "Close"),
        ("/v1/listen", "CloseStream"),
        ("/v1/listen?model=c0d1a568-ce81-4fea-97e7-bd45cb1fdf3c&encoding=mulaw&sample_rate=8000", "CloseStream"),
        (f"/v1/listen?model=nova-3&{SOUND}&multichannel=true&diarize=%00&keyterm=%F0%9F%98%80&keyterm=", "CloseStream"),
        (f"/v1/listen?{SOUND}&language=tlh&nonsense&=&nonsense=2", "CloseStream"),
        (f"{FLUX}&language_hint=xx&nonsense=1&tag=a&tag=b", "CloseStream"),
        ("/v2/speak?model=flux-alexis-en&nonsense=1", "Close"),
    ],
)
async def test_what_it_takes(server: Emulator, path: str, closing: str) -> None:
    _, code = await converse(server.url + path, KEY, [{"type": closing}])
    assert code == 1000


async def test_the_handshake_has_the_id_of_the_request(server: Emulator) -> None:
    async with aiohttp.ClientSession(headers=KEY) as session, session.ws_connect(server.url + FLUX) as ws:
        assert (await ws.receive_json())["request_id"] == ws._response.headers["dg-request-id"]


@pytest.mark.parametrize(("encoding", "size"), [("linear16", 2), ("mulaw", 1)])
async def test_sound_is_heard_wherever_messages_cut_it(server: Emulator, encoding: str, size: int) -> None:
    pcm = speech(2.0) + silence(0.5)
    data = pcm if size == 2 else encode(pcm, 16_000, Format("mulaw", 16_000))
    url = f"{server.url}/v1/listen?model=nova-3&encoding={encoding}&sample_rate=16000&punctuate=true"
    sent = [*(data[at : at + 333] for at in range(0, len(data), 333)), {"type": "CloseStream"}]
    told, code = await converse(url, KEY, sent)
    assert code == 1000 and told[0]["channel"]["alternatives"][0]["transcript"] == "What is the weather in Paris?"
    assert told[-1]["duration"] == pytest.approx(2.5)
