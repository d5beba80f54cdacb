"""OpenAI's messages, items and tools as what a brain is asked, and how much they are worth."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from story.emulator.brain import Prompt, Said, Tool, ToolCall, Who
from story.emulator.fields import objects, read
from story.emulator.vendor import VendorError

_SPEAKERS: dict[str, Who] = {
    "system": "system",
    "developer": "system",
    "user": "caller",
    "assistant": "agent",
}
_TEXT_FIELDS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
    "input_audio": "transcript",
    "output_audio": "transcript",
    "image_url": None,
    "input_image": None,
    "file": None,
    "input_file": None,
}
"""Kinds of content, and where their words are; pictures and files have none for an emulated model."""
CHARACTERS_A_TOKEN = 4
"""Of English text, as OpenAI's own rule of thumb has it."""


def tokens(text: str) -> int:
    """About how many tokens `text` is."""
    return (len(text) + CHARACTERS_A_TOKEN - 1) // CHARACTERS_A_TOKEN


def prompt_tokens(prompt: Prompt) -> int:
    """About how many tokens a prompt is."""
    calls = (json.dumps(dict(call.arguments)) for said in prompt.said for call in said.calls)
    tools = (tool.name + tool.description + json.dumps(dict(tool.parameters)) for tool in prompt.tools)
    return sum(map(tokens, [*(said.text for said in prompt.said), *calls, *tools])) + 3


def text_of(content: object) -> str:
    """The text in a message's content: a string, or a list of parts. Raises VendorError(400)."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = objects({"content": content}, "content")
    return " ".join(text for part in parts if (text := _text_of_part(part)))


def from_messages(body: Mapping[str, object]) -> Prompt:
    """What a chat completion asks. Raises VendorError(400)."""
    if body.get("messages") is None:
        message = "Missing required parameter: 'messages'."
        raise VendorError(400, message, "missing_required_parameter", param="messages")
    messages = objects(body, "messages")
    if not messages:
        message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array."
        raise VendorError(400, message, "empty_array", param="messages")
    said = [_message(message) for message in messages]
    _check_results(said)
    return checked(Prompt(said, tools(body), tool_choice(body)))


def from_items(
    body: Mapping[str, object], before: Iterable[Mapping[str, object]] = ()
) -> tuple[Prompt, list[dict[str, object]]]:
    """What a response asks, given the items `before` it; and all items. Raises VendorError(400)."""
    given = body.get("input")
    if given is None:
        raise VendorError(400, "Missing required parameter: 'input'.", "missing_required_parameter", param="input")
    new = [{"role": "user", "content": given}] if isinstance(given, str) else objects(body, "input")
    items = [*(dict(item) for item in before), *new]
    instructions = read(body, "instructions", str, "")
    said = [entry for item in items if (entry := said_in(item)) is not None]
    _check_outputs(said)
    told = [Said("system", instructions), *said] if instructions else said
    return checked(Prompt(told, tools(body), tool_choice(body))), items


def said_in(item: Mapping[str, object]) -> Said | None:
    """An item of the Responses or Realtime API as what was said; None for what says nothing (reasoning)."""
    kind = read(item, "type", str, "message")
    if kind == "function_call":
        call = ToolCall(read(item, "name", str), arguments(item.get("arguments")), read(item, "call_id", str))
        return Said("agent", calls=(call,))
    if kind == "function_call_output":
        output = item.get("output")
        text = output if isinstance(output, str) else json.dumps(output)
        return Said("tool", text, call_id=read(item, "call_id", str))
    if kind != "message":
        return None
    return Said(speaker(item), text_of(item.get("content")))


def speaker(message: Mapping[str, object]) -> Who:
    """Who says a message. Raises VendorError(400)."""
    role = read(message, "role", str)
    if role not in _SPEAKERS:
        names = ", ".join(f"'{name}'" for name in _SPEAKERS)
        told = f"Invalid value: '{role}'. Supported values are: {names}, and 'tool'."
        raise VendorError(400, told, "invalid_value", param="role")
    return _SPEAKERS[role]


def tools(body: Mapping[str, object]) -> list[Tool]:
    """The functions on offer, in either of the API's two forms."""
    found: list[Tool] = []
    for tool in objects(body, "tools"):
        if tool.get("type") != "function":
            continue
        function = read(tool, "function", dict, tool)
        description = read(function, "description", str, "")
        found.append(Tool(read(function, "name", str), description, read(function, "parameters", dict, {})))
    return found


