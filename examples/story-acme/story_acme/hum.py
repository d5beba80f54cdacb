"""The model: a livekit-agents TTS that hums one tone a word."""

from __future__ import annotations

import asyncio

import numpy as np
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, tts, utils

SAMPLE_RATE = 24_000  # Hz
LOUDNESS = 6_000  # of 32767
SOUNDING = 0.8  # of a word's time; the rest is the silence that keeps words apart


class TTS(tts.TTS):
    """Hums `text` at `pitch` Hz and `tempo` words a minute, as 24 kHz mono s16le."""

    def __init__(self, *, model: str, pitch: float, tempo: float) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=SAMPLE_RATE, num_channels=1)
        self._model, self.pitch, self.tempo = model, pitch, tempo

    @property
    def model(self) -> str:
        return self._model

    @property
    def provider(self) -> str:
        return "acme"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return Humming(tts=self, input_text=text, conn_options=conn_options)


class Humming(tts.ChunkedStream):
    """One sentence being hummed."""

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        assert isinstance(self._tts, TTS)
        output_emitter.initialize(
            request_id=utils.shortuuid(), sample_rate=SAMPLE_RATE, num_channels=1, mime_type="audio/pcm"
        )
        for _ in self._input_text.split():
            output_emitter.push(word(self._tts.pitch, 60 / self._tts.tempo))
            await asyncio.sleep(0)  # an interruption stops the humming between two words
        output_emitter.flush()


def word(pitch: float, seconds: float) -> bytes:
    """A tone that swells and fades, then silence: `seconds` of 24 kHz mono s16le."""
    count = round(SAMPLE_RATE * seconds)
    sounding = round(count * SOUNDING)
    tone = np.sin(2 * np.pi * pitch * np.arange(sounding) / SAMPLE_RATE) * np.hanning(sounding) * LOUDNESS
    return np.concatenate([tone, np.zeros(count - sounding)]).astype("<i2").tobytes()
