"""Records: what is kept, that it is there at once, and that a bad folder is told."""

from __future__ import annotations

import json
import re
import subprocess
import sys
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


FULL_DISK = """
import resource, sys
from pathlib import Path
from story.core.errors import ConfigError
from story.core.events import UserTurn
from story.core.records import Record

record = Record(Path(sys.argv[1]), "call_1")
# no file of this process may grow beyond 300 bytes
resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
for number in range(3):
    record(UserTurn(call="call_1", t=number, text="x" * 60))
try:
    record.close()
except ConfigError as error:
    print(error)
record.close()
"""


def test_a_disk_that_runs_full_is_told_at_the_end_and_not_before(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True)
    assert re.search(r"the record .*call_1\.jsonl is not whole: File too large", done.stdout)
    (path,) = tmp_path.iterdir()
    assert [json.loads(line)["t"] for line in path.read_text().splitlines()] == [0]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("")
    with pytest.raises(ConfigError, match=r"can.t write records to .*records"):
        Record(tmp_path / "records", "call_1")
