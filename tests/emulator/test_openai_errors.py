"""The errors that every one of OpenAI's endpoints may tell, in the shape that its own client reads."""

from __future__ import annotations

import json
from collections.abc import Callable

import aiohttp
import httpx2
import openai
import pytest

from story.core.plugins import load_plugins
from story.core.settings import Settings
from story.emulator.faults import Fault
from story.emulator.openai import OPENAI
from story.emulator.openai.models import NAMES
from story.emulator.server import Emulator

KEY = {"Authorization": "Bearer right"}
ASKED = [{"role": "user", "content": "hello"}]
POSTED = ["/v1/chat/completions", "/v1/responses", "/v1/audio/speech"]


@pytest.fixture
async def server(emulator: Callable) -> Emulator:
    return await emulator(OPENAI, keys=["right"])


def client_of(server: Emulator, key: str = "right") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=key, base_url=f"{server.url}/v1", max_retries=0)


async def test_a_wrong_key_is_told_without_being_shown(server: Emulator) -> None:
    async with client_of(server, "sk-wrong") as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            await client.models.list()
    error = refused.value
    assert (error.status_code, error.code, error.type) == (401, "invalid_api_key", "invalid_request_error")
    assert "Incorrect API key provided" in error.message and "sk-wrong" not in error.message
    assert error.request_id.startswith("req_")


async def test_no_key(server: Emulator) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/v1/models") as response:
        error = (await response.json())["error"]
    assert response.status == 401 and error["message"].startswith("You didn't provide an API key")
    assert error["code"] is None


async def test_a_browser_s_key_comes_in_a_subprotocol(server: Emulator) -> None:
    url = f"{server.url}/v1/realtime?model=gpt-realtime"
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url, protocols=["realtime", "openai-insecure-api-key.right"]) as ws:
            assert ws.protocol == "realtime" and (await ws.receive_json())["type"] == "session.created"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(url, protocols=["realtime", "openai-insecure-api-key.wrong"])
        assert refused.value.status == 401
    assert "right" not in json.dumps([entry for entry in server.emulation.journal.as_data() if entry["content"]])


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 9999, b'{"model": NaN}', b'{"model": "\\ud800"}', b'{"model": 1}'],
)
async def test_a_malformed_body(server: Emulator, path: str, body: bytes) -> None:
    async with aiohttp.ClientSession(headers=KEY) as session, session.post(server.url + path, data=body) as response:
        error = (await response.json())["error"]
    assert response.status == 400 and response.headers["x-request-id"].startswith("req_")
    assert error["type"] == "invalid_request_error" and set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", POSTED)
async def test_an_oversized_body(server: Emulator, path: str) -> None:
    async with (
        aiohttp.ClientSession(headers=KEY) as session,
        session.post(server.url + path, data=bytes(27 * 2**20)) as response,
    ):
        assert response.status == 413
        assert set((await response.json())["error"]) == {"message", "type", "param", "code"}


async def test_an_unknown_path(server: Emulator) -> None:
    async with client_of(server) as client:
        with pytest.raises(openai.NotFoundError) as refused:
            await client.get("/nothing", cast_to=object)
    assert refused.value.type == "invalid_request_error" and "/v1/nothing" in refused.value.message


@pytest.mark.parametrize(
    ("status", "kind", "code", "error"),
    [
        (429, "requests", "rate_limit_exceeded", openai.RateLimitError),
        (500, "server_error", None, openai.InternalServerError),
        (403, "invalid_request_error", None, openai.PermissionDeniedError),
        (401, "invalid_request_error", "invalid_api_key", openai.AuthenticationError),
    ],
)
async def test_a_status_on_demand(
    server: Emulator, status: int, kind: str, code: str | None, error: type[openai.APIStatusError]
) -> None:
    server.emulation.faults.faults = [Fault("openai", "chat", "status", str(status))]
    async with client_of(server) as client:
        with pytest.raises(error) as refused:
            await client.chat.completions.create(model="gpt-4o-mini", messages=[])
    assert refused.value.type == kind and (code is None or refused.value.code == code)


async def test_models(server: Emulator) -> None:
    async with client_of(server) as client:
        listed = [model async for model in client.models.list()]
        assert "gpt-4o-mini" in [model.id for model in listed]
        for model in listed:
            assert await client.models.retrieve(model.id) == model
        with pytest.raises(openai.NotFoundError, match="'gpt-9' does not exist") as refused:
            await client.models.retrieve("gpt-9")
        assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
        assert await client.get("/", cast_to=str)  # as livekit's plugin warms up its connection


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/completions", {"messages": ASKED}),
        ("/responses", {"input": "hello"}),
        ("/audio/speech", {"input": "hello", "voice": "echo"}),
    ],
)
async def test_a_model_may_be_newer_than_the_list_but_must_look_like_one(
    server: Emulator, path: str, body: dict[str, object]
) -> None:
    async with client_of(server) as client:
        for model in ("gpt-9", "ft:gpt-4o-mini-2024-07-18:acme::9ABC"):
            await client.post(path, body={"model": model, **body}, cast_to=httpx2.Response)
        for model in ("*", "", "my model", "-"):
            with pytest.raises(openai.NotFoundError) as refused:
                await client.post(path, body={"model": model, **body}, cast_to=object)
            assert (refused.value.code, refused.value.type) == ("model_not_found", "invalid_request_error")


async def test_a_transcription_s_model_must_look_like_one(server: Emulator) -> None:
    async with client_of(server) as client:
        with pytest.raises(openai.NotFoundError, match="`my model` does not exist"):
            await client.audio.transcriptions.create(model="my model", file=("x.wav", b""))


def test_it_lists_the_models_that_story_takes_by_default() -> None:
    registry = load_plugins(Settings()).registry
    factories = [registry.factory(role, "openai") for role in registry.roles("openai")]
    assert {factory.default_model for factory in factories if factory is not None} <= set(NAMES)
