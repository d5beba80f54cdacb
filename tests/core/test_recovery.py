"""What a call tells of a model's failure."""

from __future__ import annotations

import time
from typing import Any

import pytest
from livekit.agents import APIError, ErrorEvent, llm
from openai.types.realtime import RealtimeError

from story.core import events
from story.core.recovery import PersonaStacks, Recovery


class Told:
    """As much of a call as a failure that passes needs."""

    agent = None

    def __init__(self) -> None:
        self.faults: list[dict[str, Any]] = []

    def tell(self, kind: type[events.Event], **fields: Any) -> None:
        assert kind is events.CallFault
        self.faults.append(fields)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            APIError("OpenAI returned an error", body=RealtimeError(message="Audio is too short", type="invalid")),
            "OpenAI returned an error: Audio is too short",
        ),
        (APIError("no such voice"), "no such voice"),
        (ValueError("odd"), "odd"),
    ],
    ids=["realtime", "without a body", "other"],
)
def test_it_has_the_words_of_the_vendor(error: Exception, message: str) -> None:
    call = Told()
    recovery = Recovery(call, PersonaStacks({}, {}, {}), lambda text: text)  # type: ignore[arg-type]
    failed = llm.RealtimeModelError(timestamp=time.time(), label="fake", error=error, recoverable=True)
    recovery.on_error(ErrorEvent(error=failed, source=None))
    assert [fault["message"] for fault in call.faults] == [message]
