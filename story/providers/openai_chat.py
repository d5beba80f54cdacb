"""OpenAI's chat completions, at a cost that does not grow with the conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from openai import omit
from openai.resources.chat import AsyncCompletions

if TYPE_CHECKING:
    from livekit.plugins import openai


class Completions(AsyncCompletions):
    """The vendor's client, which takes messages and tools as they are.

    It (3.54) looks through every message for what may have to be renamed, which nothing in livekit's messages has: half
    a millisecond each, for the whole conversation, before every answer; and all other calls wait meanwhile.
    """

    async def create(  # type: ignore[override]
        self,
        *,
        messages: Iterable[Mapping[str, Any]],
        tools: Any = omit,
        extra_body: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        body = {**(extra_body or {}), "messages": list(messages)}
        if tools is not omit:
            body["tools"] = list(tools)
        return await super().create(messages=[], extra_body=body, **options)


def with_plain_messages(model: openai.LLM) -> openai.LLM:
    """`model`, which asks by way of these completions from now on."""
    vars(model._client.chat)["completions"] = Completions(model._client)  # where cached_property looks
    return model
