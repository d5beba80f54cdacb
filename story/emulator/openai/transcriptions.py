"""POST /v1/audio/transcriptions (https://platform.openai.com/docs/api-reference/audio/createTranscription)."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from story.emulator.audio import AudioError, decoded
from story.emulator.exchange import Exchange, Upload, until
from story.emulator.hearing import transcribe
from story.emulator.openai.conversation import tokens
from story.emulator.openai.models import check_model
from story.emulator.openai.transcription_formats import Recognised
from story.emulator.vendor import VendorError

Form = Mapping[str, list[str | Upload]]

WHISPER = "whisper-1"
WHISPER_FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
FORMATS = ("json", "text")
"""Of the models after Whisper."""
DIARIZED = "diarized_json"
"""Of the model that tells speakers apart."""
GRANULARITIES = ("word", "segment")
LARGEST = 25 * 2**20
"""Bytes of a recording."""
SHORTEST = 0.1
"""Seconds of a recording."""
_LOWEST_RATE = 1000
"""Hz; less is no speech, whatever the file's header says."""
_AUDIO_TOKENS_A_SECOND = 10


async def transcriptions(exchange: Exchange) -> web.StreamResponse:
    """Write down a recording."""
    form = await exchange.form()
    model = check_model(_text(form, "model"))
    _refuse_unemulated(form)
    asked, granularities = _format(form, model), _granularities(form)
    streamed = _text(form, "stream", "false").lower() == "true" and model != WHISPER  # which ignores it
    upload = _upload(form)
    due = exchange.due("stt", model)
    pcm, rate = await _recording(upload)
    heard = await transcribe(exchange.emulation.ears, pcm, rate)
    made = Recognised(heard, len(pcm) / 2 / rate, _text(form, "language", "en"))
    await until(due)
    if streamed:
        async with exchange.events() as events:
            for segment in made.diarized() if asked == DIARIZED else ():
                await events.event(segment)
            for index, word in enumerate(heard.words if asked != DIARIZED else ()):
                delta = f" {word.text}" if index else word.text
                await events.event({"type": "transcript.text.delta", "delta": delta})
            usage = _usage(model, made)
            await events.event({"type": "transcript.text.done", "text": heard.text, "usage": usage})
        return events.response
    if asked == "verbose_json":
        return await exchange.reply({**made.verbose(granularities), "usage": _usage(model, made)})
    if asked == DIARIZED:
        told = {"task": "transcribe", "duration": round(made.seconds, 2), "text": heard.text}
        return await exchange.reply({**told, "segments": made.diarized(), "usage": _usage(model, made)})
    if asked == "json":
        return await exchange.reply({"text": heard.text, "usage": _usage(model, made)})
    async with exchange.stream("text/plain; charset=utf-8") as stream:
        await stream.send(made.plain(asked).encode())
    return stream.response


def _text(form: Form, name: str, default: str | None = None) -> str:
    value = next(iter(form.get(name, [])), default)
    if not isinstance(value, str) or not value:
        message = f"Missing required parameter: '{name}'."
        raise VendorError(400, message, "missing_required_parameter", param=name)
    return value


def _format(form: Form, model: str) -> str:
    asked = _text(form, "response_format", "json")
    if asked not in (*WHISPER_FORMATS, DIARIZED):
        known = ", ".join(f"'{name}'" for name in (*WHISPER_FORMATS, DIARIZED))
        message = f"Invalid value: '{asked}'. Supported values are: {known}."
        raise VendorError(400, message, "invalid_value", param="response_format")
    known_here = WHISPER_FORMATS if model == WHISPER else (*FORMATS, DIARIZED) if "diarize" in model else FORMATS
    if asked not in known_here:
        listed = " or ".join(f"'{name}'" for name in known_here)
        message = f"response_format '{asked}' is not compatible with model '{model}'. Use {listed} instead."
        raise VendorError(400, message, "unsupported_value", param="response_format")
    return asked


def _refuse_unemulated(form: Form) -> None:
    """Parameters that would change the answer but can't here. Raises VendorError(400) for one that is set."""
    for name in ("include", "known_speaker_names", "known_speaker_references"):
        if form.get(name) or form.get(f"{name}[]"):
            raise VendorError(
                400, f"Unsupported parameter: '{name}' is not emulated.", "unsupported_parameter", param=name
            )


def _granularities(form: Form) -> tuple[str, ...]:
    """Of the times in a verbose answer; by default those of segments."""
    name = "timestamp_granularities[]"
    asked = [value for value in form.get(name, []) if isinstance(value, str)]
    if any(value not in GRANULARITIES for value in asked):
        raise VendorError(400, f"Invalid '{name}': expected 'word' or 'segment'.", "invalid_value", param=name)
    if asked and _text(form, "response_format", "json") != "verbose_json":
        message = "The 'timestamp_granularities' parameter is only allowed with response_format 'verbose_json'."
        raise VendorError(400, message, param=name)
    return tuple(asked) or ("segment",)


def _upload(form: Form) -> Upload:
    upload = next((value for value in form.get("file", []) if isinstance(value, Upload)), None)
    if upload is None:
        raise VendorError(400, "Missing required parameter: 'file'.", "missing_required_parameter", param="file")
    if len(upload.data) > LARGEST:
        message = f"Maximum content size limit ({LARGEST}) exceeded ({len(upload.data)} bytes read)"
        raise VendorError(413, message)
    return upload


async def _recording(upload: Upload) -> tuple[bytes, int]:
    """Its sound, s16le mono, and the rate (Hz). Raises VendorError(400)."""
    try:
        pcm, rate = await decoded(upload.data)
    except AudioError:
        rate = 0
    if rate < _LOWEST_RATE:
        raise VendorError(400, "Audio file might be corrupted or unsupported", "invalid_value", param="file")
    if len(pcm) / 2 / rate < SHORTEST:
        message = f"Audio file is too short. Minimum audio length is {SHORTEST:g} seconds."
        raise VendorError(400, message, "audio_too_short", param="file")
    return pcm, rate


def _usage(model: str, made: Recognised) -> dict[str, object]:
    if model == WHISPER:  # billed by time, the others by tokens
        return {"type": "duration", "seconds": round(made.seconds)}
    written, sound = tokens(made.heard.text), round(made.seconds * _AUDIO_TOKENS_A_SECOND)
    details = {"audio_tokens": sound, "text_tokens": 0}
    counts = {"input_tokens": sound, "output_tokens": written, "total_tokens": sound + written}
    return {"type": "tokens", **counts, "input_token_details": details}
