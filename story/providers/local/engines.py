"""The engines of the model process: each is loaded once, when it is first asked for, while the others go on."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from story.core.errors import StoryError, WeightsError
from story.providers.local.recogniser import Recogniser
from story.providers.local.synthesiser import Hibari, Kokoro, Synthesiser

if TYPE_CHECKING:
    from story.providers.local.llama import LlamaServer

RECOGNISERS = ("moonshine-tiny",)
SYNTHESISERS = ("hibari", "kokoro")
LANGUAGE_MODELS = ("qwen2.5-coder-1.5b",)


def language_model_threads() -> int:
    """All cores of a small machine, as speech pauses while it writes; one less than there are of a larger one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if cores <= 2 else min(cores - 1, 8)


class Speaker:
    """A synthesiser with the thread it runs on; whoever waits for it is served in order."""

    def __init__(self, synthesiser: Synthesiser) -> None:
        self._synthesiser = synthesiser
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="synthesiser")

    async def say(self, text: str, voice: str | None, speed: float) -> bytes:
        """`text` as s16le mono, synthesiser.SAMPLE_RATE. Cancelling leaves the queue."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._say, text, voice, speed)

    def _say(self, text: str, voice: str | None, speed: float) -> bytes:
        sound = self._synthesiser.say(text, voice, speed)
        return (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()


class Engines:
    """The loaded engines. Every method raises StoryError for a name that is not its kind."""

    def __init__(self, token: str) -> None:
        self._token = token
        self._locks: dict[str, asyncio.Lock] = {}
        self._recognisers: dict[str, Recogniser] = {}
        self._speakers: dict[str, Speaker] = {}
        self._language_models: dict[str, LlamaServer] = {}

    @property
    def loaded(self) -> list[str]:
        return [*self._recognisers, *self._speakers, *self._language_models]

    async def load(self, name: str) -> str | None:
        """Load the engine if it is not; the address of its own server if it has one. Raises StoryError."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            if name in RECOGNISERS:
                await self._load_recogniser(name)
            elif name in SYNTHESISERS:
                await self._load_speaker(name)
            elif name in LANGUAGE_MODELS:
                return await self._load_language_model(name)
            else:
                raise StoryError(f"unknown on-device engine '{name}'")
        return None

    async def recogniser(self, name: str) -> Recogniser:
        await self.load(name)
        if name not in self._recognisers:
            raise StoryError(f"{name} does not recognise speech")
        return self._recognisers[name]

    async def speaker(self, name: str) -> Speaker:
        await self.load(name)
        if name not in self._speakers:
            raise StoryError(f"{name} does not speak")
        return self._speakers[name]

    async def _load_recogniser(self, name: str) -> None:
        if name not in self._recognisers:
            recogniser = await asyncio.to_thread(Recogniser)
            await recogniser.warm_up()
            self._recognisers[name] = recogniser

    async def _load_speaker(self, name: str) -> None:
        if name not in self._speakers:
            speaker = Speaker(await asyncio.to_thread(_synthesiser, name))
            await speaker.say("Once upon a time.", None, 1.0)
            self._speakers[name] = speaker

    async def _load_language_model(self, name: str) -> str:
        if name not in self._language_models:
            self._language_models[name] = await asyncio.to_thread(_language_model, name, self._token)
        return self._language_models[name].url


def _synthesiser(name: str) -> Synthesiser:
    if name == "hibari":
        return Hibari()
    model, voices = _weights(name)
    return Kokoro(model, voices)


def _language_model(name: str, token: str) -> LlamaServer:
    from story.providers.local import llama

    return llama.start(model_path=_weights(name)[0], api_key=token, threads=language_model_threads())


def _weights(name: str) -> list[Path]:
    """The model's files in the order of the catalogue."""
    from story.providers.local import store

    paths = store.locate(name)
    if paths is None:
        raise WeightsError(f"the weights of {name} are not on this machine: run `story models pull {name}`")
    return list(paths.values())
