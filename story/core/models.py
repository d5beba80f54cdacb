"""What livekit-agents takes as a model of each role."""

from __future__ import annotations

from typing import TYPE_CHECKING

from story.core.registry import Role

if TYPE_CHECKING:
    from livekit.agents.voice.turn import TurnDetectionMode, _TurnDetector
    from livekit.rtc import AudioFrame, FrameProcessor, NoiseCancellationOptions
    from typing_extensions import TypeIs

    NoiseCancellation = NoiseCancellationOptions | FrameProcessor[AudioFrame]


def wrong_type(role: Role, model: object) -> str | None:  # noqa: PLR0911
    """What a model of this role has to be, if `model` is something else; None if all is well."""
    from livekit.agents import llm, stt, tts, vad

    match role:
        case Role.STT:
            return None if isinstance(model, stt.STT) else "a livekit.agents.stt.STT"
        case Role.LLM:
            return None if isinstance(model, llm.LLM) else "a livekit.agents.llm.LLM"
        case Role.TTS:
            return None if isinstance(model, tts.TTS) else "a livekit.agents.tts.TTS"
        case Role.REALTIME:
            return None if isinstance(model, llm.RealtimeModel) else "a livekit.agents.llm.RealtimeModel"
        case Role.VAD:
            return None if isinstance(model, vad.VAD) else "a livekit.agents.vad.VAD"
        case Role.TURN_DETECTOR:
            return None if turn_detection_mode(model) else "a turn detector, or stt, vad, realtime_llm or manual"
        case Role.NOISE_CANCELLATION:
            return None if noise_canceller(model) else "livekit NoiseCancellationOptions or a FrameProcessor"


def turn_detection_mode(model: object) -> TurnDetectionMode | None:
    """`model` as what livekit takes as `turn_detection`, None if it is no such thing."""
    # livekit names this protocol in the public TurnDetectionMode alone.
    from livekit.agents.voice.turn import _StreamingTurnDetector

    match model:
        case "stt" | "vad" | "realtime_llm" | "manual":
            return model
        case _StreamingTurnDetector():
            return model
    return model if _predicts(model) else None


def _predicts(model: object) -> TypeIs[_TurnDetector]:
    # livekit's protocol for detectors that read the chat is not one that isinstance can check
    return callable(getattr(model, "predict_end_of_turn", None))


def noise_canceller(model: object) -> NoiseCancellation | None:
    """`model` as what livekit takes as `noise_cancellation`, None if it is no such thing."""
    from livekit.rtc import FrameProcessor, NoiseCancellationOptions

    return model if isinstance(model, NoiseCancellationOptions | FrameProcessor) else None