def tool_choice(body: Mapping[str, object]) -> str:
    """As `Prompt.tool_choice`. Raises VendorError(400)."""
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        return read(read(choice, "function", dict, choice), "name", str)
    if choice is None:
        return "auto"
    if choice not in ("auto", "none", "required"):
        message = "Invalid value for 'tool_choice': expected 'none', 'auto', 'required', or a function."
        raise VendorError(400, message, "invalid_value", param="tool_choice")
    return str(choice)


def arguments(text: object) -> dict[str, object]:
    """A call's arguments, as far as they are JSON."""
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def checked(prompt: Prompt) -> Prompt:
    """`prompt`, whose tool choice fits its tools. Raises VendorError(400) where it doesn't."""
    names = {tool.name for tool in prompt.tools}
    if prompt.tool_choice == "required" and not names:
        message = "Tool choice 'required' must be specified with 'tools' parameter."
        raise VendorError(400, message, param="tool_choice")
    if prompt.tool_choice not in ("auto", "none", "required") and prompt.tool_choice not in names:
        message = f"Tool choice '{prompt.tool_choice}' not found in 'tools' parameter."
        raise VendorError(400, message, param="tool_choice")
    return prompt


def _check_results(messages: list[Said]) -> None:
    """Each call has its result right behind it, and there is no other; as chat completions have it."""
    open_calls: list[str] = []
    for index, message in enumerate([*messages, Said("caller")]):
        if message.who == "tool":
            if message.call_id not in open_calls:
                told = "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                raise VendorError(400, f"Invalid parameter: {told}", param=f"messages.[{index}].role")
            open_calls.remove(message.call_id)
            continue
        if open_calls:
            told = (
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_calls)}"
            )
            raise VendorError(400, told, param="messages")
        open_calls = [call.id for call in message.calls]


def _check_outputs(said: list[Said]) -> None:
    """Each call has its output somewhere behind it, and each output its call; as responses have it.

    A call may come twice: livekit's plugin sends those of `previous_response_id` again.
    """
    called: dict[str, bool] = {}
    for entry in said:
        if entry.who == "tool" and entry.call_id is not None:
            if entry.call_id not in called:
                message = f"No tool call found for function call output with call_id {entry.call_id}."
                raise VendorError(400, message, param="input")
            called[entry.call_id] = True
        for call in entry.calls:
            called.setdefault(call.id, False)
    missing = next((call_id for call_id, answered in called.items() if not answered), None)
    if missing is not None:
        raise VendorError(400, f"No tool output found for function call {missing}.", param="input")


def _text_of_part(part: Mapping[str, object]) -> str:
    kind = read(part, "type", str)
    if kind not in _TEXT_FIELDS:
        known = ", ".join(f"'{name}'" for name in _TEXT_FIELDS)
        message = f"Invalid value: '{kind}'. Supported values are: {known}."
        raise VendorError(400, message, "invalid_value", param="content.type")
    field = _TEXT_FIELDS[kind]
    return "" if field is None else read(part, field, str, "" if field == "transcript" else None)


def _message(message: Mapping[str, object]) -> Said:
    if message.get("role") == "tool":
        return Said("tool", text_of(message.get("content")), call_id=read(message, "tool_call_id", str))
    calls = []
    for call in objects(message, "tool_calls"):
        function = read(call, "function", dict)
        calls.append(ToolCall(read(function, "name", str), arguments(function.get("arguments")), read(call, "id", str)))
    return Said(speaker(message), text_of(message.get("content")), tuple(calls))
