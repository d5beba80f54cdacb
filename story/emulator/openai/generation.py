"""An answer of a language model as it is generated: part by part, each when it is due."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from story.emulator.brain import Prompt, ToolCall
from story.emulator.emulation import Emulation
from story.emulator.exchange import until
from story.emulator.latency import Stage
from story.emulator.openai.conversation import tokens

Part = str | ToolCall


class Generation:
    """What a brain answers, at the pace of `model`.

    tokens: how many it has been so far. cut: whether it was ended at `most` tokens.
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
    ) -> None:
        """arrived: when the request was in (the loop's clock). parallel: whether it may call more than one tool."""
        self._emulation = emulation
        self._prompt = prompt
        self._model = model
        self._arrived = arrived
        self._most = most
        self._parallel = parallel
        self.tokens = 0
        self.cut = False

    async def parts(self) -> AsyncIterator[Part]:
        """Text and calls. Raises BrainError."""
        due = self._arrived + self._latency(Stage.FIRST)
        calls = 0
        async for part in self._emulation.brain.answer(self._prompt):
            calls += isinstance(part, ToolCall)
            if calls > 1 and not self._parallel:
                break
            count = tokens(part) if isinstance(part, str) else tokens(part.name + arguments_text(part))
            if self._most is not None and self.tokens + count > self._most:
                self.cut = True
                break
            self.tokens += count
            await until(due)
            yield part
            due += self._latency(Stage.TOKEN)
        await until(due)

    def _latency(self, stage: Stage) -> float:
        return self._emulation.latencies.draw("openai", "llm", self._model, stage)


def arguments_text(call: ToolCall) -> str:
    """A call's arguments as the API writes them."""
    return json.dumps(dict(call.arguments))
