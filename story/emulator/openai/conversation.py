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
    """The text in a message's content: a string, or a list of parts."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise VendorError(400, "Invalid type for 'content': expected a string or an array.", "invalid_type")
    texts = []
    for part in content:
        if not isinstance(part, dict):
            raise VendorError(400, "Invalid type for 'content': expected an array of objects.", "invalid_type")
        texts.append(part.get("text") or part.get("transcript") or "")
    return " ".join(text for text in texts if isinstance(text, str) and text)


def from_messages(body: Mapping[str, object]) -> Prompt:
    """What a chat completion asks. Raises VendorError(400)."""
    if "messages" not in body:
        raise VendorError(400, "Missing required parameter: 'messages'.", "missing_required_parameter")
    return Prompt([_message(m) for m in objects(body, "messages")], tools(body), tool_choice(body))


def from_items(
    body: Mapping[str, object], before: Iterable[Mapping[str, object]] = ()
) -> tuple[Prompt, list[dict[str, object]]]:
    """What a response asks, given the items `before` it; and all items. Raises VendorError(400)."""
    given = body.get("input")
    if given is None:
        raise VendorError(400, "Missing required parameter: 'input'.", "missing_required_parameter")
    new = [{"role": "user", "content": given}] if isinstance(given, str) else objects(body, "input")
    items = [*(dict(item) for item in before), *new]
    instructions = read(body, "instructions", str, "")
    said = [Said("system", instructions)] if instructions else []
    said += [entry for item in items if (entry := said_in(item)) is not None]
    return Prompt(said, tools(body), tool_choice(body)), items


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
        raise VendorError(400, f"Invalid value: '{role}'. Supported values are: {names}, and 'tool'.", "invalid_value")
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
        raise VendorError(400, "Invalid value for 'tool_choice'.", "invalid_value")
    return str(choice)


def arguments(text: object) -> dict[str, object]:
    """A call's arguments, as far as they are JSON."""
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _message(message: Mapping[str, object]) -> Said:
    if message.get("role") == "tool":
        return Said("tool", text_of(message.get("content")), call_id=read(message, "tool_call_id", str))
    calls = []
    for call in objects(message, "tool_calls"):
        function = read(call, "function", dict)
        calls.append(ToolCall(read(function, "name", str), arguments(function.get("arguments")), read(call, "id", str)))
    return Said(speaker(message), text_of(message.get("content")), tuple(calls))
