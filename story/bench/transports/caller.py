"""A caller who is measured at the other end of a connection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from livekit.agents import AgentSession

from story.bench.caller import BenchCaller
from story.bench.scenarios import Scenario
from story.bench.transports.choice import Connect
from story.bench.transports.connection import Connection
from story.core.errors import CallError
from story.transports.file import first_of
from story.transports.playout import PacedLine
from story.transports.sound import Samples

if TYPE_CHECKING:
    from story.core.call import Call


def calling(
    scenario: Scenario,
    connect: Connect | None,
    *,
    out: Path | None = None,
    on_attached: Callable[[Call, AgentSession[Any]], None] | None = None,
    seed: int = 0,
) -> BenchCaller:
    """The caller of one call: over a connection, or where none is made on a line in this process."""
    if connect is None:
        return BenchCaller(scenario, out=out, on_attached=on_attached, seed=seed)
    return ConnectedCaller(scenario, connect(), out=out, on_attached=on_attached, seed=seed)


class ConnectedLine(PacedLine):
    """The caller's end of a connection, in step with the caller's own clock."""

    def __init__(
        self,
        connection: Connection,
        on_frame: Callable[[Samples, Samples], None],
        through: Callable[[Samples], Samples],
    ) -> None:
        super().__init__(on_frame, through)
        self._connection = connection
        self._since = 0.0

    @property
    def position(self) -> float:
        return self.now - self._since

    def agent_began(self) -> None:
        """The agent begins to say something."""
        self._since = self.now

    def close(self) -> None:
        pass  # the connection is closed as a whole

    def _push(self, caller: Samples) -> None:
        self._connection.send(caller)

    def _pull(self, count: int) -> Samples:
        return self._connection.ear.pull(count, self.now)


class ConnectedCaller(BenchCaller):
    """Speaks and hears at the one end of `connection`; the call is at the other, with the product's own transport.

    When the agent has finished it is told by the call, as a caller in process is: only what is heard is measured.
    """

    def __init__(
        self,
        scenario: Scenario,
        connection: Connection,
        *,
        out: Path | None = None,
        on_attached: Callable[[Call, AgentSession[Any]], None] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(scenario, out=out, on_attached=on_attached, seed=seed)
        self._connection = connection
        self.name = connection.agent.name

    async def run(self) -> None:
        await first_of(self._connection.agent.run(), super().run())

    async def aclose(self) -> None:
        try:
            await self._connection.aclose()
        finally:
            await super().aclose()

    async def _connected(self, call: Call, session: AgentSession[Any]) -> PacedLine:
        await self._connection.connect()
        await self._connection.agent.attach(call, session)
        line = ConnectedLine(self._connection, self._on_frame, self._way())
        output = session.output.audio
        if output is None:
            raise CallError(f"the transport {self.name} has no sound")
        output.on("playback_started", lambda _: line.agent_began())
        output.on("playback_started", self._on_started)
        output.on("playback_finished", self._on_finished)
        return line
