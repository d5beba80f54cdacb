"""Text to speech with Hibari and Kokoro: a clause in, sound out. Runs in the model process."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from story.core.errors import MissingPackageError, WeightsError
from story.providers.local.problems import KOKORO_MISSING
from story.providers.local.voices import KOKORO_DEFAULT

if TYPE_CHECKING:
    from hibari import Hibari as _Hibari
    from kokoro_onnx import Kokoro as _Kokoro

SAMPLE_RATE = 24_000
"""Of every engine here, Hz."""

Sound = NDArray[np.float32]

_EDGE = 0.03
_FLOOR = 0.01
_PAUSES = {".": 0.32, "!": 0.32, "?": 0.32, "…": 0.4, ",": 0.12, ";": 0.2, ":": 0.2, "—": 0.2}
"""Seconds of silence after a clause, by its last mark."""


class Synthesiser(Protocol):
    """What the model process needs of an engine. `say` blocks; one call at a time."""

    def say(self, text: str, voice: str | None, speed: float) -> Sound:
        """`text` as mono sound at SAMPLE_RATE, -1 to 1; empty where the text has no sound. speed: 1 is natural."""


class Hibari:
    """hibari-tts, one voice ("heart"), weights inside its package. 20 ms for a sentence."""

    def __init__(self) -> None:
        if importlib.util.find_spec("hibari") is None:
            raise MissingPackageError("hibari-tts is not installed: pip install hibari-tts==0.2.1")
        from hibari import Hibari as Engine

        # One thread: a second only takes the core that the language model writes on.
        self._engine: _Hibari = Engine(threads=1)

    def say(self, text: str, voice: str | None, speed: float) -> Sound:
        if not any(character.isalnum() for character in text):
            return np.zeros(0, np.float32)  # it voices "..." as a breath
        # A fixed seed: the same words sound the same each time, so a call can be reproduced.
        return framed(np.asarray(self._engine(text, speed=speed, seed=0), np.float32), text)


class Kokoro:
    """Kokoro 82M by kokoro-onnx (extra `kokoro`). 0.7 s for a sentence."""

    def __init__(self, model: Path, voices: Path) -> None:
        """model, voices: the .onnx and the .npz of the catalogue. Raises MissingPackageError, WeightsError."""
        if importlib.util.find_spec("kokoro_onnx") is None:
            raise MissingPackageError(KOKORO_MISSING)
        import onnxruntime
        from kokoro_onnx import Kokoro as Engine

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
            self._engine: _Kokoro = Engine.from_session(session, str(voices))
        except Exception as error:  # onnxruntime's errors have no common base
            raise WeightsError(f"the weights of kokoro in {model.parent} can't be loaded: {error}") from error

    def say(self, text: str, voice: str | None, speed: float) -> Sound:
        if not any(character.isalnum() for character in text):
            return np.zeros(0, np.float32)
        name = voice or KOKORO_DEFAULT
        language = "en-gb" if name.startswith("b") else "en-us"
        try:
            sound, _ = self._engine.create(text, voice=name, speed=speed, lang=language, trim=False)
        except ValueError:
            return np.zeros(0, np.float32)  # nothing in the text has phonemes
        return framed(np.asarray(sound, np.float32), text)


def framed(sound: Sound, text: str) -> Sound:
    """`sound` without the silence that engines put around it, and with the pause that its last mark asks for.

    Hibari begins with 0.3 s of silence and ends with 0.5 s: a quarter of a second that the caller would wait for the
    first word, and pauses between sentences that are twice too long.
    """
    loud = np.nonzero(np.abs(sound) > _FLOOR)[0]
    if not len(loud):
        return np.zeros(0, np.float32)
    edge = int(_EDGE * SAMPLE_RATE)
    words = sound[max(0, loud[0] - edge) : loud[-1] + edge]
    mark = text.rstrip().rstrip("\"'”’)]*")[-1:]
    return np.concatenate([words, np.zeros(int(_PAUSES.get(mark, 0.1) * SAMPLE_RATE), np.float32)])
