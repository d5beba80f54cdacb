"""Speech to text on this machine: livekit's STT over the model process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator

import aiohttp
from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectionError,
    APIConnectOptions,
    APIError,
    LanguageCode,
    NotGivenOr,
    stt,
)
from livekit.agents.utils import AudioBuffer

from story.core.errors import StoryError
from story.providers.local import process

SAMPLE_RATE = 16_000
_TYPES = {
    "partial": stt.SpeechEventType.INTERIM_TRANSCRIPT,
    "guess": stt.SpeechEventType.PREFLIGHT_TRANSCRIPT,
    "final": stt.SpeechEventType.FINAL_TRANSCRIPT,
}


class LocalSTT(stt.STT[str]):
    """Streams English speech to a recogniser of the model process; partial results come while the caller speaks."""

    def __init__(
        self, *, model: str = "moonshine-tiny", language: str = "en", end_silence: float = 0.256, guesses: bool = True
    ) -> None:
        """language: "en" or one of its regions.
        end_silence: seconds of silence that end an utterance. A longer pause inside a sentence splits it in two
        finals of one turn.
        guesses: tell the likely final (PREFLIGHT_TRANSCRIPT) halfway through that silence, so that a reply can begin.
        """
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self._model = model
        self._language = LanguageCode(language)
        self._end_silence = end_silence
        self._guesses = guesses

    @property
    def model(self) -> str:
        return self._model

    @property
    def provider(self) -> str:
        return "local"

    async def warm_up(self) -> None:
        """Return once the recogniser is loaded and has run. Raises StoryError."""
        await process.connect(self._model)

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> LocalRecognizeStream:
        return LocalRecognizeStream(
            self,
            conn_options,
            engine=self._model,
            language=self._language,
            end_silence=self._end_silence,
            guesses=self._guesses,
        )

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        words: list[str] = []
        once = APIConnectOptions(max_retry=0, timeout=conn_options.timeout)
        async with self.stream(conn_options=once) as stream:
            stream.push_frame(rtc.combine_audio_frames(buffer))
            stream.end_input()
            async for event in stream:
                if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                    words.append(event.alternatives[0].text)
        data = stt.SpeechData(language=self._language, text=" ".join(words))
        return stt.SpeechEvent(type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[data])


class LocalRecognizeStream(stt.RecognizeStream):
    """One WebSocket to the model process."""

    def __init__(
        self,
        parent: LocalSTT,
        conn_options: APIConnectOptions,
        *,
        engine: str,
        language: LanguageCode,
        end_silence: float,
        guesses: bool,
    ) -> None:
        super().__init__(stt=parent, conn_options=conn_options, sample_rate=SAMPLE_RATE)
        self._engine = engine
        self._language = language
        self._end_silence = end_silence
        self._guesses = guesses
        self._heard = 0.0

    async def _run(self) -> None:
        with _as_api_errors():
            server = await process.connect(self._engine)
            url = f"{server.url}/recognise/{self._engine}?end_silence={self._end_silence}"
            async with aiohttp.ClientSession() as session, session.ws_connect(url, headers=server.headers) as socket:
                sending = asyncio.create_task(self._send(socket), name="local-stt-send")
                try:
                    await self._receive(socket)
                finally:
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in self._input_ch:
            if isinstance(frame, rtc.AudioFrame):
                self._heard += frame.duration
                await socket.send_bytes(frame.data.tobytes())
            else:
                await socket.send_str("flush")
        await socket.send_str("end")

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self._emit(json.loads(message.data))
        self._report_usage()
        if socket.close_code != aiohttp.WSCloseCode.OK:
            raise APIConnectionError("the on-device recogniser closed the stream")

    def _emit(self, event: dict[str, str | float]) -> None:
        kind = event["type"]
        if kind == "started":
            self._event_ch.send_nowait(stt.SpeechEvent(type=stt.SpeechEventType.START_OF_SPEECH))
        elif kind == "ended":
            self._event_ch.send_nowait(stt.SpeechEvent(type=stt.SpeechEventType.END_OF_SPEECH))
            self._report_usage()
        elif kind in _TYPES and (self._guesses or kind != "guess"):
            data = stt.SpeechData(
                language=self._language,
                text=str(event["text"]),
                start_time=float(event["start"]) + self.start_time_offset,
                end_time=float(event["end"]) + self.start_time_offset,
                confidence=1.0,  # Moonshine tells none
            )
            self._event_ch.send_nowait(stt.SpeechEvent(type=_TYPES[str(kind)], alternatives=[data]))

    def _report_usage(self) -> None:
        usage = stt.RecognitionUsage(audio_duration=self._heard)
        self._heard = 0.0
        if usage.audio_duration:
            event = stt.SpeechEvent(type=stt.SpeechEventType.RECOGNITION_USAGE, recognition_usage=usage)
            self._event_ch.send_nowait(event)


@contextlib.contextmanager
def _as_api_errors() -> Iterator[None]:
    """What goes wrong with the model process, as livekit's errors: a lost connection is worth another try."""
    try:
        yield
    except aiohttp.ClientError as error:
        raise APIConnectionError(f"the on-device recogniser is unreachable: {error}") from error
    except StoryError as error:
        raise APIError(str(error), retryable=False) from error
