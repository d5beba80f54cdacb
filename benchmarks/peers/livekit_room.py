"""The conversation of benchmarks/data/talk.toml as a LiveKit worker without story, as livekit's own examples write it.

    LIVEKIT_URL=... LIVEKIT_API_KEY=... LIVEKIT_API_SECRET=... python livekit_room.py --vendors http://127.0.0.1:8770

The variables PLAIN_TURNS (vad, default) and PLAIN_JOBS (process, thread) are options. `vad` goes by silence alone and
lets callers break in from the first second; `default` leaves every option of the session as livekit has it. The load
it reports is always 0: with livekit's own measure, the machine's CPU, calls are lost where it is high.
"""

from __future__ import annotations

import argparse
import os
import sys

from livekit import api
from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    JobContext,
    JobExecutorType,
    JobProcess,
    RunContext,
    function_tool,
    get_job_context,
)
from livekit.plugins import cartesia, deepgram, openai, silero

BY_SILENCE = os.environ.get("PLAIN_TURNS", "default") == "vad"
THREADS = os.environ.get("PLAIN_JOBS", "process") == "thread"
PORT, VENDORS = "PLAIN_PORT", "PLAIN_VENDORS"
AGENT = "story"


def vendors() -> str:
    return os.environ[VENDORS]


class Talker(Agent):
    """Learns who calls."""

    def __init__(self) -> None:
        super().__init__(instructions="You talk with the caller. Learn their name and where they live.")

    async def on_enter(self) -> None:
        self.session.generate_reply()

    @function_tool
    async def information_gathered(self, context: RunContext, name: str, location: str) -> Agent:
        """The caller has told their name and where they live.

        Args:
            name: The name of the caller
            location: Where the caller lives
        """
        return Teller(name, location)


class Teller(Agent):
    """Tells a story, with a realtime model."""

    def __init__(self, name: str, location: str) -> None:
        model = openai.realtime.RealtimeModel(voice="echo", base_url=f"{vendors()}/v1", api_key="none")
        instructions = f"You tell the caller a story. The caller is {name}, from {location}."
        super().__init__(instructions=instructions, llm=model, tts=None)

    async def on_enter(self) -> None:
        self.session.generate_reply()

    @function_tool
    async def story_finished(self, context: RunContext) -> None:
        """The caller wants no more."""
        job = get_job_context()
        await job.api.room.delete_room(api.DeleteRoomRequest(room=job.room.name))


def prewarm(process: JobProcess) -> None:
    process.userdata["vad"] = silero.VAD.load()


server = AgentServer(
    setup_fnc=prewarm,
    port=int(os.environ.get(PORT, "0")),
    host="127.0.0.1",
    load_fnc=lambda: 0.0,
    job_executor_type=JobExecutorType.THREAD if THREADS else JobExecutorType.PROCESS,
)


@server.rtc_session(agent_name=AGENT)
async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    options = {"aec_warmup_duration": None, "turn_handling": {"turn_detection": "vad"}} if BY_SILENCE else {}
    session = AgentSession(
        vad=ctx.proc.userdata["vad"],
        stt=deepgram.STT(model="nova-3", base_url=f"{vendors()}/v1/listen", api_key="none"),
        llm=openai.LLM(model="gpt-4o-mini", base_url=f"{vendors()}/v1", api_key="none"),
        tts=cartesia.TTS(base_url=vendors(), api_key="none"),
        **options,
    )
    await session.start(Talker(), room=ctx.room)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--vendors", default="http://127.0.0.1:8770")
    options = parser.parse_args()
    words = [sys.executable, "-m", "livekit.agents", "start", __file__]
    os.execve(sys.executable, words, {**os.environ, PORT: str(options.port), VENDORS: options.vendors})


if __name__ == "__main__":
    main()
