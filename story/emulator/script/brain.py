"""Answers from a script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence

from story.emulator.brain import BrainError, Prompt, Tool, ToolCall
from story.emulator.script.model import Reply, Script

LONGEST = 4000
"""Characters that patterns are searched in, from the end, so that a long conversation makes none of them slow. One that
tries ever more ways, such as (a+)+$, is for the script's author to avoid: Python can't interrupt it."""
_VERBATIM = re.compile(r'^Say: "(.+?)"(?=\s|\Z)', re.MULTILINE | re.DOTALL)
"""How story has a realtime model, which can't be given its words, say an opening or a closing."""


class ScriptBrain:
    """The first reply of a script whose conditions hold."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def answer(self, prompt: Prompt) -> AsyncIterator[str | ToolCall]:
        """What it is told to say, then the reply's text, word by word, and last the reply's call.

        What it is told to say is the whole answer if the instructions end there, and no call is required.
        """
        words, more = _told(prompt)
        facts = self._facts(prompt)
        reply = self._reply(prompt, facts) if more else Reply()
        spoken = sum(said.who == "agent" and bool(said.text) for said in prompt.said)
        if reply.say:
            words += reply.say[spoken % len(reply.say)].format_map(facts).split()
        for index, word in enumerate(words):
            yield f" {word}" if index else word
        if reply.call is not None:
            tool = next(tool for tool in prompt.tools if tool.name == reply.call)
            yield ToolCall(tool.name, _arguments(tool, reply.arguments, facts))

    async def aclose(self) -> None:
        pass

    def _facts(self, prompt: Prompt) -> dict[str, str]:
        """What is known: the latest that the caller said, over what the instructions say."""
        found: dict[str, str] = {}
        for patterns, texts in ((self._script.told, [prompt.instructions]), (self._script.facts, prompt.caller)):
            for name, alternatives in patterns.items():
                for text in texts:
                    if (value := _fact(alternatives, text)) is not None:
                        found[name] = value
        return found

    def _reply(self, prompt: Prompt, facts: Mapping[str, str]) -> Reply:
        allowed = [reply for reply in self._script.replies if _may_call(reply, prompt)]
        if prompt.tool_choice not in ("auto", "none"):  # a call is required
            named = None if prompt.tool_choice == "required" else prompt.tool_choice
            calls = [reply for reply in allowed if reply.call is not None and named in (None, reply.call)]
            if found := next((reply for reply in calls if reply.needs <= facts.keys()), None):
                return found
        found = next((reply for reply in allowed if _holds(reply, prompt, facts)), None)
        if found is None:
            raise BrainError("the script has no reply for this: end it with one that has no conditions")
        return found


def _told(prompt: Prompt) -> tuple[list[str], bool]:
    """The words that the instructions say to say, and whether there is more to answer."""
    for text in (said.text[-LONGEST:] for said in reversed(prompt.said) if said.who == "system"):
        if told := next(reversed(list(_VERBATIM.finditer(text))), None):
            return told[1].split(), prompt.tool_choice not in ("auto", "none") or bool(text[told.end() :].strip())
    return [], True


def _may_call(reply: Reply, prompt: Prompt) -> bool:
    if reply.call is None:
        return True
    return prompt.tool_choice != "none" and any(tool.name == reply.call for tool in prompt.tools)


def _holds(reply: Reply, prompt: Prompt, facts: Mapping[str, str]) -> bool:
    offered = {tool.name for tool in prompt.tools} if prompt.tool_choice != "none" else set()
    last = prompt.caller[-1] if prompt.caller else ""
    return (
        offered.issuperset(reply.offered)
        and reply.needs <= facts.keys()
        and facts.keys() >= set(reply.known)
        and facts.keys().isdisjoint(reply.unknown)
        and (reply.after is None or reply.after == _answered_tool(prompt))
        and (reply.when is None or _searched(reply.when, last))
        and (reply.instructions is None or _searched(reply.instructions, prompt.instructions))
    )


def _searched(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.search(text[-LONGEST:]) is not None


def _fact(patterns: Sequence[re.Pattern[str]], text: str) -> str | None:
    for pattern in patterns:
        if (match := pattern.search(text[-LONGEST:])) and (value := match.group(1)):
            return value.strip()
    return None


def _answered_tool(prompt: Prompt) -> str | None:
    """The tool whose result came last, if nothing was said since."""
    if not prompt.answers_tool():
        return None
    names = {call.id: call.name for said in prompt.said for call in said.calls}
    return next((names.get(said.call_id or "") for said in reversed(prompt.said) if said.who == "tool"), None)


def _arguments(tool: Tool, given: Mapping[str, object], facts: Mapping[str, str]) -> dict[str, object]:
    """The arguments with their facts filled in, numbers and truths as the tool's schema wants them."""
    properties = tool.parameters.get("properties")
    kinds = properties if isinstance(properties, Mapping) else {}
    found: dict[str, object] = {}
    for name, value in given.items():
        filled = _filled(value, facts)
        told = kinds.get(name)
        found[name] = _typed(filled, told.get("type") if isinstance(told, Mapping) else None)
    return found


def _filled(value: object, facts: Mapping[str, str]) -> object:
    if isinstance(value, str):
        return value.format_map(facts)
    if isinstance(value, Mapping):
        return {name: _filled(inner, facts) for name, inner in value.items()}
    return [_filled(inner, facts) for inner in value] if isinstance(value, list) else value


def _typed(value: object, kind: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        if kind == "integer":
            return int(value)
        if kind == "number":
            return float(value)
    except ValueError:
        return value
    return value.lower() in ("yes", "true", "1") if kind == "boolean" else value
