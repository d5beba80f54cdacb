"""What a call asks of the thing that carries its sound and text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from livekit.agents import AgentSession

    from story.core.call import Call


class Transport(Protocol):
    """How sound and text get in and out of one call: a terminal, sound files, a browser, a LiveKit room.

    A call attaches its transport before the session starts, and closes it after the session has ended. To follow
    the call, a transport subscribes to its events (`call.subscribe`); to end it, it calls `call.hang_up()`.
    """

    name: str
    audio: bool
    """False: text only. No speech model is built, and silence is never held against the caller."""

    async def attach(self, call: Call, session: AgentSession[Any]) -> None:
        """Set `session.input` and `session.output`. Called once, before the session starts."""

    async def run(self) -> None:
        """Carry the call; started once the session runs, cancelled when the call ends."""

    async def aclose(self) -> None:
        """Let go of devices, files and sockets. Called exactly once, also where `attach` failed.

        Raises:
            StoryError: what the user asked for (a recording, say) could not be finished.
        """
