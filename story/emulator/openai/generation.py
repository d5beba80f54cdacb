"""An answer of a language model as it is generated: part by part, each when it is due."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

from story.emulator.brain import Prompt, ToolCall
from story.emulator.emulation import Emulation
from story.emulator.exchange import until
from story.emulator.latency import Stage
from story.emulator.openai.conversation import tokens

Part = str | ToolCall


class Generation:
    """What a brain answers, at the pace of `model`.

    tokens: how many it has been so far. calls: how many of its parts were calls. cut: whether it was ended at `most`
    tokens.
    """

    def __init__(
        self,
        emulation: Emulation,
        prompt: Prompt,
        model: str,
        *,
        arrived: float,
        most: int | None = None,
        parallel: bool = True,
        stops: Sequence[str] = (),
    ) -> None:
        """arrived: when the request was in (the loop's clock). parallel: whether it may call more than one tool.
        stops: texts before which it ends."""
        self._emulation = emulation
        self._prompt = prompt
        self._model = model
        self._arrived = arrived
        self._most = most
        self._parallel = parallel
        self._stops = tuple(stops)
        self.tokens = 0
        self.calls = 0
        self.cut = False

    async def parts(self) -> AsyncIterator[Part]:
        """Text and calls. Raises BrainError."""
        due = self._arrived + self._latency(Stage.FIRST)
        answer = self._emulation.brain.answer(self._prompt)
        async for part in until_stopped(answer, self._stops) if self._stops else answer:
            called = isinstance(part, ToolCall)
            if called and self.calls and not self._parallel:
                break
            count = tokens(part) if isinstance(part, str) else tokens(part.name + arguments_text(part))
            if self._most is not None and self.tokens + count > self._most:
                self.cut = True
                break
            self.tokens += count
            self.calls += called
            await until(due)
            yield part
            due += self._latency(Stage.TOKEN)
        await until(due)

    def _latency(self, stage: Stage) -> float:
        return self._emulation.latencies.draw("openai", "llm", self._model, stage)


async def until_stopped(parts: AsyncIterator[Part], stops: Sequence[str]) -> AsyncIterator[Part]:
    """`parts` up to where the text has the first of `stops`. What may be the beginning of one is held back."""
    held = ""
    async for part in parts:
        if isinstance(part, str):
            held += part
            found = [at for stop in stops if (at := held.find(stop)) >= 0]
            if found:
                if min(found):
                    yield held[: min(found)]
                return
            ready = len(held) - max(_begun(held, stop) for stop in stops)
        else:
            ready = len(held)
        if ready:
            yield held[:ready]
            held = held[ready:]
        if not isinstance(part, str):
            yield part
    if held:
        yield held


def _begun(text: str, stop: str) -> int:
    """How many characters at the end of `text` are the beginning of `stop`."""
    longest = min(len(text), len(stop) - 1)
    return next((count for count in range(longest, 0, -1) if text.endswith(stop[:count])), 0)


def arguments_text(call: ToolCall) -> str:
    """A call's arguments as the API writes them."""
    return json.dumps(dict(call.arguments))
