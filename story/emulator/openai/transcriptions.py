"""POST /v1/audio/transcriptions (https://platform.openai.com/docs/api-reference/audio/createTranscription)."""

from __future__ import annotations

from aiohttp import web

from story.emulator.audio import AudioError, decoded
from story.emulator.exchange import Exchange, Upload, until
from story.emulator.hearing import Transcript, transcribe
from story.emulator.openai.conversation import tokens
from story.emulator.vendor import VendorError

Form = dict[str, list[str | Upload]]

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
_AUDIO_TOKENS_A_SECOND = 10


async def transcriptions(exchange: Exchange) -> web.StreamResponse:
    """Write down a recording."""
    form = await exchange.form()
    model, asked = _text(form, "model"), _text(form, "response_format", "json")
    if asked not in FORMATS:
        known = ", ".join(FORMATS)
        raise VendorError(400, f"Invalid value: '{asked}'. Supported values are: {known}.", "invalid_value")
    upload = next((value for value in form.get("file", []) if isinstance(value, Upload)), None)
    if upload is None:
        raise VendorError(400, "Missing required parameter: 'file'.", "missing_required_parameter")
    due = exchange.due("stt", model)
    try:
        pcm, rate = await decoded(upload.data)
    except AudioError:
        raise VendorError(400, "Audio file might be corrupted or unsupported", "invalid_value") from None
    heard = await transcribe(exchange.emulation.ears, pcm, rate)
    seconds = len(pcm) / 2 / rate
    await until(due)
    if _text(form, "stream", "false") == "true":
        async with exchange.events() as events:
            for index, word in enumerate(heard.words):
                delta = f" {word.text}" if index else word.text
                await events.event({"type": "transcript.text.delta", "delta": delta})
            await events.event({"type": "transcript.text.done", "text": heard.text, "usage": _usage(heard, seconds)})
        return events.response
    if asked == "verbose_json":
        return await exchange.reply(_verbose(heard, seconds, form))
    if asked == "json":
        return await exchange.reply({"text": heard.text, "usage": _usage(heard, seconds)})
    return web.Response(text=_plain(heard, seconds, asked), headers=exchange.vendor.headers())


def _text(form: Form, name: str, default: str | None = None) -> str:
    value = next(iter(form.get(name, [])), default)
    if not isinstance(value, str) or not value:
        raise VendorError(400, f"Missing required parameter: '{name}'.", "missing_required_parameter")
    return value


def _usage(heard: Transcript, seconds: float) -> dict[str, object]:
    heard_tokens, sound = tokens(heard.text), round(seconds * _AUDIO_TOKENS_A_SECOND)
    details = {"audio_tokens": sound, "text_tokens": 0}
    counts = {"input_tokens": sound, "output_tokens": heard_tokens, "total_tokens": sound + heard_tokens}
    return {"type": "tokens", **counts, "input_token_details": details}


def _verbose(heard: Transcript, seconds: float, form: Form) -> dict[str, object]:
    language = _text(form, "language", "en")
    start, end = (heard.words[0].start, heard.words[-1].end) if heard.words else (0.0, seconds)
    segment = {
        "id": 0,
        "seek": 0,
        "start": round(start, 2),
        "end": round(end, 2),
        "text": heard.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": -0.2,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.01,
    }
    found: dict[str, object] = {
        "task": "transcribe",
        "language": {"en": "english"}.get(language, language),
        "duration": round(seconds, 2),
        "text": heard.text,
        "segments": [segment] if heard.words else [],
        "usage": {"type": "duration", "seconds": round(seconds)},
    }
    if "word" in form.get("timestamp_granularities[]", []):
        found["words"] = [{"word": w.text, "start": round(w.start, 2), "end": round(w.end, 2)} for w in heard.words]
    return found


def _plain(heard: Transcript, seconds: float, asked: str) -> str:
    if asked == "text":
        return heard.text + "\n"
    mark = "," if asked == "srt" else "."
    end = f"{int(seconds // 3600):02}:{int(seconds // 60) % 60:02}:{seconds % 60:06.3f}".replace(".", mark)
    times = f"00:00:00{mark}000 --> {end}"
    return f"1\n{times}\n{heard.text}\n" if asked == "srt" else f"WEBVTT\n\n{times}\n{heard.text}\n"
