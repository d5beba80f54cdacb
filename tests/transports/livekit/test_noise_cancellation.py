"""Noise cancellation of somebody else's, in a room: a plugin whose canceller takes all there is for noise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from story.transports.livekit.server_access import LiveKitServer
from tests.transports.livekit.caller import Caller, calling
from tests.transports.livekit.running import StoryRun, worker

pytestmark = [pytest.mark.livekit, pytest.mark.slow, pytest.mark.long]

HUSHED = "deepgram+gpt4o-mini+noise_cancellation=hush"
PLUGIN = '''
from story import ModelFactory, hookimpl


def build(options):
    from livekit import rtc

    class Hush(rtc.FrameProcessor):
        """Silence, until it is closed; then livekit lets the sound through as it is."""

        enabled = True
        closed = False

        def _process(self, frame):
            if self.closed:
                raise RuntimeError("closed")
            return rtc.AudioFrame(bytes(frame.data.nbytes), frame.sample_rate, frame.num_channels, frame.samples_per_channel)

        def _close(self):
            self.closed = True

    return Hush()


@hookimpl
def story_noise_cancellation():
    return ModelFactory(provider="hush", build=build, models=("hush-1",), default_model="hush-1")
'''  # noqa: E501


@pytest.fixture(scope="module")
def run(server: LiveKitServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoryRun]:
    """A worker with the plugin, whose own stacks leave noise as it is."""
    site: Path = tmp_path_factory.mktemp("site")
    (site / "hush_plugin.py").write_text(PLUGIN)
    about = site / "story_hush-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: story-hush\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[story]\nhush = hush_plugin\n")
    folder = tmp_path_factory.mktemp("worker")
    with worker(server, folder, "--agent-name", "hush", "--allow-stacks", HUSHED, site=site) as running:
        yield running


def was_heard(caller: Caller) -> bool:
    return any(state["caller"] == "speaking" for state in caller.of("state"))


async def test_what_it_makes_of_the_callers_sound_is_what_is_heard(
    server: LiveKitServer, run: StoryRun, room: str
) -> None:
    """Also with the next persona, and from another microphone."""
    metadata = json.dumps({"stacks": {"intro": HUSHED}})
    async with calling(server, room, agent="hush", metadata=metadata) as caller:
        await caller.until_asked(1)
        assert "hush" in caller.of("call_started")[0]["stacks"]["intro"]
        await caller.say("maria/turn1.wav")
        await caller.change_microphone()
        await caller.say("maria/turn1.wav")
        await caller.type("I am John from Leeds.")
        await caller.until(lambda: caller.of("handoff"))
        await caller.until_asked(len(caller.of("agent_turn")) + 1)
        await caller.say("maria/turn2.wav")
        await caller.type("Goodbye!")
        await caller.until(lambda: caller.of("call_ended"))
        assert not was_heard(caller)
        assert [turn["text"] for turn in caller.of("user_turn")] == ["I am John from Leeds.", "Goodbye!"]


async def test_it_is_off_where_no_stack_names_it(server: LiveKitServer, run: StoryRun, room: str) -> None:
    async with calling(server, room, agent="hush") as caller:
        await caller.until_asked(1)
        await caller.say("maria/turn1.wav")
        await caller.change_microphone()
        await caller.until(lambda: caller.of("handoff"))
        assert was_heard(caller)
        assert caller.of("user_turn")[0]["text"] == "Hi there! My name is Maria, and I live in Lisbon."
