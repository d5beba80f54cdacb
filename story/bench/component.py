"""One model alone, without a call: how soon it answers (a recogniser, a language model, a voice), and how well."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from livekit import rtc
from livekit.agents import llm, stt, tts, utils
from livekit.agents.llm import ChatContext

from story.bench.ear import speech
from story.bench.outcome import FAILED, OK, UNBUILT, Outcome, TurnFigures
from story.bench.pace import say
from story.bench.scenarios import Line, Scenario
from story.bench.spoken_to import spoken_to
from story.bench.words import missing, there, word_errors
from story.core.errors import StoryError
from story.core.live import build
from story.core.plan import Plan, find_chain
from story.core.redact import redact
from story.core.registry import Role
from story.core.requirements import require
from story.core.resolve import resolve
from story.core.usage import Usage
from story.core.warmup import warm_up
from story.transports.sound import SAMPLE_RATE, Recording, Samples

if TYPE_CHECKING:
    from story.bench.cell import Cell
    from story.bench.stand import Stand
    from story.core.settings import Settings

INSTRUCTIONS = "You are on the telephone. Answer in one short sentence."
ANSWER_SECONDS = 20.0
"""For one answer; what takes longer has failed."""
MORE_SECONDS = 0.8
"""After words that a recogniser told when a line was over, in which there may come more of it."""
REST_SECONDS = 5.0
"""After the end of a line of which a recogniser has told a part already, for the rest."""
BETWEEN_SECONDS = 1.0
"""Of silence between the lines of a voice's recording."""


def planned_component(spec: str, role: Role, stand: Stand) -> Plan:
    """A plan of one model, which may be named without its role. Raises StoryError where it can't be built here."""
    name, chain = find_chain(stand.chain, stand.registry)
    stack = resolve(spec if spec.startswith(f"{role}=") else f"{role}={spec}", stand.registry)
    require(stack, stand.registry, stand.settings, roles={role})
    return Plan(name, chain, {"": stack}, {}, frozenset({role}))


async def hold_component(
    cell: Cell, role: Role, scenario: Scenario, stand: Stand, *, recording: Path | None = None
) -> Outcome:
    """Give a model each line of a scenario: to hear, to answer, or to say. recording: of a voice.

    Raises:
        RecordingError: its sound can't be kept.
    """
    loop = asyncio.get_running_loop()
    usage, began = Usage(lambda: ""), loop.time()
    turns: list[TurnFigures] = []
    heard: list[str] = []
    sounds: list[list[rtc.AudioFrame]] = []
    try:
        plan = planned_component(cell.stack, role, stand)
    except StoryError as error:
        return Outcome(UNBUILT, role, redact(str(error), stand.settings))
    try:
        async with stand.vendors(cell) as vendors, utils.http_context.open():
            live = await build(plan.stacks[""], stand.registry, vendors.settings, roles=plan.roles)
            try:
                for model in live.models:
                    usage.follow(model)
                await warm_up(live.models)  # as a call does
                for number, line in enumerate(scenario.lines, start=1):
                    async with asyncio.timeout(ANSWER_SECONDS + 10):
                        seconds, text = await _answered(role, live, line, usage, sounds)
                    heard.append(text)
                    values: dict[str, Any] = {"final" if role is Role.STT else str(role): round(seconds, 4)}
                    values |= {"said": line.text, "heard": text}
                    turns.append(TurnFigures(number, 0.0, 0.0, round(seconds, 4), premature=seconds < 0, **values))
                await asyncio.sleep(0)  # what the last answer used is told at its end
            finally:
                await live.aclose()
    except TimeoutError:
        return Outcome(FAILED, role, f"no answer to line {len(turns) + 1} within {ANSWER_SECONDS:g} s")
    except Exception as error:
        return Outcome(FAILED, role, why_failed(error, stand.settings))
    if recording is not None:
        _keep(sounds, recording)
    text = " ".join(heard).strip()
    tells = role is Role.STT or (role is Role.REALTIME and bool(text))  # not every realtime model says what it heard
    errors = word_errors(scenario.text, text) if tells else None
    names = there(scenario.facts.values(), scenario.text) if tells else []
    return Outcome(
        OK,
        duration=round(loop.time() - began, 3),
        turns=tuple(turns),
        words=errors.said if errors else 0,
        errors=errors.errors if errors else 0,
        heard=text,
        names=len(names),
        unheard=tuple(missing(names, text)),
        usage=usage.as_dict(),
        spoken="" if recording is None else scenario.text,
        recording="" if recording is None else recording.name,
    )


