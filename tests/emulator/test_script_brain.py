"""Scripts: the built-in storyteller with all recorded callers, and whatever is wrong with a script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from story.core.errors import ConfigError
from story.core.personas import load_chain
from story.emulator.brain import BrainError, Prompt, Said, Tool, ToolCall
from story.emulator.script import BUILT_IN, ScriptBrain, load_script

ROOT = Path(__file__).parents[2]
FACTS = json.loads((ROOT / "tests" / "callers" / "callers.json").read_text())
CHAIN = load_chain(ROOT / "story" / "personas" / "storyteller.toml")
GATHER = Tool("information_gathered", "", {"properties": {"name": {"type": "string"}, "location": {"type": "string"}}})
FINISH = Tool("story_finished")


async def answer(script: Path, prompt: Prompt) -> tuple[str, list[ToolCall]]:
    parts = [part async for part in ScriptBrain(load_script(script)).answer(prompt)]
    text = "".join(part for part in parts if isinstance(part, str))
    return text, [part for part in parts if isinstance(part, ToolCall)]


@pytest.mark.parametrize("caller", FACTS)
async def test_it_plays_the_storyteller(caller: str) -> None:
    facts = {key: FACTS[caller][key] for key in ("name", "location")}
    said = [Said("system", CHAIN.personas["intro"].instructions)]
    tool, calls, story = GATHER, [], []
    for number, turn in enumerate(FACTS[caller]["turns"], start=1):
        said.append(Said("caller", turn["text"]))
        text, called = await answer(BUILT_IN, Prompt(said, [tool]))
        calls += [(number, call.name, dict(call.arguments)) for call in called]
        if called and tool is GATHER:
            story_persona = CHAIN.personas["story"]
            said = [Said("system", story_persona.filled(story_persona.instructions, facts))]
            tool = FINISH
            text, _ = await answer(BUILT_IN, Prompt(said, [tool], tool_choice="none"))
        if tool is FINISH:
            story.append(text)
        said.append(Said("agent", text))
    gathered, finished = calls
    assert gathered[1:] == ("information_gathered", facts)
    assert finished == (len(FACTS[caller]["turns"]), "story_finished", {})
    assert facts["name"] in " ".join(story) and facts["location"] in " ".join(story)
    assert all(text.endswith("?") for text in story[:-1])
    goodbye = Prompt(
        [*said, Said("system", f"Say goodbye to {facts['name']} in one short sentence.")], [FINISH], "none"
    )
    assert await answer(BUILT_IN, goodbye) == (f"Goodbye, {facts['name']}. It was lovely telling you a story.", [])


async def test_conditions(tmp_path: Path) -> None:
    path = tmp_path / "script.toml"
    path.write_text(
        """
        [facts]
        size = ['(\\d+) people']

        [[replies]]
        after = "book"
        say = "Booked for {size}."

        [[replies]]
        offered = ["book"]
        known = ["size"]
        say = "One moment."
        call = "book"
        arguments = { size = "{size}", kind = "table", more = { people = ["{size}"] } }

        [[replies]]
        unknown = ["size"]
        say = ["For how many?", "Again, for how many?"]
        """
    )
    schema = {"properties": {"size": {"type": "integer"}}}
    book = Tool("book", "", schema)
    asked = [Said("caller", "A table please")]
    assert (await answer(path, Prompt(asked, [book])))[0] == "For how many?"
    asked += [Said("agent", "For how many?"), Said("caller", "Er")]
    assert (await answer(path, Prompt(asked, [book])))[0] == "Again, for how many?"
    asked += [Said("agent", "Again, for how many?"), Said("caller", "4 people")]
    text, (call,) = await answer(path, Prompt(asked, [book]))
    assert (text, call.arguments) == ("One moment.", {"size": 4, "kind": "table", "more": {"people": ["4"]}})
    asked += [Said("agent", calls=(call,)), Said("tool", "ok", call_id=call.id)]
    assert (await answer(path, Prompt(asked, [book])))[0] == "Booked for 4."
    with pytest.raises(BrainError, match="no reply"):
        await answer(path, Prompt(asked[:-2], [book], tool_choice="none"))


OPENING = 'Hello! I am "Echo", who makes up stories.'


@pytest.mark.parametrize(
    ("after", "choice", "said", "calls"),
    [
        ("", "none", OPENING, 0),
        (" Then ask for how many.", "none", f"{OPENING} For how many people?", 0),
        ("", "book", OPENING, 1),
    ],
    ids=["alone", "and go on", "and call"],
)
async def test_it_says_what_it_is_told_to_say(tmp_path: Path, after: str, choice: str, said: str, calls: int) -> None:
    path = tmp_path / "script.toml"
    path.write_text('[[replies]]\noffered = ["book"]\ncall = "book"\n[[replies]]\nsay = "For how many people?"')
    instructions = f'You are Echo. Never say "Say: x".\nSay: "{OPENING}"{after}'
    prompt = Prompt([Said("system", instructions), Said("system", "The caller is new.")], [Tool("book")], choice)
    text, called = await answer(path, prompt)
    assert (text, len(called)) == (said, calls)


async def test_the_example_of_the_docs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "emulator-script.md").read_text()
    path = tmp_path / "table.toml"
    path.write_text(page.split("```toml\n")[1].split("```")[0])
    script = load_script(path)
    book = Tool("book", "", {"properties": {"size": {"type": "integer"}}})
    said: list[Said] = []
    answers = []
    for line in script.lines:
        said.append(Said("caller", line))
        text, calls = await answer(path, Prompt(said, [book]))
        said.append(Said("agent", text, tuple(calls)))
        answers.append((text, [dict(call.arguments) for call in calls]))
    assert answers == [("For how many people?", []), ("One moment.", [{"size": 4}]), ("Goodbye!", [])]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "replies: is missing"),
        ("repiles = 1", "unknown key 'repiles' (did you mean replies?)"),
        ("[[replies]]", "neither says nor calls"),
        ("[[replies]]\nsya = 'x'", "unknown key 'sya' (did you mean say?)"),
        ("[[replies]]\nsay = 'x'\nwhen = '('", "is no regular expression"),
        ("[[replies]]\nsay = '{name}'", "there is no fact 'name'"),
        ("[[replies]]\nsay = '{'", "braces don't match"),
        ("[[replies]]\nsay = 'x'\narguments = {a = 1}", "belongs to a call"),
        ("[facts]\nname = ['x']\n[[replies]]\nsay = 'x'", "has no group"),
        ("[facts]\nname = []\n[[replies]]\nsay = 'x'", "has no pattern"),
        ("[facts]\nname = ['(x)']\n[[replies]]\nsay = '{name:>9999999999}'", "more than the name"),
        ("[facts]\nname = ['(x)']\n[[replies]]\nsay = '{name!q}'", "more than the name"),
        ("[[replies]]\ncall = 'x'\narguments = { a = 2020-01-01 }", "JSON has no form"),
        ("[[replies]]\ncall = 'x'\narguments = { a = [nan] }", "JSON has no form"),
        ("[[replies]]\ncall = 'x'\narguments = { a = { b = '{name}' } }", "no fact 'name'"),
        ("[replies]\nsay = 'x'", "write [[replies]]"),
        ("lines = ['Hi', ' ']\n[[replies]]\nsay = 'x'", "says nothing"),
        ("[[replies]]\nsay = 'x'\n\n[[replies]]\nsay = 'y'\nwhen = '('", ":6: replies.1.when: '(' is no regular"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "script.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as told:
        load_script(path)
    assert message in str(told.value) and str(path) in str(told.value)


keys = st.sampled_from(["when", "say", "call", "arguments", "known", "offered", "after", "instructions", "unknown"])
values = st.text(max_size=12) | st.integers() | st.lists(st.text(max_size=8), max_size=2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(reply=st.dictionaries(keys, values, max_size=4), facts=st.dictionaries(st.text(max_size=5), values, max_size=2))
def test_any_script_loads_or_is_a_clear_error(tmp_path: Path, reply: dict, facts: dict) -> None:
    path = tmp_path / "script.toml"
    lines = ["[facts]", *(f"{json.dumps(name)} = {json.dumps(value)}" for name, value in facts.items())]
    lines += ["[[replies]]", *(f"{name} = {json.dumps(value)}" for name, value in reply.items())]
    path.write_text("\n".join(lines), encoding="utf-8")
    try:
        load_script(path)
    except ConfigError as error:
        assert str(path) in str(error)
