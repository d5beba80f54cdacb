"""Speech to text with Moonshine: stretches of speech in, words out. Runs in the model process."""

from __future__ import annotations

import asyncio
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from story.core.errors import WeightsError
from story.providers.local import catalogue, packaged
from story.providers.local.segments import SAMPLE_RATE

if TYPE_CHECKING:
    from moonshine_voice import Transcriber

_LEAD = 0.2
_QUOTE = re.compile(r"\"|(?<![A-Za-z])'|'(?![A-Za-z])")
_GOODBYE = re.compile(r"\b([Gg])ood[- ]bye?\b")


def tidy(text: str) -> str:
    """What was said, without the quotation marks that Moonshine sometimes puts around speech, and with its "good-by",
    "good by" and "good-bye" as the one word by which a call ends."""
    return " ".join(_GOODBYE.sub(r"\1oodbye", _QUOTE.sub("", text)).split())


class Recogniser:
    """Moonshine tiny, English. One transcription at a time, on a thread of its own."""

    def __init__(self) -> None:
        """Load the weights (a second). Raises MissingPackageError, WeightsError."""
        # Its package carries them up to version 0.0.73 and no longer.
        folder = next(iter(packaged.ensure(catalogue.load().get("moonshine-tiny-en")).values())).parent
        # Short stretches on one thread are three times as fast as on two that fight the language model for the cores
        # (0.1 s per second of speech against 0.3 s, both cores busy).
        os.environ.setdefault("MOONSHINE_ORT_SINGLE_THREAD", "1")
        from moonshine_voice import ModelArch, Transcriber
        from moonshine_voice.errors import MoonshineError

        try:
            # Threshold 0 switches its own cutting off: `segments` does it.
            options = {"vad_threshold": 0, "return_audio_data": "false"}
            self._transcriber: Transcriber = Transcriber(str(folder), ModelArch.TINY, options=options)
        except MoonshineError as error:
            raise WeightsError(f"the weights of moonshine-tiny in {folder} can't be loaded: {error}") from error
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="moonshine")
        self._waiting = 0
        self.last_cost = 0.0
        """Seconds that the latest transcription took."""

    @property
    def idle(self) -> bool:
        """Nothing is being transcribed or waiting for it."""
        return self._waiting == 0

    async def transcribe(self, samples: NDArray[np.int16]) -> str:
        """The words in `samples` (16 kHz mono); "" where there are none. Cancelling leaves the queue."""
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._transcribe, samples)
        finally:
            self._waiting -= 1

    async def warm_up(self) -> None:
        await self.transcribe(np.zeros(SAMPLE_RATE, np.int16))

    def _transcribe(self, samples: NDArray[np.int16]) -> str:
        began = time.monotonic()
        # Without some silence before it Moonshine mishears first words ("Alone." for "Hello?").
        sound = np.concatenate([np.zeros(int(_LEAD * SAMPLE_RATE), np.int16), samples]).astype(np.float32) / 32768
        transcript = self._transcriber.transcribe_without_streaming(sound.tolist(), SAMPLE_RATE)
        self.last_cost = time.monotonic() - began
        return tidy(" ".join(line.text for line in transcript.lines))
