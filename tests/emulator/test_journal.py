"""The journal: what was said, without secrets and without sound."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import aiohttp

from story.emulator.journal import LONGEST, Journal
from story.emulator.server import Emulator
from story.emulator.vendors import VENDORS

SOUND = base64.b64encode(bytes(4800)).decode()


def test_sound_is_counted_and_not_kept() -> None:
    journal = Journal()
    for _ in range(3):
        journal.add(1, "deepgram", "listen", "received", bytes(1600))
        journal.add(2, "openai", "realtime", "received", {"type": "input_audio_buffer.append", "audio": SOUND})
    for number in range(3):
        append = {"type": "input_audio_buffer.append", "event_id": str(number), "audio": SOUND}
        journal.add(2, "openai", "realtime", "received", append)
    journal.add(2, "openai", "realtime", "received", {"type": "response.create"})
    told = journal.as_data()
    assert [(entry["connection"], entry["count"], entry["bytes"]) for entry in told[-2:]] == [(2, 4, 19200), (2, 1, 0)]
    assert SOUND not in json.dumps(told)


def test_secrets_are_hidden_wherever_they_stand() -> None:
    journal = Journal(keys=("top-secret-key",))
    journal.add(1, "elevenlabs", "tts", "received", {"text": "x", "xi_api_key": "other", "voice": [{"token": "third"}]})
    journal.add(
        1, "openai", "chat", "received", {"messages": ["my key is top-secret-key"], "Authorization": "Bearer x"}
    )
    text = json.dumps(journal.as_data())
    assert not any(secret in text for secret in ("other", "third", "top-secret-key", "Bearer x"))


def test_it_forgets_the_oldest() -> None:
    journal = Journal()
    for number in range(LONGEST + 5):
        journal.add(number, "openai", "chat", "ended", {"status": 200})
    assert len(journal.entries) == LONGEST and journal.entries[0].connection == 5
    assert [entry["connection"] for entry in journal.as_data(since=journal.entries[-1].t + 1)] == []


async def test_answers_are_noted_as_requests_are(emulator: Callable) -> None:
    server: Emulator = await emulator(*VENDORS)
    body = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer secret-key"}) as session:
        for streamed in (True, False):
            async with session.post(f"{server.url}/v1/chat/completions", json={**body, "stream": streamed}) as response:
                await response.read()
    told = server.emulation.journal.as_data()
    assert [entry["content"]["messages"] for entry in told if entry["kind"] == "received"] == [body["messages"]] * 2
    sent = [entry["content"] for entry in told if entry["kind"] == "sent"]
    assert "[DONE]" in sent and sent[-1]["choices"][0]["message"]["content"] == "You said: hello"
    assert "secret-key" not in json.dumps(told)
