"""What the events of a realtime client may hold (https://platform.openai.com/docs/api-reference/realtime-client-events).

A test compares the names with those of the `openai` package.
"""

from __future__ import annotations

from collections.abc import Mapping

from story.emulator.openai.checks import (
    Check,
    Either,
    Items,
    Number,
    OneOf,
    Pairs,
    Table,
    Text,
    Variants,
    anything,
    mapping,
    truth,
    unemulated,
)

LONGEST_ID = 32
"""Characters of the ids that a client chooses."""
MOST_TOKENS = 4096
VOICES = ("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse")

_MILLISECONDS = Number(0, 60_000, whole=True)
_ID = Text(LONGEST_ID)
_ITEM_ID = Text()

PCM = Table({"type": OneOf(("audio/pcm",)), "rate": OneOf((24_000,))})
FORMAT = Variants(
    "type",
    {
        "audio/pcm": PCM,
        "audio/pcmu": Table({"type": Text()}),
        "audio/pcma": Table({"type": Text()}),
    },
)
VOICE = Either(OneOf(VOICES), Table({"id": Text()}, required=("id",)))

_DETECTION: Mapping[str, Check] = {"type": Text(), "create_response": truth, "interrupt_response": truth}
SERVER_VAD = Table(
    {
        **_DETECTION,
        "threshold": Number(0, 1),
        "prefix_padding_ms": _MILLISECONDS,
        "silence_duration_ms": _MILLISECONDS,
        "idle_timeout_ms": Number(5_000, 30_000, whole=True),
    }
)
SEMANTIC_VAD = Table({**_DETECTION, "eagerness": OneOf(("low", "medium", "high", "auto"))})
TRANSCRIPTION = Table(
    {
        "model": Text(),
        "language": Text(),
        "languages": Items(Text()),
        "keywords": Items(Text()),
        "prompt": Text(),
        "delay": OneOf(("minimal", "low", "medium", "high", "xhigh")),
    }
)
NOISE_REDUCTION = Table({"type": OneOf(("near_field", "far_field")), "strength": Number(0)})
INPUT = Table(
    {
        "format": FORMAT,
        "transcription": TRANSCRIPTION,
        "noise_reduction": NOISE_REDUCTION,
        "turn_detection": Variants("type", {"server_vad": SERVER_VAD, "semantic_vad": SEMANTIC_VAD}),
    }
)
OUTPUT = Table({"format": FORMAT, "voice": VOICE, "speed": Number(0.25, 1.5)})

TOOL = Table(
    {"type": OneOf(("function",)), "name": Text(), "description": Text(), "parameters": mapping},
    required=("name",),
)
TOOL_CHOICE = Either(
    OneOf(("none", "auto", "required")),
    Table({"type": OneOf(("function",)), "name": Text()}, required=("type", "name")),
)
MODALITIES = OneOf((["audio"], ["text"]))


def tokens(value: object, path: str) -> None:
    """How many tokens a response may have."""
    if value != "inf":
        Number(1, MOST_TOKENS, whole=True)(value, path)


_SHARED: Mapping[str, Check] = {
    "instructions": Text(),
    "output_modalities": MODALITIES,
    "max_output_tokens": tokens,
    "tools": Items(TOOL),
    "tool_choice": TOOL_CHOICE,
    "parallel_tool_calls": truth,
    "reasoning": mapping,
    "prompt": unemulated,
}
SESSION = Table(
    {
        **_SHARED,
        "type": Text(),
        "model": Text(),
        "audio": Table({"input": INPUT, "output": OUTPUT}),
        "include": unemulated,
        "tracing": anything,
        "truncation": anything,
    },
    required=("type",),
)
TRANSCRIPTION_SESSION = Table(
    {"type": Text(), "audio": Table({"input": INPUT}), "include": unemulated}, required=("type",)
)

_ITEM: Mapping[str, Check] = {"id": _ID, "object": OneOf(("realtime.item",)), "type": Text(), "status": Text()}


def _message(**parts: Table) -> Table:
    content = Items(Variants("type", parts))
    return Table({**_ITEM, "role": Text(), "content": content}, required=("role", "content"))


_INPUT_TEXT = Table({"type": Text(), "text": Text()}, required=("text",))
SYSTEM_MESSAGE = _message(input_text=_INPUT_TEXT)
USER_MESSAGE = _message(
    input_text=_INPUT_TEXT,
    input_audio=Table({"type": Text(), "audio": Text(), "transcript": Text()}),
    input_image=Table({"type": Text(), "image_url": Text(), "detail": OneOf(("auto", "low", "high"))}),
)
ASSISTANT_MESSAGE = _message(
    output_text=Table({"type": Text(), "text": Text()}, required=("text",)),
    output_audio=Table({"type": Text(), "audio": Text(), "transcript": Text()}),
)
FUNCTION_CALL = Table({**_ITEM, "name": Text(), "call_id": _ID, "arguments": Text()}, required=("name", "arguments"))
FUNCTION_CALL_OUTPUT = Table({**_ITEM, "call_id": _ID, "output": Text()}, required=("call_id", "output"))
ITEM = Variants(
    "type",
    {
        "message": Variants("role", {"user": USER_MESSAGE, "assistant": ASSISTANT_MESSAGE, "system": SYSTEM_MESSAGE}),
        "function_call": FUNCTION_CALL,
        "function_call_output": FUNCTION_CALL_OUTPUT,
    },
)
REFERENCE = Table({"type": Text(), "id": _ITEM_ID}, required=("id",))
RESPONSE = Table(
    {
        **_SHARED,
        "audio": Table({"output": Table({"format": FORMAT, "voice": VOICE})}),
        "conversation": OneOf(("auto", "none")),
        "input": Items(Variants("type", {**ITEM.variants, "item_reference": REFERENCE})),
        "metadata": Pairs(),
    }
)


def _event(*required: str, **fields: Check) -> Table:
    return Table({"type": Text(), "event_id": Text(), **fields}, required)


EVENTS = {
    "session.update": _event("session", session=mapping),
    "input_audio_buffer.append": _event("audio", audio=Text()),
    "input_audio_buffer.commit": _event(),
    "input_audio_buffer.clear": _event(),
    "conversation.item.create": _event("item", previous_item_id=Text(), item=ITEM),
    "conversation.item.retrieve": _event("item_id", item_id=_ITEM_ID),
    "conversation.item.delete": _event("item_id", item_id=_ITEM_ID),
    "conversation.item.truncate": _event(
        "item_id",
        "content_index",
        "audio_end_ms",
        item_id=_ITEM_ID,
        content_index=Number(0, 0, whole=True),
        audio_end_ms=Number(0, whole=True),
    ),
    "response.create": _event(response=RESPONSE),
    "response.cancel": _event(response_id=Text()),
    "output_audio_buffer.clear": _event(),
}
"""By their type."""
