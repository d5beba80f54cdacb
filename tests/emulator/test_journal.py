"""The journal: what was said, without secrets and without sound."""

from __future__ import annotations

import base64
import json

from story.emulator.journal import LONGEST, Journal

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
