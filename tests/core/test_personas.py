"""Chains: what is accepted, and that every fault is told with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from story.core.errors import ConfigError
from story.core.personas import load_chain

GOOD = """\
start = "intro"
default_stack = "local"

[personas.intro]
name = "Echo"
instructions = "Ask for the name and the place."

[personas.intro.gathers]
name = { description = "The name of the user" }
location = { description = "The location of the user" }
age = { description = "Their age", type = "integer", optional = true }

[personas.intro.then]
tool = "information_gathered"
description = "Call it when both are known."
next = "story"

[personas.story]
name = "Echo"
instructions = "Tell a story. The caller is {name} from {location}."
silence = false

[personas.story.then]
tool = "story_finished"
description = "Call it when the caller wants to end."
next = "end"
goodbye = "Say goodbye to {name}."
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "chain.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_chain(tmp_path: Path) -> None:
    chain = load_chain(write(tmp_path, GOOD))
    intro, story = chain.personas["intro"], chain.personas["story"]
    assert chain.first is intro
    assert intro.nexts == ("story",)
    assert intro.silence is not None and intro.silence.ask_after == 8
    assert story.silence is None
    assert list(intro.arguments(intro.then[0])) == ["name", "location", "age"]
    assert story.fixed_instructions == "Tell a story. The caller is "
    assert story.filled(story.instructions, {"name": "Maria"}) == "Tell a story. The caller is Maria from unknown."


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('start = "intro"', 'start = "intor"', 1, "start: there is no persona 'intor' (did you mean intro"),
        ('start = "intro"', "start = 3", 1, 'start: is text, in quotes: "..."'),
        ('next = "story"', 'next = "storey"', 16, "there is no persona 'storey' (did you mean story?)"),
        ('next = "end"', 'next = "intro"', 4, "the call can't end from here"),
        ('next = "story"', 'next = "end"', 18, "no persona leads to 'story'"),
        ("Ask for the name", "Ask {name} for the place", 6, "{name} is used before any persona has gathered it"),
        ("{location}", "{place}", 20, "{place} is used before any persona has gathered it (known: "),
        ("{location}", "{location", 20, "personas.story.instructions: "),
        ("{location}", "{0}", 20, "{0} is no field"),
        ("{location}", "{location:d}", 20, "{location} can't be formatted (d)"),
        ("{location}", "{location!r}", 20, "{location} can't be formatted (r)"),
        ("silence = false", "silence = 3", 21, "silence: is a table"),
        ("silence = false", "silence = { goodbye = 'Bye {nmae}' }", 21, "{nmae} is used before"),
        ('"story_finished"', '"required"', 24, "'required' is a reserved tool name"),
        ('"story_finished"', '"Story finished"', 24, "is no name"),
        ("silence = false", "silense = false", 21, "unknown key (did you mean silence?)"),
        ('type = "integer"', 'type = "date"', 11, "personas.intro.gathers.age.type: Input should be"),
        ('name = "Echo"\ninstructions = "Ask', 'instructions = "Ask', 4, "personas.intro.name: is missing"),
        ('description = "Call it when both are known."', "", 13, "personas.intro.then.description: is missing"),
        ("silence = false", "silence = { ask_after = -1 }", 21, "greater than 0"),
        ('next = "story"', 'next = "story"\nneeds = ["nmae"]', 17, "'nmae' is not in gathers"),
        ('next = "story"', 'next = "story"\nneeds = ["name"]', 21, "{location} is used before"),
        ("[personas.intro.then]", "[personas.intro.then", 13, "not valid TOML"),
    ],
)
def test_each_fault_names_file_line_and_key(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load_chain(write(tmp_path, GOOD.replace(old, new, 1)))
    message = str(caught.value)
    assert f"chain.toml:{line}: " in message
    assert said in message
    assert "\n" not in message


def test_no_persona_is_called_end(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"chain\.toml:18: personas\.end: 'end' is reserved"):
        load_chain(write(tmp_path, GOOD.replace("personas.story", "personas.end")))


def test_two_ways_out_and_back_again(tmp_path: Path) -> None:
    more = """
[personas.quiz]
name = "Quizmaster"
instructions = "Ask {name} a riddle."
then = { tool = "riddle_solved", description = "The riddle is solved.", next = "story" }

[[personas.story.then]]
tool = "riddle_wanted"
description = "The caller wants a riddle."
next = "quiz"
"""
    text = GOOD.replace("[personas.story.then]", "[[personas.story.then]]") + more
    assert load_chain(write(tmp_path, text)).personas["story"].nexts == ("end", "quiz")


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "chain.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"chain\.toml: (not UTF-8|no such file)"):
        load_chain(path)
