"""The realtime protocol, message by message: every event as OpenAI's own types have it, and all that may be asked."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from conftest import ScriptedBrain, silence, speech
from realtime_client import LINES, RATE, WEATHER, Connect, connecting, message

from story.emulator.brain import Prompt, ToolCall
from story.emulator.latency import Distribution, Profile, Stage
from story.emulator.tones import seconds_of

LONG = " ".join(["and then the boat went on"] * 12) + "."
SLOW = Profile("paced", {("openai", "realtime", "*"): {Stage.AUDIO: Distribution(0.2, 0.2)}}, fixed=True)
NO_DETECTION = {"audio": {"input": {"turn_detection": None}}}


def script(prompt: Prompt) -> list[str | ToolCall]:
    if prompt.answers_tool():
        return [f"It is {prompt.said[-1].text}. {LONG}"]
    if prompt.tools and prompt.tool_choice != "none" and prompt.caller and "weather" in prompt.caller[-1]:
        return ["One moment.", ToolCall("weather", {"location": "Paris"})]
    return [LONG if prompt.caller and prompt.caller[-1] in ("Stop.", "Go on.") else "Hello there. What a day!"]


@pytest.fixture
def brain() -> ScriptedBrain:
    return ScriptedBrain(script)


@pytest.fixture
def connect(emulator: Callable, brain: ScriptedBrain) -> Connect:
    return connecting(emulator, brain)


async def test_a_whole_session_to_the_letter(connect: Connect) -> None:
    async with connect(profile=SLOW) as client:
        heard = {"turn_detection": {"type": "server_vad"}, "transcription": {"model": "gpt-4o-mini-transcribe"}}
        await client.update(tools=[WEATHER], instructions="Be brief.", audio={"input": heard})
        await client.say(speech(2.0, RATE) + silence(0.6, RATE))
        called = await client.next("response.function_call_arguments.done")
        assert (await client.next("response.done"))["response"]["status"] == "completed"
        result = {"type": "function_call_output", "call_id": called["call_id"], "output": "sunny"}
        await client.send("conversation.item.create", item=result)
        await client.send("response.create")
        item = (await client.next("response.output_audio.delta"))["item_id"]
        await client.say(speech(0.5, RATE))  # talks over it
        done = await client.next("response.done")
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        await client.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=50)
        await client.send("conversation.item.retrieve", item_id=item)
        kept = (await client.next("conversation.item.retrieved"))["item"]
        assert kept["content"] == [{"type": "output_audio"}] and kept["status"] == "incomplete"
        await client.say(silence(0.6, RATE))
        await client.next("response.output_audio.delta")
        await client.send("response.cancel")
        done = await client.next("response.done")
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        await client.send("conversation.item.delete", item_id=item)
        await client.send("input_audio_buffer.clear")
        await client.next("input_audio_buffer.cleared")
    told = client.kinds()
    first = told[: told.index("response.done") + 1]
    transcript = "conversation.item.input_audio_transcription"
    assert [kind for kind in first if not kind.startswith(transcript)] == [
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "rate_limits.updated",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert {f"{transcript}.delta", f"{transcript}.completed"} <= set(told)
    assert {"conversation.item.truncated", "conversation.item.deleted"} <= set(told)


async def test_a_transcription_session_to_the_letter(connect: Connect) -> None:
    async with connect("intent=transcription") as client:
        heard = {"transcription": {"model": "whisper-1", "language": "en"}, "turn_detection": None}
        await client.send("session.update", session={"type": "transcription", "audio": {"input": heard}})
        await client.next("session.updated")
        await client.say(speech(2.0, RATE))
        await client.send("input_audio_buffer.commit")
        completed = await client.next("conversation.item.input_audio_transcription.completed")
        assert completed["transcript"] == LINES[0] and completed["usage"] == {"type": "duration", "seconds": 2.0}
        await client.send("response.create")
        assert (await client.next("error"))["error"]["param"] == "type"


async def test_text_out_to_the_letter(connect: Connect) -> None:
    async with connect() as client:
        await client.update(output_modalities=["text"])
        await client.send("response.create")
        done = (await client.next("response.done"))["response"]
    assert done["output"][0]["content"] == [{"type": "output_text", "text": "Hello there. What a day!"}]
    assert not [event for event in client.events if "audio" in str(event["type"])]


async def test_without_turn_detection_the_client_ends_turns(connect: Connect, brain: ScriptedBrain) -> None:
    async with connect() as client:
        await client.update(**NO_DETECTION)
        await client.say(speech(2.0, RATE) + silence(2.0, RATE))
        await client.send("input_audio_buffer.commit")
        await client.next("conversation.item.done")
        assert not [kind for kind in client.kinds() if "speech_" in kind or "transcription" in kind]
        await client.send("response.create")
        await client.next("response.done")
        await client.send("input_audio_buffer.commit")
        assert (await client.next("error"))["error"]["code"] == "input_audio_buffer_commit_empty"
    assert brain.prompts[0].caller == (LINES[0],)


async def test_settings_may_change_while_somebody_speaks(connect: Connect, brain: ScriptedBrain) -> None:
    async with connect() as client:
        await client.say(speech(1.0, RATE))
        await client.update(audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 300}}})
        await client.say(speech(1.0, RATE) + silence(0.4, RATE))
        await client.next("response.done")
    assert brain.prompts[0].caller == (LINES[0],)


@pytest.mark.parametrize(("eagerness", "short", "long"), [("high", 0.3, 2.0), ("auto", 0.5, 4.0), ("low", 0.8, 8.0)])
async def test_semantic_detection_waits_for_the_end_of_a_sentence(
    emulator: Callable, eagerness: str, short: float, long: float
) -> None:
    connect = connecting(emulator, ScriptedBrain(), lines=("I would like to", "Stop."))
    async with connect() as client:
        detection = {"type": "semantic_vad", "eagerness": eagerness}
        await client.update(audio={"input": {"turn_detection": detection}})
        ends = []
        for _ in range(2):
            begun = sum(ends)
            await client.say(speech(1.0, RATE) + silence(9.0, RATE))
            ends.append((await client.next("input_audio_buffer.speech_stopped"))["audio_end_ms"] / 1000 - begun)
            ends.append(10.0 - ends[-1])
    assert ends[0] - 1.0 == pytest.approx(long, abs=0.02)
    assert ends[2] - 1.0 == pytest.approx(short, abs=0.11)


async def test_a_response_can_differ_from_the_session(connect: Connect, brain: ScriptedBrain) -> None:
    async with connect() as client:
        await client.update(instructions="Be brief.", tools=[WEATHER])
        await client.send("conversation.item.create", item={"id": "asked", **message("The weather?")})
        wanted = {
            "instructions": "Be long.",
            "output_modalities": ["text"],
            "tool_choice": "none",
            "metadata": {"client_event_id": "mine"},
            "max_output_tokens": 4096,
        }
        await client.send("response.create", response=wanted)
        done = (await client.next("response.done"))["response"]
        assert (done["metadata"], done["max_output_tokens"]) == ({"client_event_id": "mine"}, 4096)
        assert done["output"][0]["content"][0]["text"] == "Hello there. What a day!"
        sound = {"output": {"format": {"type": "audio/pcmu"}, "voice": "echo"}}
        given = [{"type": "item_reference", "id": "asked"}, message("In Rome.")]
        await client.send("response.create", response={"audio": sound, "input": given, "tool_choice": "required"})
        done = (await client.next("response.done"))["response"]
        assert done["audio"] == sound and done["metadata"] is None
        await client.send("response.create", response={"input": []})
        await client.next("response.done")
    assert [prompt.instructions for prompt in brain.prompts] == ["Be long.", "Be brief.", "Be brief."]
    assert [prompt.tool_choice for prompt in brain.prompts] == ["none", "required", "auto"]
    assert [prompt.caller for prompt in brain.prompts] == [("The weather?",), ("The weather?", "In Rome."), ()]
    sent = [event for event in client.events if event["type"] == "response.output_audio.delta"]
    second = b"".join(base64.b64decode(event["delta"]) for event in sent if event["response_id"] == done["id"])
    assert len(second) / 8_000 == pytest.approx(seconds_of("Hello there.") + seconds_of("What a day!"), abs=0.1)


async def test_responses_apart_leave_the_conversation_alone(connect: Connect, brain: ScriptedBrain) -> None:
    async with connect(profile=SLOW) as client:
        await client.send("conversation.item.create", item=message("Go on."))
        await client.send("response.create")
        mine = (await client.next("response.created"))["response"]
        for _ in range(2):
            await client.send("response.create", response={"conversation": "none", "input": [message("Go on.")]})
        apart = [(await client.next("response.created"))["response"] for _ in range(2)]
        assert [one["conversation_id"] for one in apart] == [None, None] and mine["conversation_id"]
        await client.send("response.create", event_id="too many")
        error = (await client.next("error"))["error"]
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "too many")
        await client.send("response.cancel", response_id=apart[0]["id"])
        await client.send("response.cancel", response_id="resp_of_nobody")
        done, error = (await client.next("response.done"))["response"], (await client.next("error"))["error"]
        assert (done["id"], done["status"]) == (apart[0]["id"], "cancelled")
        assert error["code"] == "response_cancel_not_active"
        await client.send("response.cancel")
        await client.send("response.cancel", response_id=apart[1]["id"])
        ended = {(await client.next("response.done"))["response"]["id"] for _ in range(2)}
    assert ended == {mine["id"], apart[1]["id"]}
    added = [event["item"]["id"] for event in client.events if event["type"] == "conversation.item.added"]
    assert len(added) == 2  # "Go on.", and the first answer


async def test_an_answer_ends_at_the_most_tokens(connect: Connect) -> None:
    async with connect() as client:
        await client.send("response.create", response={"max_output_tokens": 5, "output_modalities": ["text"]})
        done = (await client.next("response.done"))["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert done["output"][0]["status"] == "incomplete"
    assert "Hello there. What a day!".startswith(done["output"][0]["content"][0]["text"])


async def test_a_silent_caller_is_asked_once(connect: Connect) -> None:
    async with connect() as client:
        detection = {"type": "server_vad", "idle_timeout_ms": 5000}
        await client.update(audio={"input": {"turn_detection": detection}})
        await client.say(silence(6.0, RATE))
        await client.send("response.create")
        await client.next("response.done")
        await client.say(silence(12.0, RATE))
        asked = await client.next("input_audio_buffer.timeout_triggered")
        assert asked["audio_end_ms"] - asked["audio_start_ms"] == pytest.approx(5000, abs=110)
        assert (await client.next("conversation.item.added"))["item"]["id"] == asked["item_id"]
        await client.next("response.done")
        await client.send("input_audio_buffer.clear")
        await client.next("input_audio_buffer.cleared")
    assert client.kinds().count("input_audio_buffer.timeout_triggered") == 1


async def test_the_sound_of_an_item_is_heard(connect: Connect, brain: ScriptedBrain) -> None:
    sound = base64.b64encode(silence(0.2, RATE) + speech(2.0, RATE)).decode()
    parts = [{"type": "input_text", "text": "Listen:"}, {"type": "input_audio", "audio": sound}]
    async with connect() as client:
        await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": parts})
        added = (await client.next("conversation.item.added"))["item"]
        assert added["content"] == [parts[0], {"type": "input_audio", "transcript": LINES[0]}]
        await client.send("response.create")
        await client.next("response.done")
    assert brain.prompts[0].caller == (f"Listen: {LINES[0]}",)
