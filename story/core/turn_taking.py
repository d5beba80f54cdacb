"""Stands between what livekit hears of a caller and what it does about it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from livekit.agents import stt, vad

from story.core.acknowledgements import is_acknowledgement
from story.core.barge_in import BargeIn
from story.core.endpointing import WordsEndpointing
from story.core.loudness import QUIET_SHARE, loudness
from story.core.sentences import Ending, ending
from story.core.turns import SlowThinker

if TYPE_CHECKING:
    from livekit.agents.voice.agent_activity import AgentActivity
    from livekit.agents.voice.audio_recognition import (
        AudioRecognition,
        _EndOfTurnInfo,
        _PreemptiveGenerationInfo,
        _PreflightStaleInfo,
    )

ANSWER_SECONDS = 1.0
"""An acknowledgement so shortly before the agent has finished is an answer."""
ONSET_STEP = 0.01
LONGEST_ONSET = 0.4
"""Seconds that a soft voice may have been there before a detector notices."""
SPOKEN = (stt.SpeechEventType.INTERIM_TRANSCRIPT, stt.SpeechEventType.FINAL_TRANSCRIPT)


class _ActivitySpeech:
    """What an activity is saying. See `barge_in.Speech`."""

    def __init__(self, activity: AgentActivity) -> None:
        self._activity = activity

    @property
    def going(self) -> bool:
        speech = self._activity.current_speech
        return (
            self._activity.session.agent_state == "speaking"
            and speech is not None
            and speech.allow_interruptions
            and not speech.interrupted
        )

    def pause(self) -> bool:
        self._activity._interrupt_by_audio_activity()
        return self._activity._paused_speech is not None

    def resume(self) -> None:
        self._activity._start_false_interruption_timer(0)

    def interrupt(self) -> None:
        activity = self._activity
        ending = activity._cancel_speech_pause(old_task=activity._cancel_speech_pause_task)
        activity._cancel_speech_pause_task = asyncio.create_task(ending)


class TurnTaking:
    """The hooks of one agent's recognition: some of what it hears is kept from the agent's activity, or told later.

    livekit (1.8.9) interrupts an agent at every final transcript, so that "okay" ends a story. After a false
    interruption it waits for the end of a sound, and then some, before the agent goes on. And right after an
    interruption it begins no reply ahead of time, as the speech has not ended yet when the caller's words arrive.
    """

    def __init__(self, activity: AgentActivity, recognition: AudioRecognition) -> None:
        self._activity = activity
        self._recognition = recognition
        self._hear = recognition._on_stt_event
        loop = asyncio.get_running_loop()
        self._barge_in = BargeIn(_ActivitySpeech(activity), clock=loop.time, later=loop.call_later)
        self._endpointing = WordsEndpointing(
            activity.min_endpointing_delay,
            lambda: recognition._audio_transcript,
            detector=not isinstance(activity._turn_detection, str),
        )
        self._loudest = 0.0
        self._loud = False
        self._guess = ""
        # one on this machine thinks with the cores that the recogniser needs for its final words
        self._thinks_fast = not isinstance(activity.llm, SlowThinker)
        self._ahead: asyncio.Task[None] | None = None
        self._kept: tuple[float, stt.SpeechEvent] | None = None

    @classmethod
    def of(cls, activity: AgentActivity | None) -> TurnTaking | None:
        """Put in place for an activity; None for one that does not take turns by what its own recogniser hears."""
        recognition = activity._audio_recognition if activity else None
        if activity is None or recognition is None or activity.stt is None or activity.vad is None:
            return None
        if activity._rt_turn_detection_enabled or activity._turn_detection in ("manual", "stt"):
            return None
        if isinstance(recognition._hooks, cls):
            return recognition._hooks
        taking = cls(activity, recognition)
        recognition._hooks = taking
        recognition._endpointing = taking._endpointing
        recognition._on_stt_event = taking._on_stt_event  # type: ignore[method-assign, assignment]
        return taking

    def __getattr__(self, name: str) -> Any:
        """Every other hook is the activity's own."""
        return getattr(self._activity, name)

    @property
    def interruption_by_audio_activity_enabled(self) -> bool:
        return self._activity.interruption_by_audio_activity_enabled

    @interruption_by_audio_activity_enabled.setter
    def interruption_by_audio_activity_enabled(self, enabled: bool) -> None:
        self._activity.interruption_by_audio_activity_enabled = enabled

    # -- acknowledgements

    def agent_state(self, state: str) -> None:
        """The agent is now `state`."""
        if state == "speaking":
            self._barge_in.settle()
        elif state == "listening" and self._activity._paused_speech is None:
            self._barge_in.settle()
            speech = self._activity.current_speech
            if speech is None:
                self._hear_kept()
            else:  # about to be done; until then a caller's words would interrupt it
                speech.add_done_callback(lambda _: self._hear_kept())

    def _hear_kept(self) -> None:
        """The agent has finished: what was said at its last words answers them."""
        kept, self._kept = self._kept, None
        if kept is not None and time.monotonic() - kept[0] < ANSWER_SECONDS:
            self._recognition._process_stt_event(kept[1])

    async def _on_stt_event(self, event: stt.SpeechEvent) -> None:
        """A result of the recogniser. What only acknowledges is no turn, as long as the floor is the agent's."""
        text = event.alternatives[0].text if event.alternatives and event.type in SPOKEN else ""
        agents_floor = self._barge_in.undecided or self._activity.session.agent_state == "speaking"
        if not (agents_floor and text and is_acknowledgement(text)):
            await self._hear(self._sooner(event, text))
        elif event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
            self._kept = time.monotonic(), event

    def _sooner(self, event: stt.SpeechEvent, text: str) -> stt.SpeechEvent:
        """A whole sentence after which the caller is quiet: a reply may be begun before the recogniser is certain.

        At its final words the reply goes on, or where they differ is begun anew. Only where it can be begun: livekit
        does not try again at the same words; and only once, as it does not compare them.
        """
        if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
            self._guess = ""
        elif event.type is stt.SpeechEventType.INTERIM_TRANSCRIPT and text != self._guess:
            speech = self._activity.current_speech
            free = speech is None or speech.interrupted or self._barge_in.undecided
            if self._thinks_fast and free and not self._loud and ending(text) is Ending.FINISHED:
                self._guess = text
                return replace(event, type=stt.SpeechEventType.PREFLIGHT_TRANSCRIPT)
        return event

    # -- hooks

    def on_start_of_speech(self, event: vad.VADEvent | None, speech_start_time: float) -> None:
        self._activity.on_start_of_speech(event, speech_start_time=speech_start_time)
        self._loudest = 0.0
        if event is not None and event.frames and self._activity.session.agent_state == "speaking":
            self._barge_in.voice(asyncio.get_running_loop().time() - _age_of_voice(event))

    def on_vad_inference_done(self, event: vad.VADEvent) -> None:
        self._loud = event.speaking and self._is_loud(event)
        if self._barge_in.undecided or self._activity.session.agent_state == "speaking":
            if event.speaking or self._barge_in.undecided:
                self._barge_in.sound(loud=self._loud)
            event = replace(event, speech_duration=0.0)  # when to interrupt is not for the activity to say
        self._activity.on_vad_inference_done(event)

    def on_interim_transcript(self, event: stt.SpeechEvent, *, speaking: bool | None) -> None:
        self._activity.on_interim_transcript(event, speaking=speaking)
        self._barge_in.words(event.alternatives[0].text)

    def on_final_transcript(self, event: stt.SpeechEvent, *, speaking: bool | None = None) -> None:
        self._barge_in.settle()
        self._activity.on_final_transcript(event, speaking=speaking)

    def on_preemptive_generation(self, info: _PreemptiveGenerationInfo) -> None:
        self._drop_ahead()
        speech = self._activity.current_speech
        if speech is None or speech.done() or self._activity._cancel_speech_pause_task is None:
            self._activity.on_preemptive_generation(info)
        else:
            self._ahead = asyncio.create_task(self._reply_ahead(info, self._activity._cancel_speech_pause_task))

    def on_preflight_stale(self, info: _PreflightStaleInfo) -> None:
        self._drop_ahead()
        self._activity.on_preflight_stale(info)

    def on_end_of_turn(self, info: _EndOfTurnInfo) -> bool:
        self._drop_ahead()
        self._endpointing.turn_over(info.new_transcript)
        return self._activity.on_end_of_turn(info)

    async def _reply_ahead(self, info: _PreemptiveGenerationInfo, interrupting: asyncio.Task[None]) -> None:
        """Begin the reply once the interrupted speech has ended: it has to know how much of that was heard."""
        await asyncio.wait([interrupting])
        self._activity.on_preemptive_generation(info)

    def _drop_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.cancel()
            self._ahead = None

    def _is_loud(self, event: vad.VADEvent) -> bool:
        if event.raw_accumulated_silence > 0:
            return False
        loud = loudness(np.frombuffer(event.frames[0].data, np.int16)) if event.frames else 0.0
        self._loudest = max(self._loudest, loud)
        return loud > QUIET_SHARE * self._loudest


def _age_of_voice(event: vad.VADEvent) -> float:
    """Seconds since the voice began that a detector has just noticed: it is there a while before that is certain."""
    frame = event.frames[0]
    samples = np.frombuffer(frame.data, np.int16)
    size = round(frame.sample_rate * ONSET_STEP)
    count = min(len(samples) // size, round((event.speech_duration + LONGEST_ONSET) / ONSET_STEP))
    steps = samples[len(samples) - count * size :].reshape(count, size).astype(np.float32)
    loud = np.sqrt((steps**2).mean(axis=1))
    quiet = np.flatnonzero(loud < QUIET_SHARE * loud.max())
    onset = (count - 1 - quiet[-1]) * ONSET_STEP if len(quiet) else 0.0
    return max(event.speech_duration, float(onset))
