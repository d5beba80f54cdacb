"""The model process's server, with a recogniser that breaks."""

from __future__ import annotations

import numpy as np
import pytest
from aiohttp import WSCloseCode, WSMsgType
from aiohttp.test_utils import TestClient, TestServer
from numpy.typing import NDArray

from story.providers.local import recognition, server
from story.providers.local.engines import Engines


class Broken:
    idle = True
    last_cost = 0.0

    async def transcribe(self, samples: NDArray[np.int16]) -> str:
        raise RuntimeError("the engine broke")


class Loud:
    def predict(self, window: NDArray[np.int16]) -> float:
        return 1.0


async def test_a_stream_whose_engine_breaks_is_closed_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(engines: Engines, name: str) -> Broken:
        return Broken()

    monkeypatch.setattr(Engines, "recogniser", broken)
    monkeypatch.setattr(recognition, "VAD", Loud)
    headers = {"Authorization": "Bearer secret"}
    async with TestClient(TestServer(server.application("secret"))) as client:
        async with client.ws_connect("/recognise/moonshine-tiny", headers=headers) as socket:
            await socket.send_bytes(bytes(32_000))
            await socket.send_str("end")
            assert (await socket.receive_json())["type"] == "started"
            closed = await socket.receive()
        assert (closed.type, closed.data) == (WSMsgType.CLOSE, WSCloseCode.INTERNAL_ERROR)
        assert closed.extra == "the engine broke"
