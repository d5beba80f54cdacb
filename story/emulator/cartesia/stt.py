"""/stt, /stt/websocket (ink-whisper) and /stt/turns/websocket (ink-2) (https://docs.cartesia.ai/api-reference/stt)."""

from __future__ import annotations

import uuid

from aiohttp import web

from story.emulator.audio import AudioError, decoded
from story.emulator.exchange import Exchange, Upload, until
from story.emulator.hearing import Listener, Transcript, transcribe
from story.emulator.recogniser import SILENCE_SECONDS, Final, Interim, Recogniser
from story.emulator.socket import Socket
from story.emulator.vendor import VendorError

END_SECONDS = 0.4
"""Of silence that ends a turn; the vendor's model listens for the end of a sentence as well."""


def _listener(socket: Socket, *, silence: float, pause: float | None = None) -> Listener:
    encoding = socket.query.get("encoding", "pcm_s16le")
    if encoding != "pcm_s16le":
        raise VendorError(400, f"unsupported encoding {encoding}: send pcm_s16le", "invalid_encoding")
    rate = round(socket.number_in("sample_rate", 16_000, 8_000, 48_000))
    return Listener(socket.emulation.ears, rate, silence=silence, pause=pause)


def _words(transcript: Transcript) -> list[dict[str, object]]:
    return [{"word": w.text, "start": round(w.start, 3), "end": round(w.end, 3)} for w in transcript.words]


async def turns(socket: Socket) -> None:
    """Recognise turns in what is streamed."""
    request_id = str(uuid.uuid4())

    async def tell(kind: str, transcript: Transcript | None = None) -> None:
        told = {} if transcript is None else {"transcript": transcript.text}
        await socket.send({"type": kind, "request_id": request_id, **told})

    async def begun(_: float) -> None:
        await tell("turn.start")

    async def interim(found: Interim) -> None:
        await tell("turn.update", found.transcript)

    async def paused(found: Final) -> None:
        await tell("turn.eager_end", found.transcript)

    async def resumed(_: Interim) -> None:
        await tell("turn.resume")

    async def final(found: Final) -> None:
        await tell("turn.end", found.transcript)

    listener = _listener(socket, silence=END_SECONDS, pause=SILENCE_SECONDS)
    recogniser = Recogniser(socket, listener, begun, interim, final, paused, resumed)
    await tell("connected")
    async for message in socket:
        if isinstance(message, bytes):
            recogniser.hear(message)
        elif isinstance(message, dict) and message.get("type") == "close":
            recogniser.finish()
            await socket.drained()
            return
        else:
            raise VendorError(400, "expected audio or a close message", "invalid_message")


async def finalised(socket: Socket) -> None:
    """Recognise what is streamed; the client says when a sentence is over, or a silence does."""
    request_id = str(uuid.uuid4())

    async def nothing(_: object) -> None:
        pass

    async def final(found: Final) -> None:
        if not found.transcript.words:
            return
        await socket.send(
            {
                "type": "transcript",
                "request_id": request_id,
                "is_final": True,
                "text": found.transcript.text,
                "duration": round(found.end - found.start, 3),
                "language": socket.query.get("language", "en"),
                "words": _words(found.transcript),
            }
        )

    async def tell(kind: str) -> None:
        await socket.send({"type": kind, "request_id": request_id})

    recogniser = Recogniser(socket, _listener(socket, silence=END_SECONDS), nothing, nothing, final)
    async for message in socket:
        if isinstance(message, bytes):
            recogniser.hear(message)
        elif message == "finalize":
            recogniser.finish()
            socket.later(socket.arrived, lambda: tell("flush_done"))
        elif message in ("done", "close"):
            recogniser.finish()
            socket.later(socket.arrived, lambda: tell("done"))
            await socket.drained()
            return
        else:
            raise VendorError(400, "expected audio, finalize, done or close", "invalid_message")


async def recording(exchange: Exchange) -> web.StreamResponse:
    """Recognise a recording."""
    form = await exchange.form()
    upload = next((value for value in form.get("file", []) if isinstance(value, Upload)), None)
    if upload is None:
        raise VendorError(400, "file is required", "missing_file")
    model = next((value for value in form.get("model", []) if isinstance(value, str)), "ink-whisper")
    due = exchange.due("stt", model)
    try:
        pcm, rate = await decoded(upload.data)
    except AudioError:
        raise VendorError(400, "the audio can't be decoded", "invalid_audio") from None
    heard = await transcribe(exchange.emulation.ears, pcm, rate)
    await until(due)
    duration = round(len(pcm) / 2 / rate, 3)
    told = {"type": "transcript", "is_final": True, "text": heard.text, "language": "en", "duration": duration}
    return await exchange.reply({**told, "request_id": str(uuid.uuid4()), "words": _words(heard)})