def _keep(lines: Sequence[Sequence[rtc.AudioFrame]], path: Path) -> None:
    """What a voice said, where a call has the agent."""
    recording = Recording(path)
    for frames in lines:
        said = np.concatenate([_samples(frames), np.zeros(round(BETWEEN_SECONDS * SAMPLE_RATE), np.int16)])
        recording.write(np.zeros_like(said), said)
    recording.commit()


def _samples(frames: Sequence[rtc.AudioFrame]) -> Samples:
    whole = rtc.combine_audio_frames(list(frames))
    if whole.sample_rate != SAMPLE_RATE:
        resampler = rtc.AudioResampler(whole.sample_rate, SAMPLE_RATE, num_channels=whole.num_channels)
        whole = rtc.combine_audio_frames([*resampler.push(whole), *resampler.flush()])
    return np.frombuffer(whole.data, np.int16)


def why_failed(error: Exception, settings: Settings) -> str:
    """What a vendor's plugin raised, in one line without keys."""
    return redact(" ".join(f"{type(error).__name__}: {error}".split()), settings)


async def _answered(
    role: Role, live: Any, line: Line, usage: Usage, sounds: list[list[rtc.AudioFrame]]
) -> tuple[float, str]:
    """Seconds until the answer to a line began, and what was heard. sounds: get what a voice says."""
    match role:
        case Role.STT:
            return await hear(live.stt, line.samples())
        case Role.LLM:
            return await _thought(live.llm, line.text), ""
        case Role.REALTIME:
            return await spoken_to(live.llm, line.samples(), INSTRUCTIONS, usage)
        case _:
            sounds.append([])
            return await _spoken(live.tts, line.text, sounds[-1]), ""


async def _thought(model: llm.LLM[Any], text: str) -> float:
    """From the request to the first token."""
    loop = asyncio.get_running_loop()
    context = ChatContext.empty()
    context.add_message(role="system", content=INSTRUCTIONS)
    context.add_message(role="user", content=text)
    began, first = loop.time(), None
    async with model.chat(chat_ctx=context) as stream:
        async for chunk in stream:
            if first is None and chunk.delta is not None and (chunk.delta.content or chunk.delta.tool_calls):
                first = loop.time()
    return _taken(began, first)


async def _spoken(model: tts.TTS[Any], text: str, frames: list[rtc.AudioFrame]) -> float:
    """From the text to the first sound. frames: get all of it."""
    loop = asyncio.get_running_loop()
    began, first = loop.time(), None
    if model.capabilities.streaming:
        stream = model.stream()
        stream.push_text(text)
        stream.end_input()
        sounds: Any = stream
    else:
        sounds = model.synthesize(text)
    async with sounds:
        async for sound in sounds:
            frames.append(sound.frame)
            if first is None and np.frombuffer(sound.frame.data, np.int16).any():
                first = loop.time()
    return _taken(began, first)


async def hear(model: stt.STT[Any], sound: Samples) -> tuple[float, str]:
    """From the last sound to the last of the words, and those. One that doesn't stream gets the line as a whole."""
    loop = asyncio.get_running_loop()
    _, end = speech(sound)
    if not model.capabilities.streaming:
        began = loop.time()
        event = await model.recognize(rtc.AudioFrame(sound.tobytes(), SAMPLE_RATE, 1, len(sound)))
        return loop.time() - began, event.alternatives[0].text if event.alternatives else ""
    words: list[str] = []
    last: list[float] = []
    async with model.stream() as stream:
        began = loop.time()
        speaking = asyncio.create_task(
            say(sound, stream.push_frame, stream.flush if model.capabilities.manual_flush else None)
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS + len(sound) / SAMPLE_RATE) as patience:
                async for event in stream:
                    if event.type != stt.SpeechEventType.FINAL_TRANSCRIPT or not event.alternatives[0].text.strip():
                        continue
                    words.append(event.alternatives[0].text)
                    last.append(loop.time())
                    now, over = loop.time(), began + end
                    patience.reschedule(now + MORE_SECONDS if now >= over else over + REST_SECONDS)
        except TimeoutError:
            if not words:
                raise
        finally:
            speaking.cancel()
            await asyncio.wait([speaking])
    return _taken(began + end, last[-1] if last else None), " ".join(words)


def _taken(began: float, first: float | None) -> float:
    if first is None:
        raise StoryError("nothing came of it")
    return first - began
