"""The conversation of benchmarks/data/talk.toml with Pipecat: its services, its turn detection, its WebRTC transport.

    python pipecat_bot.py --port 9301 --vendors http://127.0.0.1:8770

Everything is as in Pipecat's examples: Silero and its end-of-turn model, the realtime service beside the pipeline's LLM
and voice in a switcher that a tool turns, and connected from the start of the call.

POST /offer takes {sdp, type} and answers the same; GET /stat tells how many calls there are. Needs an environment of
its own: see README.md.
"""

from __future__ import annotations

import argparse
import sys

import aioice.ice
import uvicorn
from fastapi import BackgroundTasks, FastAPI
from loguru import logger
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import EndFrame, LLMRunFrame, ManuallySwitchServiceFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.service_switcher import ServiceSwitcher, ServiceSwitcherStrategyManual
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair, LLMUserAggregatorParams
from pipecat.processors.frame_processor import FrameDirection
from pipecat.services.cartesia.tts import CartesiaTTSService
from pipecat.services.deepgram.stt import DeepgramSTTService
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.openai.realtime.events import (
    AudioConfiguration,
    AudioInput,
    InputAudioTranscription,
    SemanticTurnDetection,
    SessionProperties,
)
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.connection import SmallWebRTCConnection
from pipecat.transports.smallwebrtc.request_handler import SmallWebRTCRequest, SmallWebRTCRequestHandler
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner
from pydantic import BaseModel

LOOPBACK = "127.0.0.1"
TALKER = "You talk with the caller. Learn their name and where they live."
TELLER = "You tell the caller a story."

aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [LOOPBACK]


class Offer(BaseModel):
    sdp: str
    type: str


class Bot:
    """One call. vendors: where the emulator is."""

    def __init__(self, vendors: str, connection: SmallWebRTCConnection) -> None:
        sockets = vendors.replace("http", "ws", 1)
        params = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
        self._transport = SmallWebRTCTransport(connection, params)
        self._teller = self._realtime(sockets)
        self._context = LLMContext([], [self.information_gathered])
        self._sides = LLMContextAggregatorPair(
            self._context, user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
        )
        stt = DeepgramSTTService(api_key="none", base_url=sockets)
        llm = OpenAILLMService(
            api_key="none",
            base_url=f"{vendors}/v1",
            settings=OpenAILLMService.Settings(model="gpt-4o-mini", system_instruction=TALKER),
        )
        tts = CartesiaTTSService(
            api_key="none",
            url=f"{sockets}/tts/websocket",
            settings=CartesiaTTSService.Settings(voice="any"),
        )
        # Behind the switcher the voice would say what the realtime model says a second time.
        switcher = ServiceSwitcher([Pipeline([llm, tts]), self._teller], ServiceSwitcherStrategyManual)
        line = [self._transport.input(), stt, self._sides.user(), switcher, self._transport.output()]
        self._worker = PipelineWorker(
            Pipeline([*line, self._sides.assistant()]),
            params=PipelineParams(enable_metrics=True, enable_usage_metrics=True),
        )
        self._runner = WorkerRunner(handle_sigint=False)

    async def run(self) -> None:
        """Hold the call."""
        transport = self._transport

        @transport.event_handler("on_client_connected")
        async def greet(transport: object, client: object) -> None:
            self._context.add_message({"role": "developer", "content": "Greet the caller in one short sentence."})
            await self._worker.queue_frames([LLMRunFrame()])

        @transport.event_handler("on_client_disconnected")
        async def leave(transport: object, client: object) -> None:
            await self._runner.cancel()

        await self._runner.add_workers(self._worker)
        await self._runner.run()

    async def information_gathered(self, params: FunctionCallParams, name: str, location: str) -> None:
        """The caller has told their name and where they live.

        Args:
            name: The name of the caller
            location: Where the caller lives
        """
        self._context.set_tools(ToolsSchema(standard_tools=[self.story_finished]))
        switch = ManuallySwitchServiceFrame(service=self._teller)
        await self._sides.assistant().push_frame(switch, FrameDirection.UPSTREAM)
        await params.result_callback({"status": "ok", "name": name, "location": location})

    async def story_finished(self, params: FunctionCallParams) -> None:
        """The caller wants no more."""
        await self._worker.queue_frames([EndFrame()])

    @staticmethod
    def _realtime(sockets: str) -> OpenAIRealtimeLLMService:
        heard = AudioInput(transcription=InputAudioTranscription(), turn_detection=SemanticTurnDetection())
        return OpenAIRealtimeLLMService(
            api_key="none",
            base_url=f"{sockets}/v1/realtime",
            settings=OpenAIRealtimeLLMService.Settings(
                system_instruction=TELLER,
                session_properties=SessionProperties(audio=AudioConfiguration(input=heard)),
            ),
        )


def application(vendors: str) -> FastAPI:
    """The server of calls."""
    app = FastAPI()
    handler = SmallWebRTCRequestHandler()
    calls: set[Bot] = set()

    async def hold(bot: Bot) -> None:
        calls.add(bot)
        try:
            await bot.run()
        finally:
            calls.discard(bot)

    @app.post("/offer")
    async def offer(body: Offer, background: BackgroundTasks) -> dict[str, str] | None:
        async def connected(connection: SmallWebRTCConnection) -> None:
            background.add_task(hold, Bot(vendors, connection))

        return await handler.handle_web_request(SmallWebRTCRequest(body.sdp, body.type), connected)

    @app.get("/stat")
    async def stat() -> dict[str, int]:
        return {"calls": len(calls)}

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=9301)
    parser.add_argument("--vendors", default="http://127.0.0.1:8770")
    options = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    uvicorn.run(application(options.vendors), host=LOOPBACK, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
