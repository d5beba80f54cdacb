"""Why an on-device model can't run here, told without importing its engine."""

from __future__ import annotations

import importlib.util
import platform
import sys

from story.core.nearest import did_you_mean
from story.core.registry import ModelOptions
from story.providers.local.voices import HIBARI_VOICES, KOKORO_VOICES

KOKORO_MISSING = (
    "local/kokoro is not installed: pip install 'story-agents[kokoro]' "
    "(it brings phonemizer and espeakng-loader, which are GPL-3)"
)


def stt_problem(options: ModelOptions) -> str | None:
    if not _is_linux_x86_64() and sys.platform != "win32":
        return f"moonshine-voice 0.0.73 has no wheel for {_here()}"
    return _missing("moonshine_voice", "moonshine-voice==0.0.73") or language_problem(options)


def llm_problem(options: ModelOptions) -> str | None:
    if sys.platform == "linux" and not _is_linux_x86_64():
        return f"xllamacpp has no wheel for {_here()}"
    return _missing("xllamacpp", "xllamacpp")


def tts_problem(options: ModelOptions) -> str | None:
    if options.model == "kokoro" and not _installed("kokoro_onnx"):
        return KOKORO_MISSING
    return _missing("hibari", "hibari-tts==0.2.1") or voice_problem(options)


def language_problem(options: ModelOptions) -> str | None:
    if options.language is None or options.language.partition("-")[0] == "en":
        return None
    return f"local/{options.model} understands English only, not '{options.language}'"


def voice_problem(options: ModelOptions) -> str | None:
    voices = KOKORO_VOICES if options.model == "kokoro" else HIBARI_VOICES
    if options.voice is None or options.voice in voices:
        return None
    return f"local/{options.model} has no voice '{options.voice}'{did_you_mean(options.voice, voices)}"


def _missing(module: str, requirement: str) -> str | None:
    if _installed(module):
        return None
    return f"{requirement.partition('=')[0]} is not installed: pip install {requirement}"


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _is_linux_x86_64() -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64"


def _here() -> str:
    return f"{platform.system()} on {platform.machine()}"
