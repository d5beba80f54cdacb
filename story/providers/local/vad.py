"""Voice activity detection: Silero in livekit's native library, its weights inside."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from livekit.agents import inference

from story import ModelOptions
from story.core.construct import construct

Result = TypeVar("Result")


class Here(Executor):
    """Runs what it is given where and when it is given, without a thread."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def build(options: ModelOptions) -> inference.VAD:
    """0.25 s of silence end a caller's speech, as they do for the recogniser.

    The model takes 0.04 ms for the 32 ms that it hears at a time. A thread for each call, which is livekit's default,
    takes longer to wake up, and on a busy machine waits for the interpreter.
    """
    vad = construct(inference.VAD, options, "local vad", voice=None, language=None)
    vad._executor = Here()
    return vad
