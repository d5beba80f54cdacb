"""Model objects for calls whose words are known beforehand: a scripted LLM, a TTS of tones, an STT of loudness.

They are real livekit-agents objects; only what a network or weights would add is missing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from livekit.agents import NOT_GIVEN, llm, stt, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS

RATE = 24000
SECONDS_PER_CHARACTER = 0.02


@dataclass(frozen=True)
class Tool:
    """A tool call in a script."""

    name: str
    arguments: dict[str, object]


Answer = str | Tool | Exception | Sequence[str | Tool]
Script = Callable[[llm.ChatContext, list[llm.Tool], object], Answer]


def last_user(chat_ctx: llm.ChatContext) -> str:
    """What the caller said last, for scripts to go by."""
    return next((m.text_content or "" for m in reversed(chat_ctx.messages()) if m.role == "user"), "")


class ScriptedLLM(llm.LLM):
    """Answers with what `script(chat_ctx, tools, tool_choice)` returns; an Exception is raised."""

    def __init__(self, script: Script, *, name: str = "scripted") -> None:
        super().__init__()
        self.script, self.name, self.requests = script, name, 0
        self.closed = 0

    @property
    def model(self) -> str:
        return self.name

    @property
    def provider(self) -> str:
        return "fake"

    def chat(self, *, chat_ctx, tools=None, conn_options=DEFAULT_API_CONNECT_OPTIONS, tool_choice=NOT_GIVEN, **_):
        self.requests += 1
        stream = ScriptedStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)
        stream.tool_choice = tool_choice
        return stream

    async def aclose(self) -> None:
        self.closed += 1


class ScriptedStream(llm.LLMStream):
    tool_choice: object = NOT_GIVEN

    async def _run(self) -> None:
        answer = self._llm.script(self._chat_ctx, self._tools, self.tool_choice)
        parts = [answer] if isinstance(answer, str | Tool | Exception) else list(answer)
        request = utils.shortuuid("req_")
        for part in parts:
            if isinstance(part, Exception):
                raise part
            if isinstance(part, Tool):
                call = llm.FunctionToolCall(
                    name=part.name, arguments=json.dumps(part.arguments), call_id=utils.shortuuid("call_")
                )
                deltas = [llm.ChoiceDelta(role="assistant", tool_calls=[call])]
            else:
                deltas = [llm.ChoiceDelta(role="assistant", content=word) for word in _words(part)]
            for delta in deltas:
                self._event_ch.send_nowait(llm.ChatChunk(id=request, delta=delta))
                await asyncio.sleep(0)
        usage = llm.CompletionUsage(completion_tokens=5, prompt_tokens=10, total_tokens=15)
        self._event_ch.send_nowait(llm.ChatChunk(id=request, usage=usage))


def _words(text: str) -> list[str]:
    return [word + " " for word in text.split(" ")]


class ToneTTS(tts.TTS):
    """Speaks a 220 Hz tone; `pace` is seconds a character."""

    def __init__(self, *, pace: float = SECONDS_PER_CHARACTER) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1)
        self.pace, self.closed = pace, 0

    @property
    def model(self) -> str:
        return "tone"

    @property
    def provider(self) -> str:
        return "fake"

    def synthesize(self, text, *, conn_options=DEFAULT_API_CONNECT_OPTIONS):
        return ToneStream(tts=self, input_text=text, conn_options=conn_options)

    async def aclose(self) -> None:
        self.closed += 1


class ToneStream(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(request_id=utils.shortuuid(), sample_rate=RATE, num_channels=1, mime_type="audio/pcm")
        count = int(RATE * self._tts.pace * max(len(self._input_text), 1))
        tone = 8000 * np.sin(2 * np.pi * 220 * np.arange(count) / RATE)
        output_emitter.push(tone.astype(np.int16).tobytes())
        output_emitter.flush()


class LoudnessSTT(stt.STT):
    """Hears the next of `lines` each time a loud stretch of sound is followed by `certain` seconds of silence.

    guess: if given, seconds of silence after each of which it says so already, as an interim result.
    """

    def __init__(self, lines: Sequence[str], *, certain: float = 0.15, guess: float | None = None) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self.lines, self.closed, self.streams = list(lines), 0, 0
        self.certain, self.guess = certain, guess

    @property
    def model(self) -> str:
        return "loudness"

    @property
    def provider(self) -> str:
        return "fake"

    async def _recognize_impl(self, buffer, *, language=NOT_GIVEN, conn_options):
        raise NotImplementedError("streaming only")

    def stream(self, *, language=NOT_GIVEN, conn_options=DEFAULT_API_CONNECT_OPTIONS):
        self.streams += 1
        return LoudnessStream(stt=self, conn_options=conn_options, sample_rate=16000)

    async def aclose(self) -> None:
        self.closed += 1


class LoudnessStream(stt.RecognizeStream):
    async def _run(self) -> None:
        kinds = stt.SpeechEventType
        speaking, silence = False, 0.0
        async for frame in self._input_ch:
            if isinstance(frame, self._FlushSentinel):
                continue
            loud = float(np.sqrt(np.mean(np.frombuffer(frame.data, np.int16).astype(np.float32) ** 2))) > 300
            if loud:
                silence = 0.0
                if not speaking:
                    speaking = True
                    self._event_ch.send_nowait(stt.SpeechEvent(type=kinds.START_OF_SPEECH))
            elif speaking:
                before, silence = silence, silence + frame.duration
                guess = self._stt.guess
                if guess and self._stt.lines and before // guess < silence // guess:
                    heard = stt.SpeechData(language="en", text=self._stt.lines[0], confidence=0.9)
                    self._event_ch.send_nowait(stt.SpeechEvent(type=kinds.INTERIM_TRANSCRIPT, alternatives=[heard]))
                if silence >= self._stt.certain:
                    speaking = False
                    text = self._stt.lines.pop(0) if self._stt.lines else ""
                    heard = stt.SpeechData(language="en", text=text, confidence=1.0)
                    self._event_ch.send_nowait(stt.SpeechEvent(type=kinds.FINAL_TRANSCRIPT, alternatives=[heard]))
                    self._event_ch.send_nowait(stt.SpeechEvent(type=kinds.END_OF_SPEECH))
