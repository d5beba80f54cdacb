"""Text to speech on this machine: livekit's TTS over the model process."""

from __future__ import annotations

import asyncio

import aiohttp
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    APIConnectionError,
    APIConnectOptions,
    APIError,
    APITimeoutError,
    tts,
    utils,
)

from story.core.errors import StoryError
from story.providers.local import process
from story.providers.local.clauses import Clauses

SAMPLE_RATE = 24_000
_TIMEOUT = 30.0
"""Seconds for one clause: with Kokoro and several calls on two cores the queue is long."""
_SLOW = ("kokoro",)
_SILENCE = bytes(2 * SAMPLE_RATE // 50)


class LocalTTS(tts.TTS[str]):
    """Speaks sentence by sentence while the text is still being written; 24 kHz mono."""

    def __init__(self, *, model: str = "hibari", voice: str | None = None, speed: float = 1.0) -> None:
        """voice: one of the model's, None for its default. speed: 0.5 to 2, 1 is natural."""
        super().__init__(capabilities=tts.TTSCapabilities(streaming=True), sample_rate=SAMPLE_RATE, num_channels=1)
        if not 0.5 <= speed <= 2.0:
            raise ValueError(f"speed must lie between 0.5 and 2, not {speed}")
        self._model = model
        self._voice = voice
        self._speed = speed

    @property
    def model(self) -> str:
        return self._model

    @property
    def provider(self) -> str:
        return "local"

    async def warm_up(self) -> None:
        """Return once the synthesiser is loaded and has spoken. Raises StoryError."""
        await process.connect(self._model)

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return self._synthesize_with_stream(text, conn_options=conn_options)

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> LocalSynthesizeStream:
        return LocalSynthesizeStream(self, conn_options, voice=self._voice, speed=self._speed)


class LocalSynthesizeStream(tts.SynthesizeStream):
    """One request to the model process a clause, in order; closing the stream drops the rest."""

    def __init__(self, parent: LocalTTS, conn_options: APIConnectOptions, *, voice: str | None, speed: float) -> None:
        super().__init__(tts=parent, conn_options=conn_options)
        self._engine = parent.model
        self._voice = voice
        self._speed = speed

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        request_id = utils.shortuuid()
        output_emitter.initialize(
            request_id=request_id, sample_rate=SAMPLE_RATE, num_channels=1, mime_type="audio/pcm", stream=True
        )
        output_emitter.start_segment(segment_id=request_id)
        clauses: asyncio.Queue[str | None] = asyncio.Queue()
        reading = asyncio.create_task(self._read(clauses), name="local-tts-read")
        try:
            await self._speak(clauses, output_emitter)
        except TimeoutError:
            raise APITimeoutError(f"{self._engine} did not speak within {_TIMEOUT:.0f} s") from None
        except aiohttp.ClientError as error:
            raise APIConnectionError(f"the on-device voice is unreachable: {error}") from error
        except StoryError as error:
            raise APIError(str(error), retryable=False) from error
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        output_emitter.end_segment()

    async def _read(self, clauses: asyncio.Queue[str | None]) -> None:
        cut = Clauses(eager=self._engine in _SLOW)
        async for text in self._input_ch:
            ready = cut.push(text) if isinstance(text, str) else cut.finish()
            for clause in ready:
                clauses.put_nowait(clause)
        for clause in cut.finish():
            clauses.put_nowait(clause)
        clauses.put_nowait(None)

    async def _speak(self, clauses: asyncio.Queue[str | None], output: tts.AudioEmitter) -> None:
        server = await process.connect(self._engine)
        url = f"{server.url}/synthesise/{self._engine}"
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
        wanted, sounded = False, False
        async with aiohttp.ClientSession(headers=server.headers, timeout=timeout) as session:
            while (clause := await clauses.get()) is not None:
                self._mark_started()
                wanted = True
                body = {"text": clause, "voice": self._voice, "speed": self._speed}
                async with session.post(url, json=body) as response:
                    if response.status != 200:
                        raise APIError(f"{self._engine} can't say this: {await _reason(response)}", retryable=False)
                    sound = await response.read()
                if sound:
                    sounded = True
                    output.push(sound)
                    output.flush()
        if wanted and not sounded:
            output.push(_SILENCE)  # livekit takes text without any sound ("...") for a failure


async def _reason(response: aiohttp.ClientResponse) -> str:
    if response.content_type == "application/json":
        return str((await response.json()).get("error", response.reason))
    return str(response.reason)
