"""Records: what is kept, that it is there at once, and that a bad folder is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from story.core.errors import ConfigError
from story.core.events import Handoff, StateChanged, UserTurn
from story.core.records import Record


def test_each_event_is_a_line_as_it_happens(tmp_path: Path) -> None:
    record = Record(tmp_path / "records", "call_1")
    record(UserTurn(call="call_1", t=1.23456, persona="intro", text="Ich heiße Jürgen."))
    record(StateChanged(call="call_1", t=2, agent="listening", caller="silent"))
    record(Handoff(call="call_1", t=3, from_="intro", to="story", gap=0.5))
    lines = [json.loads(line) for line in record.path.read_text("utf-8").splitlines()]
    assert lines == [
        {
            "type": "user_turn",
            "text": "Ich heiße Jürgen.",
            "language": None,
            "metrics": {},
            "call": "call_1",
            "t": 1.235,
            "persona": "intro",
        },
        {"type": "handoff", "from": "intro", "to": "story", "gap": 0.5, "call": "call_1", "t": 3, "persona": None},
    ]
    record.close()
    record.close()


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("")
    with pytest.raises(ConfigError, match=r"can.t write records to .*records"):
        Record(tmp_path / "records", "call_1")
