"""The goodbye of a call whose server has to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from story.core.call import Call

FAREWELL = "This server has to stop now. Say so kindly, and say goodbye, in one short sentence."
LAST_WORDS = "I have to stop now. Goodbye!"
"""Said as it is where the voice can: there may be no time for a language model to put it better."""


def part(call: Call) -> None:
    """Have the agent say goodbye, then end the call as shutdown."""
    call.finish(FAREWELL, reason="shutdown", closing=LAST_WORDS)
